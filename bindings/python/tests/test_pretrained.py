"""Folders of pretrained models: our own, diffusers' and timm's, read back and by those libraries."""

import ctypes
import json
import sys

import numpy as np
import pytest

import usp
from usp._library import lib
from usp._model import Model

IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)


def kl():
    return usp.VAE.create(
        base_width=8, multipliers=(1, 2), blocks_per_level=1, latent_channels=2, groups=4, scale=0.5,
        shift=0.25, decoder_attention=(1,), seed=2)


@pytest.mark.parametrize("make", [
    kl, lambda: usp.create("taesd", seed=1), lambda: usp.MaskedAutoencoder.create(
        grid=2, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2),
    lambda: usp.SiT.create(grid=(2, 3), channels=2, width=32, depth=1, heads=2, classes=4)])
def test_our_own_folders(make, tmp_path):
    model = make()
    model.save_pretrained(tmp_path / "m")
    again = type(model).from_pretrained(tmp_path / "m", layout="usp")
    assert again.config == model.config and again.fingerprint == model.fingerprint
    assert usp.load(tmp_path / "m").fingerprint == model.fingerprint
    assert json.loads((tmp_path / "m" / "config.json").read_text())["family"] == model.family
    with pytest.raises(usp.ArgumentError, match="layout: timm, but .* is of usp"):
        type(model).from_pretrained(tmp_path / "m", layout="timm")

    again = usp.Model.from_pretrained(tmp_path / "m")
    assert type(again) is type(model) and again.fingerprint == model.fingerprint
    borrowed = usp.Model.borrow(ctypes.addressof(model.handle.contents))
    assert type(borrowed) is type(model) and borrowed.fingerprint == model.fingerprint


def test_folders_of_another_family(tmp_path):
    model = usp.DiT.create(grid=2, width=16, depth=1, heads=2, classes=3)
    model.save_pretrained(tmp_path / "m")
    for other in (usp.SiT, usp.VAE, usp.LightningDiT):
        with pytest.raises(usp.ArgumentError, match=f"m is of the family DiT, expected {other.__name__}"):
            other.from_pretrained(tmp_path / "m")
        with pytest.raises(usp.ArgumentError, match=f"family DiT, expected {other.__name__}"):
            other.borrow(ctypes.addressof(model.handle.contents))
    assert type(usp.SiT.load(tmp_path / "m")) is usp.SiT
    kl().save_pretrained(tmp_path / "v", layout="diffusers")
    assert type(usp.Model.from_pretrained(tmp_path / "v", layout="diffusers")) is usp.VAE
    with pytest.raises(usp.FormatError, match="no diffusion transformer in it"):
        usp.SiT.from_pretrained(tmp_path / "v")


@pytest.mark.parametrize("make", [kl, lambda: usp.create("taesd", seed=1)])
def test_diffusers_folders(make, tmp_path):
    vae = make()
    vae.save_pretrained(tmp_path / "v", layout="diffusers")
    again = usp.VAE.from_pretrained(tmp_path / "v", layout="diffusers")
    assert again.scale == vae.scale and again.shift == vae.shift
    assert np.array_equal(again.encode(IMAGE).mean, vae.encode(IMAGE).mean)
    with pytest.raises(usp.UnsupportedError, match="diffusers' of a SiT"):
        usp.SiT.create(grid=2, width=16, depth=1, heads=2).save_pretrained(
            tmp_path / "s", layout="diffusers")
    with pytest.raises(usp.ArgumentError, match="layout: 'keras', expected one of"):
        vae.save_pretrained(tmp_path / "k", layout="keras")


