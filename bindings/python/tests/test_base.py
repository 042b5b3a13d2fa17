"""Loading, errors, arrays, threads: what everything else stands on."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import usp
from usp import _abi, _arrays, _library
from usp._errors import BY_STATUS


def test_import_is_quick_and_light():
    code = "import sys, usp; print(any(m in sys.modules for m in ('torch', 'tqdm', 'PIL')))"
    environment = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(usp.__file__)))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def test_prototypes_cover_every_function():
    assert len(_abi.PROTOTYPES) > 10
    for name in _abi.PROTOTYPES:
        assert getattr(_library.lib, name).argtypes is not None


def test_every_argument_is_used():
    """An option that a signature has, and that goes nowhere, would be ignored in silence."""
    for path in Path(usp.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            arguments = [a.arg for a in function.args.args + function.args.kwonlyargs]
            used = {
                node.id for line in function.body for node in ast.walk(line)
                if isinstance(node, ast.Name)}
            unused = {a for a in arguments if a not in used and not a.startswith("_")}
            unused -= {"self", "cls"} if function.name != "__getattr__" else unused
            assert "locals" in used or not unused, f"{path.name}: {function.name}: {unused}"


def test_wrong_library_is_told_by_path(monkeypatch, tmp_path):
    monkeypatch.setenv("USP_LIBRARY", str(tmp_path / "nothing.so"))
    with pytest.raises(ImportError, match="nothing.so"):
        _library.load()
    monkeypatch.setenv("USP_LIBRARY", "libm.so.6")
    with pytest.raises(ImportError, match="is not libusp"):
        _library.load()


def test_other_abi_version_is_refused(monkeypatch):
    monkeypatch.setattr(_abi, "USP_ABI_VERSION", 999)
    with pytest.raises(ImportError, match="ABI version"):
        _library.load()


def test_every_status_has_a_name_and_an_exception():
    for status in _abi.usp_status:
        assert _library.lib.usp_status_name(status).decode() == status.name
    assert {0, *BY_STATUS} == set(_abi.usp_status)
    assert all(kind.__name__ in usp.__all__ for kind in BY_STATUS.values())


def test_everything_public_is_exported():
    """What the package imports by name, and nothing that it lacks."""
    own = {
        name for name, value in vars(usp).items() if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("usp.") and not isinstance(value, type(usp))}
    assert own <= set(usp.__all__) and all(hasattr(usp, name) for name in usp.__all__)


def test_errors_are_the_builtins_that_callers_expect():
    with pytest.raises(ValueError, match="count: is -1"):
        usp.set_threads(-1)
    assert issubclass(usp.ShapeError, usp.ArgumentError)
    assert issubclass(usp.NotFiniteError, ArithmeticError)
    assert issubclass(usp.MissingWeightError, KeyError) and issubclass(usp.FileError, OSError)
    assert str(usp.MissingWeightError("a sentence")) == "a sentence"


def test_threads():
    usp.set_threads(1)
    assert usp.threads() == 1
    usp.set_threads(0)
    assert usp.threads() >= 1


def test_noise_is_one_stream_a_sample():
    assert np.array_equal(usp.random.normal((8, 3), 5)[:2], usp.random.normal((2, 3), 5))
    big = usp.random.normal((4, 50_000), 1)
    assert abs(big.mean()) < 0.01 and abs(big.std() - 1) < 0.01


def test_torch_numbers():
    with pytest.raises(usp.ArgumentError, match="cpu, cuda"):
        usp.random.torch_normal((2,), 1, device="tpu")
    torch = pytest.importorskip("torch")
    for shape in ((3,), (2, 5), (4, 4, 8, 8)):
        torch.manual_seed(7)
        expected = torch.randn(shape).numpy()
        assert np.allclose(usp.random.torch_normal(shape, 7), expected, atol=1e-6)


def test_out_is_filled_in_place_and_may_be_strided():
    base = np.zeros((4, 6), np.float32)
    out = usp.random.normal((4, 3), 2, out=base[:, ::2])
    assert out.ctypes.data == base.ctypes.data
    assert np.all(base[:, 1::2] == 0)
    assert np.array_equal(base[:, ::2], usp.random.normal((4, 3), 2))


def test_arrays_cross_without_copies():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor, keep = _arrays.as_tensor(array, "x", shape=["B", 3])
    assert tensor.data == array.ctypes.data and keep is array
    assert list(tensor.strides[:2]) == [3, 1]
    turned, _ = _arrays.as_tensor(array.T, "x")
    assert list(turned.strides[:2]) == [1, 3]


@pytest.mark.parametrize(
    "bad, error, words",
    [
        (np.zeros((2, 3)), usp.DTypeError, "float64, expected float32"),
        (np.zeros((2, 4), np.float32), usp.ShapeError, r"\[2, 4\], expected \[B, 3\]"),
        (np.zeros((2, 3), np.float32)[:, ::-1], usp.ArgumentError, "ascontiguousarray"),
        (np.zeros((2, 3), ">f4"), usp.DTypeError, "byte order"),
        (np.zeros((2, 3), "c8"), usp.DTypeError, "no counterpart"),
        (object(), usp.DTypeError, "neither"),
    ],
)
def test_no_silent_copies(bad, error, words):
    with pytest.raises(error, match=words):
        _arrays.as_tensor(bad, "x", shape=["B", 3])


def test_arrays_that_no_struct_describes():
    with pytest.raises(usp.ShapeError, match="x: rank 9, expected at most 8"):
        _arrays.as_tensor(np.zeros((1,) * 9, np.float32), "x")
    packed = np.zeros(4, [("a", "f4"), ("b", "i2")])["a"]  # six bytes from one to the next
    shifted = np.zeros(9, np.uint8)[1:].view(np.float32)
    for array in (packed, shifted):
        with pytest.raises(usp.ArgumentError, match="not aligned to its elements.*contiguous"):
            _arrays.as_tensor(array, "x")


def test_read_only_outputs_are_refused():
    out = np.zeros((2, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(usp.ArgumentError, match="read-only"):
        usp.random.normal((2, 3), out=out)


def test_dlpack_needs_no_torch():
    array = np.arange(6, dtype=np.float32)

    class Foreign:
        def __dlpack__(self, **given):
            return array.__dlpack__(**given)

        def __dlpack_device__(self):
            return array.__dlpack_device__()

    tensor, _ = _arrays.as_tensor(Foreign(), "x")
    assert tensor.data == array.ctypes.data and tensor.shape[0] == 6


def test_torch_tensors_share_memory():
    torch = pytest.importorskip("torch")
    x = torch.zeros(2, 3)
    tensor, _ = _arrays.as_tensor(x, "x")
    assert tensor.data == x.data_ptr()
    half = torch.ones(4, dtype=torch.bfloat16)
    tensor, _ = _arrays.as_tensor(half, "x", dtype=None)
    assert tensor.dtype == _abi.usp_dtype.USP_BF16 and tensor.data == half.data_ptr()
    with pytest.raises(usp.ArgumentError, match="detach"):
        _arrays.as_tensor(torch.zeros(2, requires_grad=True), "x")
