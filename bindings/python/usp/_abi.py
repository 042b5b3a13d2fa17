"""Generated from include/usp.h by generate_abi.py: do not edit."""

from ctypes import (
    CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float,
    c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_uint8, c_void_p,
)
from enum import IntEnum

HEADER_SHA256 = "b8b5bfa37734ce77419f2fa4c6e66cb6e2fba70fb23b3dd93b76c50782ca06e3"
USP_VERSION_MAJOR = 0
USP_VERSION_MINOR = 1
USP_VERSION_PATCH = 0
USP_ABI_VERSION = 1
USP_MAX_RANK = 8


class usp_status(IntEnum):
    USP_OK = 0
    USP_ERROR_ARGUMENT = -1
    USP_ERROR_SHAPE = -2
    USP_ERROR_DTYPE = -3
    USP_ERROR_IO = -4
    USP_ERROR_FORMAT = -5
    USP_ERROR_MISSING_WEIGHT = -6
    USP_ERROR_UNSUPPORTED = -7
    USP_ERROR_MEMORY = -8
    USP_ERROR_CANCELLED = -9
    USP_ERROR_CALLBACK = -10
    USP_ERROR_INTERNAL = -11


class usp_dtype(IntEnum):
    USP_F32 = 0
    USP_BF16 = 1
    USP_F16 = 2
    USP_F64 = 3
    USP_I64 = 4
    USP_I32 = 5
    USP_I16 = 6
    USP_I8 = 7
    USP_U8 = 8
    USP_BOOL = 9


class usp_tensor(Structure):
    pass


usp_tensor._fields_ = [
    ("data", c_void_p),
    ("shape", c_int64 * 8),
    ("strides", c_int64 * 8),
    ("rank", c_int32),
    ("dtype", c_int),
]


class usp_progress(Structure):
    pass


usp_progress._fields_ = [
    ("stage", c_char_p),
    ("step", c_int64),
    ("steps", c_int64),
    ("seconds", c_double),
    ("latents", POINTER(usp_tensor)),
]


usp_progress_fn = CFUNCTYPE(c_int32, POINTER(usp_progress), c_void_p)


class usp_choice(IntEnum):
    USP_DEFAULT = 0
    USP_YES = 1
    USP_NO = 2


#: name -> (result, arguments)
PROTOTYPES = {
    "usp_version": (
        c_char_p,
        [],
    ),
    "usp_abi_version": (
        c_uint32,
        [],
    ),
    "usp_build_info": (
        c_char_p,
        [],
    ),
    "usp_last_error": (
        c_char_p,
        [],
    ),
    "usp_status_name": (
        c_char_p,
        [c_int],
    ),
    "usp_dtype_size": (
        c_size_t,
        [c_int],
    ),
    "usp_dtype_name": (
        c_char_p,
        [c_int],
    ),
    "usp_tensor_copy": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_random_normal": (
        c_int,
        [c_uint64, POINTER(usp_tensor)],
    ),
    "usp_set_threads": (
        c_int,
        [c_int32],
    ),
    "usp_threads": (
        c_int32,
        [],
    ),
    "usp_evaluate_frechet": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_double)],
    ),
    "usp_evaluate_frechet_statistics": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_double)],
    ),
    "usp_evaluate_inception": (
        c_int,
        [POINTER(usp_tensor), c_int64, POINTER(c_double), POINTER(c_double)],
    ),
    "usp_evaluate_precision_recall": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(c_double), POINTER(c_double)],
    ),
    "usp_evaluate_accuracy": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(c_double)],
    ),
    "usp_evaluate_mean_iou": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int64, c_int64, POINTER(c_double)],
    ),
}
