"""Arrays across the wall without copies: numpy, and whatever speaks DLPack (torch tensors)."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from ._abi import USP_MAX_RANK, usp_dtype, usp_tensor
from ._errors import ArgumentError, DTypeError, ShapeError

#: numpy's type of each element type; bfloat16 has none and travels as uint16.
NUMPY: Dict[usp_dtype, np.dtype[Any]] = {
    usp_dtype.USP_F32: np.dtype(np.float32), usp_dtype.USP_BF16: np.dtype(np.uint16),
    usp_dtype.USP_F16: np.dtype(np.float16), usp_dtype.USP_F64: np.dtype(np.float64),
    usp_dtype.USP_I64: np.dtype(np.int64), usp_dtype.USP_I32: np.dtype(np.int32),
    usp_dtype.USP_I16: np.dtype(np.int16), usp_dtype.USP_I8: np.dtype(np.int8),
    usp_dtype.USP_U8: np.dtype(np.uint8), usp_dtype.USP_BOOL: np.dtype(np.bool_),
}
CODES = {kind: code for code, kind in NUMPY.items() if code != usp_dtype.USP_BF16}


def dtype_name(dtype: Any) -> Optional[str]:
    """The name of an element type given as a name, a numpy type or a torch type."""
    return None if dtype is None else str(getattr(dtype, "__name__", dtype)).replace("torch.", "")


def as_numpy(value: Any, name: str) -> Tuple[np.ndarray, bool]:
    """The same memory as a numpy array, and whether its elements are bfloat16 in disguise."""
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"{name}: is a masked array, whose mask would be lost; pass "
                            "x.filled(value), or x.data for all elements")
    if isinstance(value, np.ndarray):
        return value, False
    if hasattr(value, "__dlpack__"):
        is_bfloat16 = str(getattr(value, "dtype", "")) == "torch.bfloat16"
        if is_bfloat16:
            value = value.detach().view(sys.modules["torch"].uint16)
        try:
            return np.from_dlpack(value), is_bfloat16
        except Exception as error:
            raise ArgumentError(f"{name}: {error} (pass x.detach().cpu())") from error
    if isinstance(value, (int, float, list, tuple, np.generic)):
        return np.asarray(value), False
    raise DTypeError(f"{name}: {type(value).__name__} is neither a numpy array nor speaks DLPack")


def as_tensor(
    value: Any, name: str, *, dtype: Any = np.float32, shape: Optional[Sequence[Any]] = None,
    writable: bool = False,
) -> Tuple[usp_tensor, np.ndarray]:
    """Describes an array to the library, and gives what keeps its memory alive.

    Nothing is copied and nothing is cast, but that float16 and bfloat16 become float32, which loses
    nothing: another array that would need it raises with the remedy.

    Parameters
    ----------
    dtype : the element type expected, or None for any
    shape : extents expected; a string stands for any extent, None for any shape
    """
    array, is_bfloat16 = as_numpy(value, name)
    if isinstance(value, (int, float, list, tuple)) and dtype is not None:
        array = array.astype(dtype)
    if dtype is np.float32 and not writable and (is_bfloat16 or array.dtype == np.float16):
        array = widened(array) if is_bfloat16 else array.astype(np.float32)
        is_bfloat16 = False
    if not array.dtype.isnative:
        raise DTypeError(
            f"{name}: byte order is not the machine's; pass x.astype(x.dtype.newbyteorder('='))")
    code = usp_dtype.USP_BF16 if is_bfloat16 else CODES.get(array.dtype)
    if code is None:
        raise DTypeError(f"{name}: numpy's {array.dtype} has no counterpart")
    if dtype is not None and (is_bfloat16 or array.dtype != np.dtype(dtype)):
        kind = "bfloat16" if is_bfloat16 else str(array.dtype)
        if array.dtype == np.uint8 and dtype is np.float32 and array.ndim == 4:
            raise DTypeError(
                f"{name}: dtype uint8, expected float32 in -1 … 1: pass "
                "usp.images.from_uint8(x), which takes [B, H, W, C]")
        raise DTypeError(
            f"{name}: dtype {kind}, expected {np.dtype(dtype)}: "
            f"pass np.asarray(x, np.{np.dtype(dtype)}), which copies")
    if shape is not None:
        check_shape(array, shape, name)
    if writable and not array.flags.writeable:
        raise ArgumentError(f"{name}: is read-only; pass an array that may be written to")
    return describe(array, code, name), array


def check_shape(array: np.ndarray, shape: Sequence[Any], name: str) -> None:
    matches = len(shape) == array.ndim and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape))
    if not matches:
        wanted = ", ".join(str(extent) for extent in shape)
        raise ShapeError(f"{name}: shape {list(array.shape)}, expected [{wanted}]")


def describe(array: np.ndarray, code: int, name: str) -> usp_tensor:
    """The struct of a numpy array."""
    if array.ndim > USP_MAX_RANK:
        raise ShapeError(f"{name}: rank {array.ndim}, expected at most {USP_MAX_RANK}")
    if not array.flags.aligned:
        raise ArgumentError(f"{name}: is not aligned to its elements; pass np.ascontiguousarray(x)")
    result = usp_tensor()
    result.data = array.ctypes.data if array.size else None
    result.rank, result.dtype = array.ndim, int(code)
    for axis, (extent, stride) in enumerate(zip(array.shape, array.strides)):
        if stride < 0:
            raise ArgumentError(
                f"{name}: strides {array.strides} bytes; negative ones are not possible: pass "
                "np.ascontiguousarray(x)")
        result.shape[axis], result.strides[axis] = extent, stride // array.itemsize
    return result


def vector(value: Any, name: str, dtype: Any, count: Optional[int] = None) -> np.ndarray:
    """A short list of numbers, one a sample (timesteps, labels): converted freely."""
    array, is_bfloat16 = as_numpy(value, name)
    if is_bfloat16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    whole = np.issubdtype(dtype, np.integer)
    if array.size and array.dtype.kind not in ("iu" if whole else "iuf"):
        wanted = "whole numbers" if whole else "real numbers"
        raise DTypeError(f"{name}: dtype {array.dtype}, expected {wanted}")
    if whole and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ArgumentError(f"{name}: {array.max()} is out of range")
    array = np.asarray(array, dtype, order="C")
    if array.ndim == 0 and count is not None:
        array = np.full(count, array, dtype)
    if array.ndim != 1 or (count is not None and len(array) != count):
        expected = "B" if count is None else count
        raise ShapeError(f"{name}: shape {list(array.shape)}, expected [{expected}]")
    return array


def result(
    out: Any, shape: Sequence[int], name: str = "out", dtype: Any = np.float32
) -> Tuple[usp_tensor, np.ndarray]:
    """An array to write to: the caller's `out`, or a new one."""
    if out is None:
        try:
            out = np.empty(tuple(shape), dtype)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"shape: {tuple(shape)}: {error}") from None
    return as_tensor(out, name, dtype=dtype, shape=shape, writable=True)


def from_view(tensor: usp_tensor, owner: Any) -> np.ndarray:
    """A read-only array over the library's memory; it keeps `owner` alive."""
    kind: np.dtype[Any] = NUMPY[usp_dtype(tensor.dtype)]
    shape = tuple(tensor.shape[: tensor.rank])
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return np.empty(shape, kind)
    buffer: Any = (ctypes.c_uint8 * (count * kind.itemsize)).from_address(tensor.data)
    buffer.owner = owner
    array = np.frombuffer(buffer, kind).reshape(shape)
    array.flags.writeable = False
    return array


def widened(words: np.ndarray) -> np.ndarray:
    """bfloat16 words as float32, exactly."""
    return (words.astype(np.uint32) << 16).view(np.float32).reshape(words.shape)
