"""Segmentation networks: files, outputs and gradients, windows, training."""


import numpy as np
import pytest

import golden
import usp

CASES = {"mmseg": None, "beit": None, "plain": (4, 6), "linear": (4, 5)}


def load(name):
    case = golden.load(f"models/segmenter_{name}")
    config = golden.MANIFEST[f"models/segmenter_{name}"]["config"]
    model = usp.Segmenter.load(
        golden.params(f"models/segmenter_{name}"), 2, config["out_indices"], grid=CASES[name])
    return model, case


def small(**sizes):
    values = dict(grid=4, width=16, depth=2, heads=2, classes=5, head_channels=16,
                  auxiliary_channels=8, seed=1)
    return usp.Segmenter.create(**{**values, **sizes})


@pytest.mark.parametrize("name", CASES)
def test_originals(name):
    model, case = load(name)
    assert type(usp.load(golden.params(f"models/segmenter_{name}"), 2, grid=CASES[name])) is (
        usp.Segmenter)
    images, labels = case["in.images"], case["in.labels"]
    assert golden.difference(model.logits(images), case["out.logits"]) < 1e-5
    assert golden.difference(model.logits(images, (19, 23)), case["out.resized"]) < 1e-5
    for key, options in (("all", {}), ("batch", {"batch_statistics": True})):
        loss, gradients = model.gradients(images, labels, **options)
        assert loss == pytest.approx(float(case[f"out.loss.{key}"]), rel=1e-5)
        assert set(gradients) == {
            name.split(".", 1)[1] for name in case if name.startswith(f"grad_{key}.")}
        name = "decode_head.conv_seg.weight"
        assert golden.difference(gradients[name], case[f"grad_{key}.{name}"]) < 1e-4
    loss, _ = model.gradients(images, labels, average="valid")
    assert loss == pytest.approx(float(case["out.loss.valid"]), rel=1e-5)
    if "in.other" in case:
        assert golden.difference(model.logits(case["in.other"]), case["out.other"]) < 1e-5
    else:
        with pytest.raises(usp.UnsupportedError, match="relative positions are of"):
            model.logits(np.zeros((1, 4, 8, 8), np.float32))


def test_config_and_files(tmp_path):
    model = small(relative_positions=True, out_indices=[0, 0, 1, 1])
    config = model.config
    assert (config.grid, config.classes, config.head) == ((4, 4), 5, "upernet")
    assert list(config.out_indices) == [0, 0, 1, 1] and config.relative_positions
    model.save(tmp_path / "s.safetensors")
    again = usp.load(tmp_path / "s.safetensors")
    assert again.config == config
    images = np.ones((1, 4, 8, 8), np.float32)
    assert np.array_equal(again.logits(images), model.logits(images))
    wide = usp.Segmenter.create(grid=2, width=1024, depth=3, heads=16, classes=2, head="linear")
    assert wide.config.out_indices == (2,) and wide.config.head_channels is None


def test_a_table_of_a_training_file_without_what_training_adds(tmp_path):
    model, case = load("mmseg")
    state = {name: value for name, value in usp.Checkpoint.open(
        golden.params("models/segmenter_mmseg")).items() if not name.startswith("auxiliary")}
    plain = usp.Segmenter.load(state, 2)
    assert plain.config.auxiliary_channels == 0
    assert golden.difference(plain.logits(case["in.images"]), case["out.logits"]) < 1e-5


def test_windows_are_the_mean_of_what_the_network_says():
    model = small()
    images = np.random.default_rng(0).standard_normal((2, 4, 12, 18)).astype(np.float32)
    boxes = usp.segmentation.windows(12, 18, crop=8, stride=5)
    parts = np.stack([
        model.logits(np.ascontiguousarray(images[:, :, y1:y2, x1:x2]), (8, 8))
        for y1, x1, y2, x2 in boxes])
    wanted = usp.segmentation.stitch(parts, boxes, 12, 18)
    scores = model.scores(images, crop=8, stride=5)
    assert golden.difference(scores, wanted) < 1e-6
    labels = model.predict(images, crop=8, stride=5)
    assert labels.dtype == np.uint8 and np.array_equal(labels, scores.argmax(1))
    assert model.predict(images, size=(24, 20)).shape == (2, 24, 20)
    # A side that is no multiple of the patch: zeros beyond it.
    odd = images[:, :, :9, :8].copy()
    padded = np.zeros((2, 4, 10, 8), np.float32)
    padded[:, :, :9] = odd
    assert np.array_equal(model.scores(odd), model.scores(padded)[:, :, :9])
    many = usp.Segmenter.create(
        grid=2, width=16, depth=1, heads=2, classes=300, head="linear", seed=3)
    assert many.predict(images[:, :, :4, :4].copy()).dtype == np.int64


def test_windows_through_an_autoencoder():
    vae = usp.VAE.create(base_width=8, multipliers=(1, 2), blocks_per_level=1, groups=4, seed=2)
    model = small()
    images = np.random.default_rng(1).uniform(-1, 1, (1, 3, 16, 24)).astype(np.float32)
    boxes = usp.segmentation.windows(16, 24, crop=16, stride=10)
    parts = np.stack([
        model.logits(vae.encode(np.ascontiguousarray(images[:, :, y1:y2, x1:x2])).mean, (16, 16))
        for y1, x1, y2, x2 in boxes])
    wanted = usp.segmentation.stitch(parts, boxes, 16, 24)
    assert golden.difference(model.scores(images, vae=vae, crop=16, stride=10), wanted) < 1e-6
    with pytest.raises(usp.ShapeError, match="expected .B, 3, H, W."):
        model.scores(np.zeros((1, 4, 16, 16), np.float32), vae=vae)


