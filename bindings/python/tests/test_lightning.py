"""LightningDiT through ctypes: files of every combination of switches, trained, guided, saved."""

import golden
import numpy as np
import pytest

import usp

CASES = ["lightning", "lightning_qk", "lightning_layer", "lightning_off"]


def case(name):
    values = golden.load(f"models/{name}")
    return values, golden.params(f"models/{name}"), golden.MANIFEST[f"models/{name}"]["config"]


@pytest.mark.parametrize("name", CASES)
def test_files_load_as_they_are(name, tmp_path):
    values, file, config = case(name)
    heads = None if "rope=yes" in config["sizes"] or "qk_norm=yes" in config["sizes"] else 2
    model = usp.LightningDiT.load(file, heads)
    told = dict(pair.split("=") for pair in config["sizes"].split())
    for switch in ("rms_norm", "swiglu", "rope", "qk_norm", "shift", "learn_sigma"):
        assert getattr(model.config, switch) == (told[switch] == "yes"), switch
    assert model.config.heads == 2 and isinstance(model, usp.SiT)
    inputs = values["in.x"], values["in.t"], values["in.labels"]
    assert golden.difference(model.forward(*inputs), values["out.y"]) < 1e-5
    half = usp.LightningDiT.load(file, heads, dtype="bf16")
    assert 0 < golden.difference(half.forward(*inputs), values["out.y"]) < 3e-2
    loss, gradients = model.gradients(*inputs)
    assert abs(loss - float(values["out.loss"])) < 1e-5 * abs(loss)
    trained = {key for key in model.parameters if key != "pos_embed" and "feat_rope" not in key}
    assert set(gradients) == trained
    for key in [key for key in values if key.startswith("grad.")]:
        assert golden.difference(gradients[key[5:]], values[key]) < 1e-4, key
    # what is saved has the original's names, and loads as the same model
    model.save(tmp_path / "again.pt")
    assert set(usp.Checkpoint.open(tmp_path / "again.pt")) == set(model.parameters)
    again = usp.load(tmp_path / "again.pt")
    assert type(again) is usp.LightningDiT and again.config == model.config
    assert np.array_equal(again.forward(*inputs), model.forward(*inputs))


def test_families_of_a_file():
    _, file, _ = case("lightning")
    assert usp.load(file).family == "LightningDiT"
    as_sit = usp.SiT.load(file)
    assert as_sit.family == "SiT" and as_sit.config.rms_norm
    _, plain, _ = case("lightning_off")
    assert usp.load(plain, 2).family == "DiT"
    with pytest.raises(usp.ArgumentError, match="heads: 3, but the file shows 2"):
        usp.LightningDiT.load(file, 3)


def test_guided_pass_with_an_interval():
    values, file, _ = case("lightning_guided")
    model = usp.LightningDiT.load(file)
    for time, key in ((0.5, "inside"), (0.2, "below")):
        t = np.full(4, time, np.float32)
        out = model.forward_with_cfg(
            values["in.x"], t, values["in.labels"], 4.0, cfg_interval=(0.3, 1.0))
        assert golden.difference(out, values[f"out.{key}"]) < 1e-5
    free = model.forward_with_cfg(values["in.x"], t, values["in.labels"], 4.0)
    assert golden.difference(free, values["out.below"]) > 1e-3
    with pytest.raises(usp.ArgumentError, match="cfg_interval: .* expected the earlier time first"):
        model.forward_with_cfg(values["in.x"], t, values["in.labels"], 4.0, cfg_interval=(1, 0))


def test_published_sizes():
    assert {f"LightningDiT-{name}" for name in (
        "B/1", "B/2", "L/2", "XL/1", "XL/2", "1p0B/1", "1p0B/2", "1p6B/1", "1p6B/2",
    )} == {name for name in usp.presets() if name.startswith("LightningDiT")}
    model = usp.create("LightningDiT-B/1", depth=1)
    assert isinstance(model, usp.LightningDiT)
    assert model.input_shape(1) == (1, 32, 16, 16) and not model.config.learn_sigma
    assert model.parameters["blocks.0.mlp.w12.weight"].shape == (4096, 768)
    assert not model.forward(np.ones((1, 32, 16, 16), np.float32), [0.5]).any()
    with pytest.raises(usp.ArgumentError, match="rope: 5 heads of 6 each, expected a multiple of 4"):
        usp.LightningDiT.create(width=30, heads=5)


def test_training_lowers_the_loss():
    model = usp.LightningDiT.create(
        grid=4, channels=8, width=32, depth=2, heads=2, classes=3, qk_norm=True, shift=False, seed=1)
    trainer = usp.Trainer(
        model, rate=3e-3, transport=usp.Transport(cosine_loss=True, times="lognormal"))
    labels = np.arange(16) % 3
    latents = np.random.default_rng(0).normal(size=(3, 8, 4, 4)).astype(np.float32)[labels]
    losses = [trainer.step(latents, labels) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    trained = trainer.model()
    assert isinstance(trained, usp.LightningDiT) and trained.config == model.config
    for table in ("feat_rope.freqs_cos", "pos_embed"):
        assert np.array_equal(trained.parameters[table], model.parameters[table])
