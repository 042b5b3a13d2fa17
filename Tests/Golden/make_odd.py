"""Files with something in them that readers do not expect beside what they want, and its values."""

import warnings

import numpy as np
import torch
from safetensors.torch import save_file

from common import HERE, normal

FOLDER = HERE / "odd"
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


class Holder(torch.nn.Module):
    """A module whose class is not at hand where the file is read."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)


def every_byte(dtype):
    return torch.arange(256).to(torch.uint8).view(getattr(torch, dtype)).reshape(16, 16)


def make_float8():
    """All 256 bytes of each type; half precision holds their values."""
    tensors = {dtype: every_byte(dtype) for dtype in FLOAT8}
    expected = {name: value.to(torch.float16) for name, value in tensors.items()}
    save_file({name: tensors[name] for name in FLOAT8[:2]}, FOLDER / "float8.safetensors")
    turned = {f"{name}_turned": value.T for name, value in tensors.items()}
    torch.save(tensors | turned, FOLDER / "float8.pt")
    expected |= {f"{name}_turned": value.T.contiguous() for name, value in expected.items()}
    save_file(expected, FOLDER / "float8.expected.safetensors")


def make_numpy():
    """Arrays of NumPy's in PyTorch files, in the three ways that pickle writes them."""
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        "plain": plain, "fortran": np.asfortranarray(plain.astype(np.float64)),
        "turned": plain.T, "big": plain.astype(">f4"), "bool": np.array([True, False]),
        "empty": np.zeros((0, 3), np.int64), "bytes": np.arange(256, dtype=np.uint8),
        "scalar_array": np.array(7, np.int16),
    }
    unread = {
        "complex": plain.astype(np.complex64), "words": plain.astype(np.uint16),
        "objects": np.array([None, {}], dtype=object), "texts": np.array(["a", "bc"]),
        "records": np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]),
    }
    numbers = {"mean": np.float64(2.5), "count": np.int64(-3), "big_number": np.float32(0.5),
               "flag": np.bool_(True)}
    root = {"model": arrays | unread, "best": numbers["mean"], "numbers": numbers}
    for protocol in (2, 4, 5):
        torch.save(root, FOLDER / f"numpy_{protocol}.pt", pickle_protocol=protocol)
    torch.save(root, FOLDER / "numpy_legacy.pt", _use_new_zipfile_serialization=False)
    native = {name: np.array(value, value.dtype.newbyteorder("="), order="C")
              for name, value in arrays.items()}
    save_file({name: torch.from_numpy(value) for name, value in native.items()},
              FOLDER / "numpy.expected.safetensors")


def make_tensors():
    """Tensors of kinds that are named and not read, between two that are."""
    first, last = normal("odd/first", 2, 3), normal("odd/last", 5)
    odd = {
        "complex": torch.zeros(2, 2, dtype=torch.complex64),
        "half_complex": torch.zeros(3, dtype=torch.complex32),
        "quantised": torch.quantize_per_tensor(torch.arange(4.0), 0.1, 0, torch.qint8),
        "quantised_32": torch.quantize_per_tensor(torch.arange(4.0), 0.1, 0, torch.qint32),
        "sparse": torch.eye(3).to_sparse(), "rows": torch.eye(3).to_sparse_csr(),
        "meta": torch.zeros(3, device="meta"), "nested": torch.nested.nested_tensor(
            [torch.zeros(2), torch.zeros(3)]),
        "nine_axes": torch.zeros([1] * 9),
        "repeated": torch.zeros(1).expand(3000, 1000),
        "words": torch.zeros(3, dtype=torch.uint16),
    }
    root = {"first": first} | odd | {"last": last}
    torch.save(root, FOLDER / "tensors.pt")
    for protocol in (1, 2, 4, 5):
        torch.save(root, FOLDER / f"tensors_legacy_{protocol}.pt", pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
    save_file({"first": first, "last": last}, FOLDER / "tensors.expected.safetensors")


def make_modules():
    torch.manual_seed(0)
    torch.save(Holder(), FOLDER / "module.pt")
    torch.save({"net": Holder(), "weight": normal("odd/first", 2, 3)}, FOLDER / "module_inside.pt")


def make_npz():
    """Every type of NumPy's that is none of ours, and one that is."""
    np.savez(
        FOLDER / "types.npz", read=np.arange(3, dtype=np.float32), u2=np.zeros(2, np.uint16),
        u4=np.zeros(2, ">u4"), u8=np.zeros(2, np.uint64), c8=np.zeros((2, 3), np.complex64),
        c16=np.zeros(2, np.complex128), f16=np.zeros(2, np.longdouble), text=np.array(["ab"]),
        raw=np.array([b"ab"]), date=np.array(["2020-01-01"], "M8[D]"),
        span=np.array([1], "m8[s]"), record=np.zeros(2, [("a", "<f4"), ("b", "<i4", (2,))]),
        objects=np.array([None, 1], dtype=object), void=np.zeros(2, "V2"))


def make_checksums():
    """Without checksums, as PyTorch may be told to write."""
    torch.serialization.set_crc32_options(False)
    torch.save({"first": normal("odd/first", 2, 3)}, FOLDER / "no_crc32.pt")
    torch.serialization.set_crc32_options(True)


def make():
    FOLDER.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in (make_float8, make_numpy, make_tensors, make_modules, make_npz,
                     make_checksums):
            part()


if __name__ == "__main__":
    make()
