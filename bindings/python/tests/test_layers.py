"""Tokens and attention inside of transformers, against sums of one's own."""

import numpy as np
import pytest

import usp


def weights_of(model, seed=3):
    """Copies of a model's parameters, none of them small."""
    draw = np.random.default_rng(seed)
    return {
        name: (np.array(value) + draw.normal(0, 0.3, value.shape)).astype("f4")
        for name, value in model.parameters.items()}


def norm(x, weight=1.0, bias=0.0):
    x = x.astype(np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * weight + bias


def attention(x, weights, block, heads):
    """Of normed tokens [B, T, D]: [B, N, T, T]."""
    qkv = x @ weights[f"{block}.attn.qkv.weight"].T.astype(np.float64)
    qkv = qkv + weights[f"{block}.attn.qkv.bias"]
    batch, count, width = x.shape
    q, k, _ = qkv.reshape(batch, count, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(width // heads)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


VIT = dict(grid=3, channels=4, patch=2, width=16, heads=2, classes=3)


@pytest.fixture(scope="module")
def vit():
    weights = weights_of(usp.ViT.create(depth=2, **VIT))
    first = {name: value for name, value in weights.items() if not name.startswith("blocks.1.")}
    return usp.ViT.load(weights, num_heads=2), usp.ViT.load(first, num_heads=2), weights


def test_a_vits_tokens_behind_each_block(vit):
    model, first, _ = vit
    images = usp.random.normal((3, 4, 6, 6), seed=2)
    one, two = model.features(images, layers=[1, 2], tokens=True)
    np.testing.assert_allclose(one, first.tokens(images, norm=False), atol=1e-5)
    np.testing.assert_allclose(two, model.tokens(images, norm=False), atol=1e-5)
    again, means = model.features(images, layers=[2, 1])
    np.testing.assert_allclose(means, one.mean(1), atol=1e-5)
    np.testing.assert_allclose(again, two.mean(1), atol=1e-5)
    wide = model.features(images[..., :4], layers=[2], tokens=True)[0]
    assert wide.shape == (3, 6, 16)
    for layers, told in (([0], "layers: 0, expected 1 to 2"), ([3], "layers: 3"), ([], "layers: none")):
        with pytest.raises(usp.ArgumentError, match=told):
            model.features(images, layers=layers)
    with pytest.raises(usp.ArgumentError, match="tokens=True: needs layers"):
        model.features(images, tokens=True)


def test_a_vits_attention_is_the_softmax_of_its_scores(vit):
    model, first, weights = vit
    images = usp.random.normal((2, 4, 6, 6), seed=2)
    x = norm(
        first.tokens(images, norm=False, leading=True), weights["blocks.1.norm1.weight"],
        weights["blocks.1.norm1.bias"])
    expected = attention(x, weights, "blocks.1", 2)  # 10 tokens, heads of width 8: two passes
    found = model.attention(images, 2)
    assert found.shape == (2, 2, 10, 10) and expected.max() > 0.3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model.attention(images, 1).sum(-1), 1, atol=1e-5)
    with pytest.raises(usp.ArgumentError, match="layers: 3, expected 1 to 2"):
        model.attention(images, 3)


def test_a_masked_autoencoders_encoder_is_read_in_the_same_way():
    model = usp.MaskedAutoencoder.create(
        grid=3, channels=4, patch=2, width=16, depth=2, heads=2, decoder_width=16, decoder_depth=1,
        decoder_heads=2)
    weights = weights_of(model)
    model = usp.MaskedAutoencoder.load(weights, num_heads=2, decoder_num_heads=2)
    latents = usp.random.normal((2, 4, 6, 6), seed=2)
    tokens = model.features(latents, layers=[2], tokens=True)[0]
    np.testing.assert_allclose(
        norm(tokens, weights["norm.weight"], weights["norm.bias"]), model.features(latents)[:, 1:],
        atol=1e-4)
    np.testing.assert_allclose(model.features(latents, layers=[2])[0], tokens.mean(1), atol=1e-5)
    found = model.attention(latents, 1)
    assert found.shape == (2, 2, 10, 10)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_a_diffusion_transformers_tokens_and_attention():
    model = usp.SiT.create(grid=4, width=16, depth=2, heads=2, classes=3)
    weights = {name: np.array(value) for name, value in model.parameters.items()}
    for name in weights:
        if name.endswith("attn.qkv.weight"):
            weights[name] *= 8
    fresh = usp.SiT.load(weights, num_heads=2)
    x, labels = usp.random.normal((2, 4, 8, 8), seed=2), [0, 2]
    tokens = fresh.features(x, 0.4, labels, layers=[1], tokens=True)[0]
    # fresh gates are zero: no block changes a token, and no modulation its norm
    expected = attention(norm(tokens), weights, "blocks.0", 2)
    found = fresh.attention(x, 0.4, labels, layer=1)
    assert found.shape == (2, 2, 16, 16) and expected.max() > 0.15
    np.testing.assert_allclose(found, expected, atol=1e-5)
    model = usp.SiT.load(weights_of(model), num_heads=2)
    one, two = model.features(x, 0.4, labels, layers=[1, 2], tokens=True)
    assert not np.allclose(one, two, atol=1e-2)
    for layer, tokens in ((1, one), (2, two)):
        mean = model.features(x, 0.4, labels, depth=layer)
        np.testing.assert_allclose(tokens.mean(1), mean, atol=1e-5)
        np.testing.assert_allclose(
            model.features(x, 0.4, labels, layers=[layer])[0], mean, atol=1e-5)
    assert not np.allclose(
        model.attention(x, 0.4, labels, layer=2), model.attention(x, 0.9, labels, layer=2), atol=1e-3)


def test_principal_colours_are_numpys():
    draw = np.random.default_rng(1)
    tokens = (draw.normal(size=(3, 50, 6)) * [9, 5, 3, 1, 1, 0.5] + 4).astype("f4")
    colours = usp.principal_colours(tokens)
    rows = tokens.reshape(-1, 6).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    for channel in range(3):
        direction = vectors[:, -1 - channel]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        projected = (rows - rows.mean(0)) @ direction
        ordered = np.sort(projected)
        low, high = ordered[len(ordered) // 100], ordered[len(ordered) - 1 - len(ordered) // 100]
        expected = np.clip((projected - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(colours[..., channel].ravel(), expected, atol=0.51)
    assert (usp.principal_colours(tokens[..., :2])[..., 2] == 128).all()


@pytest.mark.parametrize("count, width", [(16, 384), (196, 384), (100, 192)])
def test_principal_colours_of_few_tokens(count, width):
    """Fewer tokens than channels: most of the covariance's eigenvalues are zero."""
    tokens = usp.random.normal((1, count, width), seed=count)
    rows = tokens[0].astype(np.float64)
    direction = np.linalg.svd(rows - rows.mean(0))[2][0]
    direction = direction * np.sign(direction[np.abs(direction).argmax()])
    projected = (rows - rows.mean(0)) @ direction
    ordered = np.sort(projected)
    low, high = ordered[count // 100], ordered[count - 1 - count // 100]
    expected = np.clip((projected - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(usp.principal_colours(tokens)[0, :, 0], expected, atol=0.6)


def test_one_token_has_no_colours():
    tokens = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(usp.ArgumentError, match="tokens: one only"):
        usp.principal_colours(tokens[:1, :1])