def test_decode():
    for model, count in ((small(), 4), (small(head="linear"), 1)):
        maps = [np.full((2, 16, 4, 4), 0.1 * index, np.float32) for index in range(count)]
        assert model.decode(maps).shape == ((2, 5, 16, 16) if count == 4 else (2, 5, 4, 4))
        with pytest.raises(usp.USPError, match="expected"):
            model.decode(maps + maps)


def test_training():
    model = small()
    generator = np.random.default_rng(4)
    images = generator.standard_normal((2, 4, 8, 8)).astype(np.float32)
    labels = (images[:, 0] > 0).astype(np.uint8)
    trainer = usp.Trainer(
        model, rate=2e-2, steps=30, warmup=3, schedule="poly", dropout=0.1, drop_path=0.1,
        layer_decay=0.65, weight_decay=0.05)
    losses = [trainer.step(images, labels if step % 2 else labels.astype(np.int64))
              for step in range(30)]
    assert trainer.rate == 0 and losses[-1] < 0.7 * losses[0]
    trained = trainer.model()
    assert isinstance(trained, usp.Segmenter)
    name = "decode_head.fpn_bottleneck.bn.running_mean"
    assert not np.array_equal(trained.parameters[name], model.parameters[name])
    rates = []
    for schedule in ("poly", "cosine"):
        other = usp.Trainer(model, rate=1.0, steps=5, warmup=0, schedule=schedule)
        other.step(images, labels)
        other.step(images, labels)
        rates.append(other.rate)
    assert rates[0] == pytest.approx(0.75) and rates[1] != pytest.approx(0.75)


def test_refusals():
    model = small()
    images = np.zeros((1, 4, 8, 8), np.float32)
    with pytest.raises(usp.ArgumentError, match="batch of 1"):
        usp.Trainer(model).step(images, np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(usp.ArgumentError, match="label 5 .* expected 0 to 4"):
        model.gradients(images, np.full((1, 8, 8), 5, np.uint8))
    with pytest.raises(usp.ArgumentError, match="average.*all, valid"):
        model.gradients(images, np.zeros((1, 8, 8), np.uint8), average="some")
    with pytest.raises(usp.ArgumentError, match="only in Segmenter"):
        usp.Trainer(usp.ViT.create(grid=2, width=8, depth=1, heads=1, classes=2), dropout=0.1)
    with pytest.raises(usp.ArgumentError, match="out_indices"):
        small(out_indices=[0, 1])
    with pytest.raises(usp.ArgumentError, match="decode_head|seg|upernet"):
        small(head="mask")
    with pytest.raises(usp.ShapeError, match="multiples of the patch"):
        model.logits(np.zeros((1, 4, 9, 8), np.float32))


def test_transfer():
    encoder = usp.MaskedAutoencoder.create(
        grid=4, width=16, depth=2, heads=2, decoder_width=8, decoder_depth=1, decoder_heads=2,
        seed=5)
    weights, report = usp.transfer(
        encoder.checkpoint, to="Segmenter", grid=(6, 5), classes=7, head_channels=12,
        relative_positions=True, seed=1, num_heads=2)
    model = usp.Segmenter.load(weights)
    assert model.config.grid == (6, 5) and model.config.relative_positions
    assert np.array_equal(weights["backbone.blocks.1.mlp.fc1.weight"],
                          encoder.parameters["blocks.1.mlp.fc1.weight"])
    assert not weights["backbone.blocks.0.attn.relative_position_bias_table"].any()
    wanted = usp.position_embedding.resize(
        encoder.parameters["pos_embed"][0], (4, 4), (6, 5))
    assert golden.difference(weights["backbone.pos_embed"][0], wanted) < 1e-6
    left = {name for name, _reason in report.left}
    assert {"norm.weight", "mask_token", "decoder_embed.weight"} <= left
    assert model.logits(np.zeros((1, 4, 12, 10), np.float32)).shape == (1, 7, 24, 20)
    again, _ = usp.transfer(weights, to="Segmenter", head="linear", classes=3, grid=(6, 5))
    linear = usp.Segmenter.load(again)
    assert linear.config.head == "linear" and linear.config.classes == 3
    probe, _ = usp.transfer(encoder.checkpoint, to="Segmenter", head="linear", classes=3)
    assert np.array_equal(probe["backbone.norm.weight"], encoder.parameters["norm.weight"])
    features = usp.Segmenter.load(probe)
    assert features.config.out_indices == (1,)
    with pytest.raises(usp.ArgumentError, match="upernet or linear"):
        usp.transfer(encoder.checkpoint, to="Segmenter", head="probe", classes=2)
    with pytest.raises(usp.ArgumentError, match="fine-tune or probe"):
        usp.transfer(encoder.checkpoint, to="ViT", head="linear", classes=2)
