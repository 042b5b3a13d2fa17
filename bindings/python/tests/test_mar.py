"""Masked autoregressive generation through ctypes, against the golden tensors of PyTorch."""

import json

import numpy as np
import pytest

import golden
import usp


@pytest.fixture(scope="module")
def model():
    return usp.MAR.load(golden.params("models/mar"), 4, 3)


def test_loss_condition_and_gradients(model):
    case = golden.load("models/mar")
    given = dict(mask=case["in.mask"], t=case["in.t"], noise=case["in.noise"])
    latents, labels = case["in.latents"], case["in.labels"]
    output = model.forward(latents, labels, **given)
    assert output.loss == pytest.approx(float(case["out.loss"]), rel=1e-5)
    assert golden.difference(output.token_loss, case["out.token_loss"]) < 1e-5
    assert np.array_equal(output.mask, case["in.mask"])
    assert golden.difference(
        model.condition(latents, labels, mask=case["in.mask"]), case["out.z"]) < 1e-5
    loss, gradients = model.gradients(latents, labels, **given)
    assert loss == pytest.approx(output.loss, rel=1e-6)
    name = "encoder_blocks.0.mlp.fc1.weight"
    assert golden.difference(gradients[name], case[f"grad.{name}"]) < 1e-4
    assert set(gradients) == set(model.parameters)
    drawn = model.forward(latents, mask_ratio=0.5, copies=2, seed=3)
    assert drawn.token_loss.shape == (2, 2, 16) and (drawn.mask.sum(1) == 8).all()


def test_head(model):
    case = golden.load("models/mar_head")
    given = (case["in.x"], case["in.t"], case["in.condition"])
    assert golden.difference(model.denoise(*given), case["out.y"]) < 1e-5
    assert golden.difference(model.denoise(*given, cfg_scale=2.5), case["out.guided"]) < 1e-5


def test_samples():
    case = golden.load("models/mar_sample")
    model = usp.MAR.load(golden.params("models/mar_sample"), 4, 3)
    labels, orders = case["in.labels"], case["in.orders"]
    seen = []
    found = model.sample(
        labels, iterations=4, cfg_scale=2.5, respacing="4,3,1,1", orders=orders, z=case["in.z"],
        noise=case["in.noise"], progress=lambda p: seen.append((p.step, p.steps)),
        preview=lambda p, latents: seen.append(latents.shape), preview_interval=3)
    assert golden.difference(found, case["out.linear"]) < 1e-4
    assert seen == [(1, 4), (2, 4), (3, 4, 4, 4), (3, 4), (3, 4, 4, 4), (4, 4)]
    found = model.sample(
        labels, iterations=4, respacing="4,3,1,1", orders=orders, generator="torch", seed=7)
    assert golden.difference(found, case["out.torch"]) < 1e-4
    whole = model.sample([1, 2, 3], iterations=3, respacing="5", seed=4)
    part = model.sample([3], iterations=3, respacing="5", seed=4, first_sample=2)
    assert golden.difference(part, whole[2:]) < 1e-5
    assert model.sample(count=2, iterations=2, respacing="3").shape == (2, 4, 4, 4)
    with pytest.raises(usp.Cancelled):
        model.sample([1], iterations=2, respacing="3", progress=lambda p: False)


def test_what_cannot_be_is_refused(model):
    latents = np.zeros((2, 4, 4, 4), np.float32)
    mask = np.zeros((2, 16), np.float32)
    mask[0, :3], mask[1, :4] = 1, 1
    with pytest.raises(ValueError, match="sample 1 hides 4 tokens, sample 0 3"):
        model.forward(latents, mask=mask)
    with pytest.raises(usp.ArgumentError, match="nothing is hidden"):
        model.forward(latents, mask=mask * 0)
    with pytest.raises(usp.ArgumentError, match="labels: 6 of sample 1"):
        model.forward(latents, [0, 6])
    for t in (1000, -1):
        with pytest.raises(usp.ArgumentError, match="whole steps 0 to 999"):
            model.forward(latents, t=np.full((1, 2, 16), t))
    for iterations in (0, 17):
        with pytest.raises(usp.ArgumentError, match=f"iterations: {iterations}, expected"):
            model.sample([1], iterations=iterations)
    with pytest.raises(usp.ArgumentError, match="orders: of sample 0 is no permutation"):
        model.sample([1], iterations=2, orders=np.zeros((1, 16), np.int64))
    with pytest.raises(usp.ShapeError):
        model.sample([1, 2], iterations=2, orders=np.arange(16)[None])