def test_diffusers_reads_them(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    if "torchvision" not in sys.modules:
        monkeypatch.setitem(sys.modules, "torchvision", None)
    diffusers = pytest.importorskip("diffusers")
    vae = kl()
    vae.save_pretrained(tmp_path / "kl", layout="diffusers")
    theirs = diffusers.AutoencoderKL.from_pretrained(tmp_path / "kl").eval()
    with torch.no_grad():
        mean = theirs.encode(torch.from_numpy(IMAGE)).latent_dist.mean.numpy()
    np.testing.assert_allclose(mean, vae.encode(IMAGE, scaled=False).mean, atol=1e-5)
    assert theirs.config.scaling_factor == vae.scale and theirs.config.shift_factor == vae.shift
    tiny = usp.create("taesd", seed=1)
    tiny.save_pretrained(tmp_path / "tiny", layout="diffusers")
    theirs = diffusers.AutoencoderTiny.from_pretrained(tmp_path / "tiny").eval()
    with torch.no_grad():
        z = theirs.encode(torch.from_numpy(IMAGE)).latents.numpy()
    np.testing.assert_allclose(z, tiny.encode(IMAGE).mean, atol=1e-5)


def lively(model):
    """The same sizes with weights that all matter: the head's start, layer scales and biases do not."""
    values = np.random.default_rng(5)
    arrays = model.checkpoint
    changed = usp.Checkpoint({
        name: np.float32(1 if "norm" in name and name.endswith("weight") else 0)
        + values.normal(0, 0.3, arrays[name].shape).astype(np.float32) for name in arrays})
    return Model._made(lib.usp_model_replace, model.handle, changed.handle)


TIMM = [
    dict(), dict(pool="avg"), dict(pool="avg", fc_norm=False), dict(fc_norm=True),
    dict(layer_scale=True), dict(mlp_ratio=2.7), dict(activation="gelu_quick"),
    dict(activation="gelu_tanh", registers=3), dict(registers=2, class_position=False),
    dict(registers=1, class_token=False, pool="avg"), dict(class_position=False),
    dict(class_token=False, pool="avg"), dict(pre_norm=True, epsilon=1e-5),
    dict(epsilon=1e-5, qk_norm=True), dict(rms_norm=True), dict(rms_norm=True, qk_norm=True),
    dict(grid=(2, 1)), dict(channels=1)]


@pytest.mark.parametrize("sizes", TIMM, ids=lambda sizes: ",".join(sizes) or "plain")
def test_timm_folders(sizes, tmp_path):
    own = {**dict(grid=2, channels=3, patch=8, width=32, depth=2, heads=2, classes=5), **sizes}
    vit = lively(usp.create("ViT", seed=3, **own))
    image = IMAGE[:, :vit.config.channels, :, :8 * vit.config.grid_width]
    vit.save_pretrained(tmp_path / "t", layout="timm")
    again = usp.ViT.from_pretrained(tmp_path / "t", layout="timm")
    np.testing.assert_allclose(again.logits(image), vit.logits(image), atol=1e-5)
    assert np.abs(vit.logits(image)).max() > 0.1
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm", exc_type=Exception)
    theirs = timm.create_model(f"local-dir:{tmp_path / 't'}", pretrained=True).eval()
    with torch.no_grad():
        np.testing.assert_allclose(
            theirs(torch.from_numpy(image)).numpy(), vit.logits(image), atol=1e-5)


@pytest.mark.parametrize("sizes, words", [
    (dict(epsilon=1e-4), "epsilon"), (dict(qk_norm=True), "qk_norm"), (dict(swiglu=True), "swiglu"),
    (dict(rope=True), "rope"), (dict(attention_epsilon=1e-5), "attention_epsilon"),
    (dict(rms_norm=True, epsilon=1e-5), "epsilon"), (dict(head="probe"), "linear head")])
def test_what_timm_cannot_say_is_refused(sizes, words, tmp_path):
    vit = usp.create(
        "ViT", grid=2, channels=3, patch=8, width=32, depth=1, heads=2, classes=5, seed=3, **sizes)
    with pytest.raises(usp.UnsupportedError, match=words):
        vit.save_pretrained(tmp_path / "t", layout="timm")
    assert not (tmp_path / "t").exists()


def test_diffusers_has_no_autoencoder_without_variance(tmp_path):
    vae = usp.VAE.create(
        base_width=8, multipliers=(1, 2), blocks_per_level=1, latent_channels=2, groups=4,
        double_z=False, seed=2)
    with pytest.raises(usp.UnsupportedError, match="double_z"):
        vae.save_pretrained(tmp_path / "kl", layout="diffusers")
    assert not (tmp_path / "kl").exists()
