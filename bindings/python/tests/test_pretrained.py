"""Folders of pretrained models: our own, diffusers' and timm's, read back and by those libraries."""

import ctypes
import json

import numpy as np
import pytest

import usp

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


def test_diffusers_reads_them(tmp_path):
    torch = pytest.importorskip("torch")
    import sys
    sys.modules.setdefault("torchvision", None)
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


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_timm_folders(pool, tmp_path):
    vit = usp.create(
        "ViT", grid=2, channels=3, patch=8, width=32, depth=2, heads=2, classes=5, pool=pool, seed=3)
    vit.save_pretrained(tmp_path / "t", layout="timm")
    again = usp.ViT.from_pretrained(tmp_path / "t", layout="timm")
    assert np.array_equal(again.logits(IMAGE), vit.logits(IMAGE))
    torch = pytest.importorskip("torch")
    import sys
    sys.modules.setdefault("torchvision", None)
    try:
        import timm
    except ImportError as error:
        pytest.skip(str(error))
    theirs = timm.create_model(f"local-dir:{tmp_path / 't'}", pretrained=True).eval()
    with torch.no_grad():
        np.testing.assert_allclose(
            theirs(torch.from_numpy(IMAGE)).numpy(), vit.logits(IMAGE), atol=1e-5)