def test_files_as_the_original_writes_them(model, tmp_path):
    path = tmp_path / "checkpoint-last.pth"
    model.save(path, format="torch")
    again = usp.MAR.load(path)
    assert again.config == model.config and set(again.parameters) == set(model.parameters)
    made = usp.MAR.create(grid=2, channels=3, width=16, depth=1, heads=2, buffer=2, classes=3,
                          head_width=8, head_depth=1)
    config = made.config
    assert (config.decoder_width, config.decoder_depth, config.decoder_heads) == (16, 1, 2)
    assert (made.tokens, made.null_class) == (4, 3)
    large = usp.create("MAR-L", depth=1, decoder_depth=1, head_depth=1, classes=2)
    assert (large.config.width, large.config.head_width, large.config.heads) == (1024, 1280, 16)


def test_training_and_transfer():
    pretrained = usp.MaskedAutoencoder.create(
        grid=4, channels=4, patch=1, width=16, depth=2, heads=2, decoder_width=16, decoder_depth=2,
        decoder_heads=2, seed=1)
    weights, report = usp.transfer(
        pretrained.checkpoint, to="MAR", classes=3, buffer=2, head_width=8, head_depth=1,
        num_heads=2, decoder_num_heads=2)
    name = "decoder_blocks.1.mlp.fc1.weight"
    assert np.array_equal(weights[name], pretrained.parameters[name])
    assert 0.5 < report.share < 1
    model = usp.MAR.load(weights)
    assert model.config.buffer == 2 and model.null_class == 3
    trainer = usp.Trainer(model, copies=2, weight_decay=0.02, clip_norm=3, label_dropout=0.1,
                          average_decay=0.9, dropout=0.1)
    latents = usp.random.normal((4, 4, 4, 4), 1)
    loss = trainer.step(latents, [0, 1, 2, 3])
    mask = np.zeros((4, 16), np.float32)
    mask[:, 3:] = 1
    t = np.full((2, 4, 16), 700)
    noise = usp.random.normal((2, 4, 4, 4, 4), 2)
    loss, gradients = trainer.gradients(latents, [0, 1, 2, 3], mask=mask, times=t, noise=noise)
    assert np.isfinite(loss) and set(gradients) == set(model.parameters)
    assert trainer.step(latents, times=t, noise=noise, mask=mask) > 0
    assert isinstance(trainer.model(averaged=True), usp.MAR)
    with pytest.raises(usp.ArgumentError, match="mask: nothing is hidden"):
        trainer.step(latents, mask=mask * 0)
    with pytest.raises(usp.ArgumentError, match="has no part in"):
        usp.Trainer(model, mask_ratio=0.5)
    with pytest.raises(usp.UnsupportedError, match="attention_dropout"):
        usp.Trainer(model, attention_dropout=0.1)


def test_parts_of_too_many_samples_are_refused():
    model = usp.MAR.create(
        grid=2, channels=4, width=16, depth=1, heads=2, buffer=2, classes=3, head_width=16,
        head_depth=1)
    with pytest.raises(usp.OutOfMemory, match="cannot allocate"):
        model.sample([0], iterations=2, generator="torch", total_samples=2**48)


def test_ignored_arrays_of_a_file_to_start_from(tmp_path):
    model = usp.MAR.create(
        grid=2, channels=4, width=16, depth=1, heads=2, buffer=2, classes=3, head_width=16,
        head_depth=1)
    weights = dict(model.parameters, more=np.zeros(3, np.float32))
    usp.Checkpoint(weights).save(tmp_path / "mar.safetensors")
    usp.Checkpoint({"latents": np.zeros((8, 4, 2, 2), np.float32),
                    "labels": np.arange(8) % 3}).save(tmp_path / "latents.npz")
    data = usp.Data(tmp_path / "latents.npz", batch=4)
    start = dict(start=tmp_path / "mar.safetensors", steps=1, heads=2, decoder_heads=2)
    with pytest.raises(usp.ShapeError, match="unexpected 1: more"):
        usp.Stage("autoregress", data, **start)
    assert usp.Stage("autoregress", data, ignore="more", **start).model().config.width == 16


def small(**sizes):
    given = dict(
        grid=2, channels=4, width=16, depth=1, heads=2, buffer=2, classes=3, head_width=16,
        head_depth=1)
    return usp.MAR.create(**{**given, **sizes})


