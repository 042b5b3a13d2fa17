"""Files of arrays through ctypes: every golden container, views, saving, errors."""

import gc
import os
import subprocess
import sys
import warnings
import zipfile

import golden
import numpy as np
import pytest

import usp

CONTAINERS = golden.FOLDER / "containers"


def test_a_mapping_of_read_only_views():
    checkpoint = usp.Checkpoint.open(CONTAINERS / "types.safetensors")
    expected = usp.Checkpoint.open(CONTAINERS / "types.expected.safetensors")
    assert len(checkpoint) > 3 and set(checkpoint) == set(expected)
    for name, array in checkpoint.items():
        assert not checkpoint.raw(name).flags.writeable
        assert np.array_equal(array, expected[name], equal_nan=array.dtype.kind == "f")
        assert array.shape == checkpoint.shape(name)
    name = next(iter(checkpoint))
    assert checkpoint[name].ctypes.data == checkpoint[name].ctypes.data


def test_views_outlive_their_checkpoint():
    checkpoint = usp.Checkpoint.open(CONTAINERS / "arrays_deflated.npz")
    name = next(iter(checkpoint))
    array = checkpoint[name]
    before = array.copy()
    checkpoint.close()
    gc.collect()
    assert np.array_equal(array, before, equal_nan=True)
    with pytest.raises(usp.ArgumentError, match="is closed"):
        len(checkpoint)


def test_tables_and_metadata():
    path = CONTAINERS / "training.pth"
    everything = usp.Checkpoint.open(path, table="*")
    assert len(everything.tables) > 1
    assert "model" in everything.tables
    model = usp.Checkpoint.open(path, table="model")
    assert all(f"model.{name}" in everything for name in model)
    with pytest.raises(usp.MissingWeightError, match="model"):
        usp.Checkpoint.open(path, table="nothing")
    assert "tables:" in model.report


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_save_and_open_again(tmp_path, ending):
    arrays = {
        "f32": usp.random.normal((3, 4), 1), "f64": np.arange(3.0), "i64": np.arange(4),
        "u8": np.arange(5, dtype=np.uint8), "strided": usp.random.normal((4, 6), 2)[:, ::2],
        "scalar": np.float32(3).reshape(()), "empty": np.zeros((0, 3), np.float32),
    }
    made = usp.Checkpoint(arrays)
    path = tmp_path / f"made{ending}"
    made.save(path)
    again = usp.Checkpoint.open(path)
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype and np.array_equal(again[name], array)
    if ending == ".pt":  # PyTorch reads through zip readers that check
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None


def test_save_converts_and_nests(tmp_path):
    x = usp.random.normal((16, 16), 1)
    made = usp.Checkpoint({"x": x, "n": np.arange(3)})
    made.save(tmp_path / "half.safetensors", dtype="bf16")
    half = usp.Checkpoint.open(tmp_path / "half.safetensors")
    assert half.dtype("x") == "bf16" and half.dtype("n") == "i64"
    assert golden.difference(half["x"], x) < 2**-8
    assert half.raw("x").dtype == np.uint16
    made.save(tmp_path / "nested.pt", tables=["model", "ema"])
    assert usp.Checkpoint.open(tmp_path / "nested.pt").tables == ("model", "ema")
    with pytest.raises(usp.ArgumentError, match="tables"):
        made.save(tmp_path / "nested.safetensors", tables=["model"])
    with pytest.raises(usp.ArgumentError, match="safetensors, torch"):
        made.save(tmp_path / "x", format="gguf")


def test_torch_reads_what_we_write(tmp_path):
    torch = pytest.importorskip("torch")
    x = usp.random.normal((3, 4), 1)
    usp.Checkpoint({"x": x}).save(tmp_path / "a.pt", tables=["model", "ema"])
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert np.array_equal(loaded["ema"]["x"].numpy(), x)


def test_errors(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        usp.Checkpoint.open(tmp_path / "nowhere")
    (tmp_path / "page.pt").write_bytes(b"<html>not a checkpoint</html>")
    with pytest.raises(usp.FormatError, match="web page"):
        usp.Checkpoint.open(tmp_path / "page.pt")
    checkpoint = usp.Checkpoint({"blocks.0.weight": np.zeros(3, np.float32)})
    with pytest.raises(KeyError, match="did you mean 'blocks.0.weight'"):
        checkpoint["block.0.weight"]
    assert "x" not in checkpoint and 3 not in checkpoint
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "no folder" / "x.safetensors")


