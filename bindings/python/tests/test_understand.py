"""Robustness of classifiers, and probes of diffusion transformers, against sums of one's own."""

import json
from xml.dom import minidom

import numpy as np
import pytest

import usp

PHOTOS = (40, 48)


def latents_file(path, latents, labels):
    usp.Checkpoint({"latents": latents, "labels": np.asarray(labels, np.int64)}).save(path)
    return usp.Data(path, batch=2)


def classifier(seed, classes=3, grid=2, channels=4):
    """Its head tells classes apart by more than 2e-5."""
    model = usp.ViT.create(
        grid=grid, channels=channels, patch=2, width=16, depth=1, heads=2, classes=classes,
        pool="avg", seed=seed)
    weights = {name: np.array(value) for name, value in model.parameters.items()}
    weights["patch_embed.proj.weight"] *= 20
    weights["head.weight"] = np.random.default_rng(seed).normal(size=(classes, 16)).astype("f4")
    return usp.ViT.load(weights, "avg", num_heads=2)


def accuracy(model, inputs, labels):
    return float((model.logits(inputs.astype(np.float32)).argmax(1) == labels).mean())


def test_accuracies_are_those_of_noisy_latents(tmp_path):
    latents, labels = usp.random.normal((90, 4, 4, 4), seed=1), np.arange(90) % 3
    data = latents_file(tmp_path / "l.npz", latents, labels)
    models = {"one": classifier(1), "two": classifier(2)}
    found = usp.robustness(models, data, steps=[1, 300], shares=[0.25, 1.0], seed=7)
    noise, signals = usp.random.normal(latents.shape, seed=7), usp.Diffusion(respacing="").table("alphas_cumprod")
    assert found.numbers["linear"]["share"] == [0, 0.25, 1] and found.numbers["samples"] == 90
    assert found.numbers["ddpm"]["t"] == [0, 1, 300]
    for name, model in models.items():
        clean = accuracy(model, latents, labels)
        expected = [clean] + [
            accuracy(model, (1 - s) * latents + s * noise, labels) for s in (0.25, 1)]
        np.testing.assert_allclose(
            found.numbers["linear"]["accuracy"][name], expected, atol=1.01 / 90)
        expected = [clean] + [
            accuracy(model, np.sqrt(signals[t - 1]) * latents
                     + np.sqrt(1 - signals[t - 1]) * noise, labels) for t in (1, 300)]
        np.testing.assert_allclose(
            found.numbers["ddpm"]["accuracy"][name], expected, atol=1.01 / 90)
    curves = found.numbers["linear"]["accuracy"]
    assert curves["one"] != curves["two"] and len(set(curves["one"])) > 1
    assert "latents have no pixels" in found.numbers["note"] and "pixels" not in found.numbers


def test_noise_in_pixels_is_that_of_8_bit_images(photos):
    vae = usp.VAE.create(base_width=8, multipliers=(1, 2, 2), groups=4, seed=5)
    data = usp.Data(photos, vae=vae, size=16, batch=2)
    models = {
        "latents": classifier(3, 2), "pixels": classifier(4, 2, grid=8, channels=3)}
    found = usp.robustness(models, data, sigmas=[0.26], steps="none", shares="none", seed=2)
    images = usp.Data(photos, size=16, batch=2, augmentation="evaluation")[:][0]
    labels = np.array([0, 0, 0, 0, 1, 1])
    noisy = (images + 1) / 2 + 0.26 * usp.random.normal(images.shape, seed=2)
    noisy = np.floor(np.clip(noisy, 0, 1) * 255) / 127.5 - 1
    for name, see in (("latents", lambda x: vae.encode(x.astype("f4")).mean), ("pixels", lambda x: x)):
        np.testing.assert_allclose(
            found.numbers["pixels"]["accuracy"][name],
            [accuracy(models[name], see(x), labels) for x in (images, noisy)], atol=1e-9)
    assert list(found.pictures) == ["pixels"] and "ddpm" not in found.numbers