def test_pictures_in_one_call():
    vae = usp.VAE.create(base_width=8, multipliers=(1, 2), groups=4, seed=1)
    model = small()
    images = usp.sample(
        model, vae, classes=[0, 2], num=3, steps=4, iterations=3, cfg_scale=2.0,
        cfg_schedule="constant", temperature=0.9, seed=5, batch=2)
    assert images.shape[0] == 3 and images.dtype == np.uint8
    latents = model.sample(
        [0, 2, 0], iterations=3, respacing="4", cfg_scale=2.0, cfg_schedule="constant",
        temperature=0.9, seed=5)
    assert np.abs(
        images.astype(int) - usp.images.to_uint8(vae.decode(latents)).astype(int)).max() <= 1
    assert usp.sample(model, vae, num=1, steps=2).shape[0] == 1
    for given, words in [
        (dict(solver="euler"), "solver: has no part in a MAR"),
        (dict(cfg_interval=(0, 1)), "cfg_interval: has no part in a MAR"),
        (dict(process=usp.Transport()), "process: has no part in a MAR"),
        (dict(cfg_scale=[1, 2]), "cfg_scale: several numbers"),
        (dict(iterations=5), "iterations: 5, expected 1 to 4"),
        (dict(classes=[3]), "classes: 3, expected 0 to 2"),
    ]:
        with pytest.raises(usp.ArgumentError, match=words):
            usp.sample(model, vae, **{**dict(num=1, steps=2), **given})
    sit = usp.SiT.create(grid=2, channels=4, patch=1, width=16, depth=1, heads=2, classes=3)
    with pytest.raises(usp.ArgumentError, match="iterations: has no part in a SiT"):
        usp.sample(sit, vae, num=1, iterations=2)


def test_training_in_one_call(tmp_path):
    usp.Checkpoint({"latents": usp.random.normal((8, 4, 2, 2), 1),
                    "labels": np.arange(8) % 3}).save(tmp_path / "latents.npz")
    data = usp.Data(tmp_path / "latents.npz", batch=4)
    own = usp.train(data, start=small(), steps=2, copies=2)
    assert isinstance(own, usp.MAR) and own.config.head_width == 16
    own.save(tmp_path / "mar.safetensors")
    again = usp.train(
        data, start=tmp_path / "mar.safetensors", val=data, steps=1, dropout=0.1)
    assert isinstance(again, usp.MAR)
    pretrained = usp.MaskedAutoencoder.create(
        grid=2, channels=4, patch=1, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1,
        decoder_heads=2)
    made = usp.train(
        data, start=pretrained, family="MAR", steps=0, heads=2, decoder_heads=2, buffer=3,
        head_width=8, head_depth=2)
    assert (made.config.buffer, made.config.head_width, made.config.head_depth) == (3, 8, 2)
    name = "decoder_blocks.0.attn.qkv.weight"
    assert np.array_equal(made.parameters[name], pretrained.parameters[name])
    fresh = usp.train(
        data, start=pretrained, family="MAR", steps=0, heads=2, decoder_heads=2,
        decoder_rule="fresh")
    assert not np.array_equal(fresh.parameters[name], pretrained.parameters[name])
    with pytest.raises(usp.ArgumentError, match="path: has no part in"):
        usp.train(data, start=small(), steps=1, path="GVP")


def test_names_of_pretraining_that_fits():
    for size, depth in (("B", 12), ("L", 16), ("H", 20)):
        sizes = usp.create(f"MAE-{size}/1-MAR", depth=1, decoder_depth=1).config
        target = usp.create(f"MAR-{size}", depth=1, decoder_depth=1, head_depth=1, classes=2).config
        assert (sizes.width, sizes.heads) == (target.width, target.heads)
        assert (sizes.decoder_width, sizes.decoder_heads) == (sizes.width, sizes.heads)
        assert f"MAE-{size}/1-MAR" in usp.presets()


def test_an_untrained_null_class_guides_nothing():
    model = usp.MAR.create(
        grid=2, channels=4, width=16, depth=1, heads=2, buffer=2, classes=3, head_width=16, head_depth=1)
    trainer = usp.Trainer(model, label_dropout=0.0)
    trainer.step(usp.random.normal((2, 4, 2, 2), seed=1), [0, 2])
    trained = trainer.model()
    with pytest.raises(usp.ArgumentError, match="null class was never trained"):
        trained.sample([0, 1], iterations=2, respacing="5", cfg_scale=2.0)
    assert trained.sample([0, 1], iterations=2, respacing="5").shape == (2, 4, 2, 2)


def test_patches_are_told_by_the_arguments_of_training(tmp_path):
    model = usp.MAR.create(
        grid=2, channels=3, patch=2, width=16, depth=1, heads=2, decoder_width=16, buffer=2,
        classes=3, head_width=8, head_depth=1)
    arrays = {name: np.array(value) for name, value in model.parameters.items()}
    assert usp.MAR.load(arrays, 2, 2).config.patch == 1
    header, place = {"__metadata__": {"args.patch_size": "2"}}, 0
    for name, array in arrays.items():
        header[name] = dict(dtype="F32", shape=array.shape, data_offsets=[place, place + array.nbytes])
        place += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = tmp_path / "told.safetensors"
    path.write_bytes(
        len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in arrays.values()))
    found = usp.MAR.load(path, 2, 2).config
    assert (found.patch, found.channels) == (2, 3)
