"""The names that other test suites call, each exactly as they write it."""

from collections.abc import Mapping

import golden
import numpy as np
import pytest

import usp


def test_checkpoint(tmp_path):
    checkpoint = usp.Checkpoint.open(golden.params("models/dit_affine"))
    assert isinstance(checkpoint, Mapping)
    name, array = next(iter(checkpoint.items()))
    assert isinstance(name, str) and isinstance(array, np.ndarray)
    for ending in ("safetensors", "pt"):
        checkpoint.save(str(tmp_path / f"again.{ending}"))
        again = usp.Checkpoint.open(tmp_path / f"again.{ending}")
        assert set(again) == set(checkpoint) and np.array_equal(again[name], array)
    assert "arrays" in str(checkpoint.report)


def test_vae():
    vae = usp.VAE.load(golden.params("models/vae_encode"), dtype="f32")
    assert vae.scale == 0.18215
    posterior = vae.encode(golden.load("models/vae_encode")["in.images"])
    assert posterior.mean.shape == posterior.logvar.shape == (2, 4, 4, 6)
    noise = np.zeros(posterior.mean.shape, np.float32)
    assert np.array_equal(posterior.sample(noise=noise), posterior.mean)
    assert not np.array_equal(posterior.sample(), posterior.mean)
    assert vae.decode(posterior.mean).shape == (2, 3, 16, 24)
    assert usp.VAE.load(golden.params("models/vae_encode"), dtype=np.float32).scale == 0.18215


def test_masked_autoencoder():
    model = usp.MaskedAutoencoder.load(
        golden.params("models/mae_norm_patch"), num_heads=3, decoder_num_heads=2)
    case = golden.load("models/mae_norm_patch")
    latents, noise = case["in.images"], case["in.noise"]
    result = model.forward(
        latents, mask_ratio=0.75, noise=noise, target=None, norm_pix_loss=True, norm_image=False)
    loss, pred, mask = result
    assert (result.loss, result.pred.shape, result.mask.shape) == (loss, (2, 64, 16), (2, 64))
    assert np.isfinite(loss) and pred is result.pred and mask is result.mask
    assert np.isfinite(model.forward(latents, 0.75, noise, None, False, False).loss)
    again, gradients = model.gradients(
        latents, mask_ratio=0.75, noise=noise, target=None, norm_pix_loss=True, norm_image=False)
    assert again == pytest.approx(loss) and isinstance(gradients, Mapping)
    names = set(usp.Checkpoint.open(golden.params("models/mae_norm_patch")))
    assert set(gradients) == names - {"pos_embed", "decoder_pos_embed"}


def test_vit():
    weights = dict(usp.Checkpoint.open(golden.params("models/classifier_token")))
    case = golden.load("models/classifier_token")
    weights.update({name: case[f"param.{name}"] for name in ("head.weight", "head.bias")})
    for pool in ("token", "avg"):
        model = usp.ViT.load(weights, pool=pool, num_heads=3)
        assert model.features(case["in.images"]).shape == (5, 48)
        assert model.logits(case["in.images"]).shape == (5, 10)


@pytest.mark.parametrize("family", [usp.DiT, usp.SiT])
def test_diffusion_transformers(family):
    model = family.load(golden.params("models/dit_affine"), num_heads=3)
    case = golden.load("models/dit_affine_guided")
    x, y = case["in.x"], case["in.labels"]
    t = np.array([0.5] * 4, np.float32) if family is usp.SiT else case["in.t"]
    channels = 8 if family is usp.DiT else 4
    assert model.forward(x, t, y).shape == (4, channels, 16, 16)
    three = model.forward_with_cfg(x, t, y, 4.0)
    assert np.array_equal(model.forward_with_cfg(x, t, y, cfg_scale=4.0, channels=3), three)
    assert not np.array_equal(model.forward_with_cfg(x, t, y, cfg_scale=4.0, channels=4), three)
    loss, gradients = model.gradients(x, t, y)
    value = model.forward(x, t, y).astype(np.float64)
    assert loss == pytest.approx(np.mean(value**2), rel=1e-5)
    assert set(gradients) == set(usp.Checkpoint.open(golden.params("models/dit_affine"))) - {
        "pos_embed"}


def test_position_embedding():
    table = usp.position_embedding.sincos(48, 14)
    assert table.shape == (196, 48) and usp.position_embedding.sincos(48, (4, 6)).shape == (24, 48)
    assert usp.position_embedding.resize(table, 14, 16).shape == (256, 48)
    assert usp.position_embedding.resize(table, (14, 14), (7, 9)).shape == (63, 48)
    cos, sin = usp.position_embedding.rope(64, 16)
    assert cos.shape == sin.shape == (256, 64) and cos.dtype == np.float32
    with pytest.raises(ValueError, match="multiple of 4"):
        usp.position_embedding.rope(66, 16)


@pytest.mark.parametrize(
    "old, new", [(14, 16), (14, 32), (16, 14), (7, 13), ((7, 5), (4, 9)), ((24, 24), (7, 11))])
def test_resize_as_torch_interpolates(old, new):
    torch = pytest.importorskip("torch")
    sides = [(side, side) if isinstance(side, int) else side for side in (old, new)]
    table = usp.random.normal((sides[0][0] * sides[0][1], 32), 5)
    image = torch.from_numpy(table).reshape(1, *sides[0], 32).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        image, size=sides[1], mode="bicubic", align_corners=False)
    expected = expected.permute(0, 2, 3, 1).reshape(-1, 32).numpy()
    assert golden.difference(usp.position_embedding.resize(table, old, new), expected) < 1e-6