def test_what_is_found_is_kept(tmp_path):
    data = latents_file(tmp_path / "l.npz", usp.random.normal((9, 4, 4, 4)), np.arange(9) % 3)
    told = []
    found = usp.robustness(classifier(1), data, samples=6, progress=told.append)
    assert told[-1].step == told[-1].steps == 6 and told[-1].stage == "robustness"
    paths = found.save(tmp_path / "out", "robustness")
    assert json.loads(open(paths[0]).read()) == found.numbers
    assert [path.rsplit("/", 1)[1] for path in paths] == [
        "robustness.json", "robustness-ddpm.svg", "robustness-linear.svg"]
    assert found.pictures["linear"].startswith("<svg xmlns") and "accuracy" in found.pictures["ddpm"]
    assert "linear, share" in found.table and repr(found).startswith("<usp.Measurement: ddpm, linear>")
    odd = usp.robustness({"a <b> & 'c'": classifier(1)}, data)
    for svg in odd.pictures.values():
        minidom.parseString(svg)
    with pytest.raises(usp.Cancelled):
        usp.robustness(classifier(1), data, progress=lambda _: False)


def test_what_cannot_be_measured_is_told(tmp_path):
    data = latents_file(tmp_path / "l.npz", usp.random.normal((9, 4, 4, 4)), np.arange(9) % 3)
    with pytest.raises(usp.ShapeError, match=r"model: takes \[4, 8, 8\], the samples are \[4, 4, 4\]"):
        usp.robustness(classifier(1, grid=4), data)
    with pytest.raises(usp.ArgumentError, match="the classifier's are 0 to 1"):
        usp.robustness(classifier(1, classes=2), data)
    with pytest.raises(usp.ArgumentError, match="no noise is left to measure with; latents have no"):
        usp.robustness(classifier(1), data, steps="none", shares="none")
    bare = usp.ViT.create(
        grid=2, channels=4, patch=2, width=16, depth=1, heads=2, head="none", classes=3)
    with pytest.raises(usp.ArgumentError, match="model: has no head of classes"):
        usp.robustness(bare, data)
    with pytest.raises(usp.ArgumentError, match="steps: 1001"):
        usp.robustness(classifier(1), data, steps=[1001])
    with pytest.raises(usp.ArgumentError, match="expected a usp.ViT"):
        usp.robustness({"a": 3}, data)
    for models in ([classifier(1)], bare.config):
        with pytest.raises(usp.ArgumentError, match="expected a usp.ViT, or several by name"):
            usp.robustness(models, data)
    with pytest.raises(usp.ArgumentError, match="vae: int, expected a usp.VAE, or its file"):
        usp.robustness(classifier(1), data, vae=3)
    with pytest.raises(FileNotFoundError, match="vae.safetensors"):
        usp.robustness(classifier(1), data, vae="vae.safetensors")


def test_numbers_of_any_kind(tmp_path):
    data = latents_file(tmp_path / "l.npz", usp.random.normal((9, 4, 4, 4)), np.arange(9) % 3)
    model = classifier(1)
    found = [usp.robustness(model, data, shares=shares, steps="none").numbers["linear"] for shares in (
        "0.1,0.5", [0.1, 0.5], np.array([0.1, 0.5]), list(np.array([0.1, 0.5])))]
    assert all(other == found[0] for other in found) and found[0]["share"] == [0, 0.1, 0.5]
    assert usp.robustness(model, data, shares=0.5, steps="none").numbers["linear"]["share"] == [0, 0.5]
    sit = usp.SiT.create(grid=2, width=16, depth=2, heads=2, classes=3)
    probe = usp.probe_diffusion(
        sit, data, data, times=np.linspace(1, 0.5, 2), blocks=np.arange(1, 3), steps=2, rate=1, final_epochs=0)
    assert probe.numbers["times"] == [1, 0.5] and probe.numbers["blocks"] == [1, 2]
    one = sit.features(usp.random.normal((2, 4, 4, 4)), 0.9, layers=2)
    assert len(one) == 1 and one[0].shape == (2, 16)
    with pytest.raises(TypeError):
        sit.features(usp.random.normal((2, 4, 4, 4)), 0.9, layers=[1.9])