PEAK = """
import sys, usp
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10
small = usp.DiT.load(sys.argv[2], num_heads=2)
start = peak()
if sys.argv[3] == "model":
    loaded = usp.DiT.load(sys.argv[1], num_heads=8).parameters
else:
    loaded = usp.Checkpoint.open(sys.argv[1])
total = sum(float(array.max()) for array in loaded.values())
print(peak() - start)
"""


@pytest.mark.parametrize("what", ["model", "checkpoint"])
@pytest.mark.parametrize("ending, dtype", [("safetensors", None), ("pt", None), ("pt", "f16")])
def test_loading_takes_the_weights_once(tmp_path, what, ending, dtype):
    """Peak memory of loading and reading everything: the weights once, 5 %, a little of Python."""
    if what == "checkpoint" and dtype:
        pytest.skip("arrays stay as small as in the file")
    model = usp.DiT.create(grid=16, width=512, depth=5, heads=8, seed=1)
    small = usp.DiT.create(grid=4, width=32, depth=1, heads=2, seed=1)
    model.save(tmp_path / f"model.{ending}", dtype=dtype)
    small.save(tmp_path / f"small.{ending}", dtype=dtype)
    paths = [str(tmp_path / f"{name}.{ending}") for name in ("model", "small")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    grown = subprocess.run(
        [sys.executable, "-c", PEAK, *paths, what], env=environment, capture_output=True, text=True,
        check=True)
    assert int(grown.stdout) < 1.05 * 4 * model.size + (4 << 20)


def test_what_cannot_be_read_is_told():
    with pytest.warns(UserWarning, match="types.npz: 13 arrays cannot be read: .*uint16"):
        checkpoint = usp.Checkpoint.open(golden.FOLDER / "odd" / "types.npz")
    assert list(checkpoint) == ["read"] and len(checkpoint.unread) == 13
    assert checkpoint.unread["c8"] == "element type complex64 is not read, [2, 3]"
    with pytest.raises(usp.UnsupportedError, match="'c8' is in the file, but element type"):
        checkpoint["c8"]
    # Of other tables and of objects beside the arrays there is no warning.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not usp.Checkpoint.open(CONTAINERS / "training.pth").unread


@pytest.mark.parametrize("protocol", ["2", "4", "5", "legacy"])
def test_numpy_arrays_of_pytorch_files(protocol):
    with pytest.warns(UserWarning, match="5 arrays cannot be read"):
        checkpoint = usp.Checkpoint.open(golden.FOLDER / "odd" / f"numpy_{protocol}.pt")
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(checkpoint["fortran"], plain)
    assert np.array_equal(checkpoint["turned"], plain.T) and checkpoint["big"].dtype == np.float32


def test_damaged_npz_is_an_error(tmp_path):
    for name, write in (("stored", np.savez), ("deflated", np.savez_compressed)):
        path = tmp_path / f"{name}.npz"
        write(path, a=np.arange(4096, dtype=np.float32), b=np.zeros(3))
        whole = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            middle = archive.getinfo("a.npy").compress_size // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
        checkpoint = usp.Checkpoint.open(path)
        with pytest.raises(usp.FormatError, match="checksum|damaged"):
            checkpoint["a"]
        assert np.array_equal(checkpoint["b"], np.zeros(3))


def test_a_file_that_is_written_to_is_an_error(tmp_path):
    """Above 32 MiB files are mapped: cutting one short must not end the process."""
    path = tmp_path / "a.safetensors"
    usp.Checkpoint({"a": np.ones((3000, 3000), np.float32)}).save(path)
    code = """
import sys, numpy as np, usp
checkpoint = usp.Checkpoint.open(sys.argv[1])
view = checkpoint["a"]
assert view[-1, -1] == 1
with open(sys.argv[1], "r+b") as file:
    file.truncate(100)
assert view[1500].sum() == 0 and view[-1, -1] == 0
try:
    checkpoint["a"]
    sys.exit("no error")
except usp.FileError as error:
    assert "was changed while it was in use" in str(error), error
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment)
    assert done.returncode == 0


def test_a_model_whose_file_is_written_to(tmp_path):
    """Before its first call and after it; a file that is replaced by renaming is no matter."""
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model = usp.DiT.create(
        grid=8, channels=4, patch=2, width=384, depth=6, heads=6, classes=10, seed=1)
    model.save(path)
    model.save(other)
    assert path.stat().st_size > 40 << 20
    given = (np.zeros((1, 4, 16, 16), np.float32), np.array([5.0], np.float32), np.array([1]))
    used, fresh, kept = (usp.DiT.load(p, num_heads=6) for p in (path, path, other))
    expected = used.forward(*given)
    os.truncate(path, 1 << 20)
    os.replace(path, other)
    for broken in (used, fresh, used, fresh):
        with pytest.raises(usp.FileError, match="in use"):
            broken.forward(*given)
    assert np.array_equal(kept.forward(*given), expected)


def test_saving_keeps_mode_and_link(tmp_path):
    path, link = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    checkpoint = usp.Checkpoint({"a": np.ones(3, np.float32)})
    checkpoint.save(path)
    path.chmod(0o640)
    link.symlink_to(path.name)
    usp.Checkpoint({"b": np.ones(4, np.float32)}).save(link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert list(usp.Checkpoint.open(path)) == ["b"]


def test_eight_bits_with_a_scale_a_row(tmp_path):
    """Weights of products in int8; other arrays, and arrays of other formats, as they were."""
    path = tmp_path / "m.safetensors"
    model = usp.SiT.create(grid=4, width=64, depth=2, heads=2, classes=5, seed=3)
    model.save(path, dtype="int8")
    loaded = usp.SiT.load(path, num_heads=2)
    for name, value in model.parameters.items():
        again = loaded.parameters[name]
        if name.startswith("blocks.") and name.endswith(".weight") and "adaLN" not in name:
            rows = value.reshape(len(value), -1)
            scale = np.abs(rows).max(1, keepdims=True).astype(np.float32) / np.float32(127)
            expected = np.round(rows / np.where(scale > 0, scale, 1)).astype(np.int8) * scale
            assert np.array_equal(again.reshape(rows.shape), expected), name
        else:
            assert np.array_equal(again, value), name
    plain = tmp_path / "plain.safetensors"
    model.save(plain)
    assert path.stat().st_size < 0.65 * plain.stat().st_size
    assert "I8 in the file" in usp.Checkpoint.open(path).report
    again = tmp_path / "again.safetensors"
    usp.Checkpoint.open(path).save(again)
    assert usp.Checkpoint.open(again).dtype("blocks.0.attn.qkv.weight") == "f32"
    with pytest.raises(usp.UnsupportedError, match="int8.*safetensors"):
        model.save(tmp_path / "m.pt", dtype="int8")
    # subnormal numbers, whose scale is coarse: the nearest that there is, and no trap
    tiny = np.float32([[190 * 2.0**-149, -1e-45], [0, 0]])
    usp.Checkpoint({"a.weight": tiny}).save(again, dtype="int8")
    assert np.array_equal(
        usp.Checkpoint.open(again)["a.weight"], np.float32([[127 * 2.0**-149, -1e-45], [0, 0]]))
    # a scale that does not fit its integers is an array like others
    odd = tmp_path / "odd.safetensors"
    usp.Checkpoint({
        "a.weight": np.ones((3, 2), np.int8), "a.weight_scale": np.ones((2, 1), np.float32),
    }).save(odd)
    assert usp.Checkpoint.open(odd).dtype("a.weight") == "i8"
    with pytest.raises(usp.NotFiniteError, match="a.weight: row 1"):
        usp.Checkpoint({"a.weight": np.float32([[1, 2], [np.inf, 0]])}).save(odd, dtype="int8")
    assert usp.Checkpoint.open(odd).dtype("a.weight") == "i8"


@pytest.mark.parametrize("write", [
    lambda path: usp.Checkpoint({"a": np.arange(64, dtype=np.float32)}).save(path, checksums=True),
    lambda path: usp.ViT.create(grid=2, width=16, depth=1, heads=2, classes=3).save(
        path, checksums=True),
])
def test_one_flipped_bit_is_an_error(write, tmp_path):
    path = tmp_path / "a.safetensors"
    write(path)
    first = next(iter(usp.Checkpoint.open(path)))
    usp.Checkpoint.open(path)[first]
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    names = list(usp.Checkpoint.open(path))
    with pytest.raises(usp.USPError, match="CRC-32"):
        for name in names:
            usp.Checkpoint.open(path)[name]
