"""dtype="int8": transformer blocks multiply in 8 bits, for inference."""

import json

import numpy as np
import pytest

import usp


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same SiT in f32 and with 8-bit weights; all parameters are random."""
    folder = tmp_path_factory.mktemp("int8")
    model = usp.SiT.create(grid=4, width=96, depth=3, heads=4, classes=5, seed=3)
    random = np.random.default_rng(0)
    weights = {
        name: value + np.float32(0.5) * random.standard_normal(value.shape).astype(np.float32)
        / np.float32(np.sqrt(value.shape[-1])) for name, value in model.parameters.items()}
    model = usp.SiT.load(weights, num_heads=4)
    model.save(folder / "plain.safetensors")
    model.save(folder / "small.safetensors", dtype="int8")
    return folder


def prediction(model):
    """Of fixed latents."""
    return model(usp.random.normal((3, 4, 8, 8), seed=1), [0.1, 0.5, 0.9], [0, 3, 5])


def test_blocks_in_eight_bits(files):
    """Near f32, the same bits for a sample alone, whatever names the type."""
    plain = files / "plain.safetensors"
    exact = prediction(usp.SiT.load(plain, 4))
    model = usp.SiT.load(plain, 4, dtype="int8")
    coarse = prediction(model)
    error = np.linalg.norm(coarse - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 3e-2
    assert np.array_equal(coarse, prediction(usp.load(plain, 4, family="SiT", dtype=np.int8)))
    latents = usp.random.normal((3, 4, 8, 8), seed=1)
    assert np.array_equal(model(latents[1:2], [0.5], [3]), coarse[1:2])


def test_files_of_eight_bits(files):
    """Their integers are what is multiplied; parameters are those that every loader reads."""
    small = files / "small.safetensors"
    model = usp.SiT.load(small, 4, dtype="int8")
    coarse, exact = prediction(model), prediction(usp.SiT.load(files / "plain.safetensors", 4))
    assert np.linalg.norm(coarse - exact) / np.linalg.norm(exact) < 3e-2
    widened = usp.SiT.load(small, 4)
    for name, value in widened.parameters.items():
        assert np.array_equal(model.parameters[name], value), name
    assert np.array_equal(prediction(model), coarse)


def test_gradients_and_training_are_refused(files):
    """In words that say what to do."""
    model = usp.SiT.load(files / "small.safetensors", 4, dtype="int8")
    latents = usp.random.normal((2, 4, 8, 8), seed=1)
    with pytest.raises(usp.UnsupportedError, match="computes in int8.*load it with f32 or bf16"):
        usp.Trainer(model)
    with pytest.raises(usp.UnsupportedError, match="int8 is for inference and has no gradients"):
        model.gradients(latents, [0.1, 0.5], [0, 3])
    usp.VAE.create(base_width=32, multipliers=(1, 1), blocks_per_level=1).save(files / "vae.pt")
    with pytest.raises(usp.UnsupportedError, match="int8.*this VAE has none"):
        usp.load(files / "vae.pt", dtype="int8")
    with pytest.raises(usp.ArgumentError, match="compute.*f32.*bf16.*i8"):
        usp.SiT.load(files / "plain.safetensors", 4, dtype="int9")
    with pytest.raises(usp.ArgumentError, match="dtype"):
        usp.Trainer(usp.SiT.load(files / "plain.safetensors", 4), dtype="int8")


def test_shards_of_eight_bits(files, tmp_path):
    """A matrix and its scales in one shard, or in two; every array is in the index."""
    arrays = raw_arrays(files / "small.safetensors")
    for split in (lambda name: "scale" in name, lambda name: "blocks.0" in name):
        index = {}
        for number in (1, 2):
            part = {name: value for name, value in arrays.items() if split(name) == (number == 1)}
            usp.Checkpoint(part).save(tmp_path / f"model-{number}.safetensors")
            index.update({name: f"model-{number}.safetensors" for name in part})
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
        model = usp.SiT.load(tmp_path, 4, dtype="int8")
        assert np.array_equal(
            prediction(model), prediction(usp.SiT.load(files / "small.safetensors", 4, dtype="int8")))


def test_eight_bits_of_other_sources(files, tmp_path):
    """Mappings and .npz hold the same pairs; integers without scales are no weights."""
    arrays = raw_arrays(files / "small.safetensors")
    expected = prediction(usp.SiT.load(files / "small.safetensors", 4))
    np.savez(tmp_path / "small.npz", **arrays)
    for source in (arrays, tmp_path / "small.npz"):
        assert np.array_equal(prediction(usp.SiT.load(source, 4)), expected)
    bare = {name: value for name, value in arrays.items() if not name.endswith("_scale")}
    with pytest.raises(usp.FormatError, match="i8 without a scale a row, expected blocks.0.*_scale"):
        usp.SiT.load(bare, 4)


def raw_arrays(path):
    """The arrays of a safetensors file as it has them."""
    file = path.read_bytes()
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + length])
    kinds = {"F32": np.float32, "I8": np.int8}
    return {
        name: np.frombuffer(file[8 + length:][slice(*entry["data_offsets"])], kinds[entry["dtype"]])
        .reshape(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
