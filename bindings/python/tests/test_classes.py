"""Labels go by what classes are called: folders with other classes beside a model's, or fewer."""

import json

import numpy as np
import pytest

import usp

VAE = dict(base_width=8, multipliers=(1, 2), blocks_per_level=1, latent_channels=2, groups=4)
SMALL = dict(width=16, depth=2, heads=2, patch=2)
COLOURS = {"azure": (30, 90, 250), "maize": (250, 220, 60), "ruby": (220, 20, 40)}


def pictures(folder, numbers):
    """Pictures of a colour and some grain; `numbers` has the folder's name and colour of each."""
    draw = np.random.default_rng(len(numbers))
    for place, (name, colour) in enumerate(numbers):
        pixels = np.array(COLOURS[colour]) + draw.integers(-20, 21, (16, 16, 3))
        (folder / name).mkdir(parents=True, exist_ok=True)
        usp.images.save(folder / name / f"{place}.png", np.clip(pixels, 0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def vae():
    return usp.VAE.create(seed=3, **VAE)


@pytest.fixture
def learned(tmp_path, vae):
    """A classifier that tells the three apart, and its data."""
    folder = pictures(tmp_path / "train", [(name, name) for name in COLOURS] * 6)
    data = usp.Data(folder, size=16, batch=6)
    done = usp.finetune(data, vae, steps=60, rate=5e-3, label_smoothing=0.0, warmup=0, **SMALL)
    return data, done.model


def test_a_class_less_moves_no_label(tmp_path, vae, learned):
    data, model = learned
    assert model.class_names == data.classes == ["azure", "maize", "ruby"]
    some = usp.Data(
        pictures(tmp_path / "val", [("maize", "maize"), ("ruby", "ruby")] * 4), size=16, batch=2)
    assert some.classes == ["maize", "ruby"]
    found = usp.robustness({"model": model}, usp.Data(tmp_path / "val", vae=vae, size=16, batch=2),
                           sigmas="none", steps="none", shares=[0.01])
    clean = found.numbers["linear"]["accuracy"]["model"][0]
    assert clean == 1.0  # by its own numbers a label would be one less: 0
    done = usp.finetune(data, vae, start=model, val=some, steps=1, rate=0.0)
    assert done.model.class_names == data.classes and done.accuracy is not None
    sit = usp.SiT.create(grid=4, channels=2, width=16, depth=1, heads=2, classes=3)
    settings = dict(blocks=[1], times=[1.0], steps=200, final_epochs=2, batch=18, rate=30)
    probe = usp.probe_diffusion(sit, usp.Data(tmp_path / "train", vae=vae, size=16, batch=2), **settings,
                                val=usp.Data(tmp_path / "val", vae=vae, size=16, batch=2))
    assert probe.numbers["best"]["accuracy"] > 0.9


def test_classifiers_may_number_classes_each_in_its_own_way(tmp_path, vae, learned):
    _data, model = learned
    other = usp.ViT.load(_turned(model, tmp_path / "other.safetensors"), "avg", num_heads=2)
    assert other.class_names == ["ruby", "azure", "maize"]
    seen = usp.Data(tmp_path / "train", vae=vae, size=16, batch=2)
    curves = usp.robustness({"one": model, "two": other}, seen, sigmas="none", steps="none",
                            shares=[0.5]).numbers["linear"]["accuracy"]
    assert curves["one"] == curves["two"] and curves["one"][0] == 1.0


def _turned(model, path):
    """The same classifier with its classes in another order, in a file."""
    order = [2, 0, 1]
    weights = {name: np.array(value) for name, value in model.parameters.items()}
    for name in ("head.weight", "head.bias"):
        weights[name] = weights[name][order]
    usp.Checkpoint(weights).save(path)
    file = path.read_bytes()
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + length])
    header["__metadata__"] = {"usp.class_names": json.dumps([model.class_names[i] for i in order])}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + file[8 + length:])
    return path


def test_unknown_classes_are_named(tmp_path, vae, learned):
    data, model = learned
    val = usp.Data(pictures(tmp_path / "val", [("pear", "maize"), ("ruby", "ruby")] * 2), size=16)
    with pytest.raises(usp.ArgumentError, match="the class pear is none of the expected: azure, maize"):
        usp.finetune(data, vae, start=model, val=val, steps=1)
    with pytest.raises(usp.ArgumentError, match="the class pear is none of the expected"):
        usp.robustness(model, usp.Data(tmp_path / "val", vae=vae, size=16))


def test_a_diffusion_transformer_goes_on_with_its_own_numbers(tmp_path, vae, learned):
    data, _model = learned
    sit = usp.train(data, vae, steps=1, model="SiT-S/2", **SMALL)
    some = usp.Data(
        pictures(tmp_path / "more", [("maize", "maize"), ("ruby", "ruby")] * 4), size=16, batch=4)
    stage = usp.Stage("train", some, vae, start=sit, steps=1, batch=4)
    assert "the data's classes are numbered as the model's" in " ".join(stage.notes)
    assert set(np.asarray(stage.data.batch(0)[1])) == {1, 2}
    assert stage.model().class_names == ["azure", "maize", "ruby"]
    others = usp.Data(pictures(tmp_path / "fruit", [("pear", "maize")] * 4), size=16, batch=4)
    stage = usp.Stage("train", others, vae, start=sit, steps=1, batch=4)
    assert "trained on the classes azure, maize, ruby; the data's, pear" in " ".join(stage.notes)


def test_a_family_is_what_was_asked_for(vae, learned):
    data, _model = learned
    for family in ("DiT", "SiT"):
        assert usp.train(data, vae, family=family, steps=1, **SMALL).family == family
    with pytest.raises(usp.ArgumentError, match="family: DiT, but SiT-S/2 is a SiT"):
        usp.train(data, vae, family="DiT", model="SiT-S/2", steps=1, **SMALL)


def test_masked_autoencoders_know_their_latents(vae, learned):
    data, _model = learned
    run = usp.pretrain(data, vae, steps=1, decoder_width=16, decoder_depth=1, decoder_heads=2, **SMALL)
    assert run.model.autoencoder == vae.fingerprint
