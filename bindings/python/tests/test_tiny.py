"""Tiny autoencoders (TAESD, AutoencoderTiny) against diffusers', from every layout they come in."""

import json

import numpy as np
import pytest

import golden
import usp

CASE = golden.load("models/tiny")


@pytest.fixture
def vae():
    return usp.VAE.load(golden.params("models/tiny"))


def test_it_encodes_and_decodes_as_diffusers(vae):
    assert vae.factor == 4 and vae.latent_channels == 3 and vae.scale == 1
    assert vae.config.tiny and vae.config.encoder_blocks == (1, 2, 1)
    posterior = vae.encode(CASE["in.images"])
    assert golden.difference(posterior.mean, CASE["out.latents"]) < 1e-5
    assert (posterior.logvar == -30).all()
    assert golden.difference(vae.decode(CASE["in.z"]), CASE["out.image"]) < 1e-5
    tiled = vae.decode(CASE["in.z"], tile=4, overlap=2)
    assert tiled.shape == CASE["out.image"].shape


def test_it_trains_as_diffusers(vae):
    loss, gradients = usp.Trainer(vae).gradients(CASE["in.images"])
    assert loss == pytest.approx(float(CASE["out.loss"]), rel=1e-5)
    for name, value in CASE.items():
        if name.startswith("grad."):
            assert golden.difference(gradients[name[5:]], value) < 1e-4, name


def test_its_files(vae, tmp_path):
    vae.save(tmp_path / "t.safetensors")
    again = usp.load(tmp_path / "t.safetensors")
    assert again.config == vae.config and again.fingerprint == vae.fingerprint
    (tmp_path / "folder").mkdir()
    usp.Checkpoint(vae.parameters).save(
        tmp_path / "folder" / "diffusion_pytorch_model.safetensors")
    (tmp_path / "folder" / "config.json").write_text(
        json.dumps({"_class_name": "AutoencoderTiny", "scaling_factor": 0.5}))
    assert usp.VAE.load(tmp_path / "folder").scale == 0.5


def parts(vae, part):
    """The layout of TAESD's own files: the numbers of a sequence, whose decoder begins at 1."""
    first = 1 if part == "decoder" else 0
    for name, value in vae.parameters.items():
        where, _layers, index, rest = name.split(".", 3)
        if where == part:
            yield f"{int(index) + first}.{rest}", value


def test_encoder_and_decoder_alone(vae):
    encoder = usp.VAE.load(dict(parts(vae, "encoder")))
    decoder = usp.VAE.load(dict(parts(vae, "decoder")))
    assert np.array_equal(
        encoder.encode(CASE["in.images"]).mean, vae.encode(CASE["in.images"]).mean)
    assert np.array_equal(decoder.decode(CASE["in.z"]), vae.decode(CASE["in.z"]))
    assert encoder.factor == decoder.factor == 4
    with pytest.raises(usp.UnsupportedError, match="a decoder alone; it cannot encode"):
        decoder.encode(CASE["in.images"])
    with pytest.raises(usp.UnsupportedError, match="an encoder alone; it cannot decode"):
        encoder.decode(CASE["in.z"])


def test_the_published_variants():
    taesd = usp.create("taesd", seed=1)
    assert taesd.factor == 8 and taesd.latent_channels == 4 and taesd.size == 2_445_063
    sana = usp.create(
        "taesd", strided_stem=True, multipliers=(1,) * 6, latent_channels=32, decoder_blocks=(),
        decoder_widths=())
    assert sana.factor == 32 and sana.encode(np.zeros((1, 3, 64, 32), np.float32)).mean.shape == (
        1, 32, 2, 1)
    again = usp.VAE.load(sana.checkpoint)
    assert again.config == sana.config
    flux = usp.create(
        "taesd", pooled_blocks=True, encoder_blocks=(), latent_channels=32)
    names = {name: value for name, value in flux.parameters.items()}
    assert "decoder.layers.2.pool.3.weight" in names and "decoder.layers.7.pool.0.weight" not in names
    assert usp.VAE.load(names).config == flux.config
    with pytest.raises(usp.ArgumentError, match="3 decoder_widths for 4 levels"):
        usp.create("taesd", decoder_widths=(8, 8, 8))


def test_the_small_autoencoder_comes_along(tmp_path, monkeypatch):
    vae = usp.VAE.load("small")
    assert vae.factor == 4 and vae.latent_channels == 4 and vae.size == 648_375
    y, x = np.mgrid[0:64, 0:64] / 63
    image = np.stack([np.sin(3 * x + y), np.cos(2 * y - x), x * y])[None].astype(np.float32)
    latents = vae.encode(image).mean
    error = np.mean((np.clip(vae.decode(latents), -1, 1) - image) ** 2)
    # far from photographs; those that were held out come back at 22 dB
    assert 10 * np.log10(4 / error) > 15, error
    # a file of that name comes first
    monkeypatch.chdir(tmp_path)
    usp.create("taesd").save("small.safetensors")
    (tmp_path / "small.safetensors").rename(tmp_path / "small")
    assert usp.VAE.load("small").config.tiny