def coded(count, seed):
    """Latents whose class is in their first channel, and labels."""
    labels = np.arange(count) % 3
    latents = usp.random.normal((count, 4, 4, 4), seed=seed)
    latents[:, 0] += 2.5 * (labels - 1)[:, None, None]
    return latents, labels


def transformer(**more):
    model = usp.SiT.create(grid=2, width=32, depth=2, heads=2, classes=3, seed=4, **more)
    weights = {name: np.array(value) for name, value in model.parameters.items()}
    draw = np.random.default_rng(5)
    for name, value in weights.items():
        if "adaLN_modulation" in name:  # zero in a fresh one, so that blocks do nothing
            weights[name] = draw.normal(0, 0.3, value.shape).astype("f4")
    return usp.SiT.load(weights, num_heads=2, encoder_depth=1 if more else None)


def test_probes_find_the_classes_where_they_are(tmp_path):
    known, test = coded(120, 1), coded(60, 2)
    data, val = latents_file(tmp_path / "a.npz", *known), latents_file(tmp_path / "b.npz", *test)
    told = []
    found = usp.probe_diffusion(
        transformer(), data, val, times=[1, 0], steps=60, batch=60, rate=30.0, final_epochs=40,
        progress=told.append)
    numbers = found.numbers
    assert numbers["blocks"] == [1, 2] and numbers["times"] == [1, 0] and numbers["noise_at"] == 0
    cells = np.array(numbers["accuracy"])
    assert cells[:, 0].min() > 0.8 and cells[:, 1].max() < 0.55  # t 0 is noise alone
    best = numbers["best"]
    assert best["time"] == 1 and best["accuracy"] == cells.max() and best["trained"] > 0.8
    assert {progress.stage for progress in told} >= {"features", "probes", "best cell"}
    minidom.parseString(found.pictures["map"])
    assert found.pictures["map"].count("<rect") == 1 + 4 and "trained to the end" in found.table
    again = usp.probe_diffusion(
        transformer(), data, val, times=[1, 0], blocks=[2], steps=60, batch=60, rate=30.0,
        final_epochs=0)
    assert again.numbers["accuracy"] == [numbers["accuracy"][1]]
    assert "trained" not in again.numbers["best"]


def test_a_fifth_is_kept_where_nothing_is_given_to_measure_on(tmp_path):
    data = latents_file(tmp_path / "a.npz", *coded(100, 1))
    found = usp.probe_diffusion(transformer(), data, times="1", steps=20, batch=40, final_epochs=0)
    assert found.numbers["samples"] == 80 and found.numbers["test_samples"] == 20
    assert found.numbers["rate"] in (0.3, 1, 3, 10, 30)


def test_repas_time_runs_the_other_way(tmp_path):
    data = latents_file(tmp_path / "a.npz", *coded(60, 1))
    repa = transformer(projections=(8,), projector=8, encoder_depth=1)
    found = usp.probe_diffusion(repa, data, times=[0, 1], steps=40, batch=40, rate=30, final_epochs=0)
    cells = np.array(found.numbers["accuracy"])
    assert found.numbers["noise_at"] == 1 and cells[:, 0].min() > 0.7 > cells[:, 1].max()


def test_a_dit_has_steps(tmp_path):
    data = latents_file(tmp_path / "a.npz", *coded(60, 1))
    model = usp.DiT.create(grid=2, width=16, depth=1, heads=2, classes=3)
    found = usp.probe_diffusion(
        model, data, times=[0, 999], steps=40, batch=40, rate=30, final_epochs=0)
    cells = np.array(found.numbers["accuracy"])
    assert cells[0, 0] > 0.8 > cells[0, 1]
    with pytest.raises(usp.ArgumentError, match="times: 0.5, expected whole steps"):
        usp.probe_diffusion(model, data, times=[0.5])
    with pytest.raises(usp.ArgumentError, match="times: 2.0, expected 0 to 1 of a SiT"):
        usp.probe_diffusion(transformer(), data, times=[2])
    with pytest.raises(usp.ArgumentError, match="blocks: 3, the model has 1"):
        usp.probe_diffusion(model, data, blocks=[3])
