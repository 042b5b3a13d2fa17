"""All models through ctypes: created, saved and loaded again; errors, samplers, threads."""

import inspect
import os
import threading

import numpy as np
import pytest

import usp

TINY = dict(grid=4, width=32, depth=1, heads=2)


@pytest.mark.parametrize("make", [
    lambda: usp.VAE.create(
        base_width=8, multipliers=(1, 2), groups=4, scale=0.7, shift=0.1, seed=1),
    lambda: usp.MaskedAutoencoder.create(
        **TINY, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1),
    lambda: usp.ViT.create(**TINY, classes=5, pool="avg", seed=1),
    lambda: usp.DiT.create(**TINY, classes=5, affine=True, seed=1),
    lambda: usp.SiT.create(**TINY, classes=5, learn_sigma=False, seed=1),
    lambda: usp.MAR.create(**TINY, buffer=2, classes=5, head_width=8, head_depth=1, seed=1),
    lambda: usp.Inception.create(seed=1),
])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_made_saved_and_loaded_again(make, ending, tmp_path):
    model = make()
    path = tmp_path / f"model.{ending}"
    model.save(path)
    again = type(model).load(path)
    assert again.family == model.family and again.size == model.size
    for name, value in model.parameters.items():
        assert np.array_equal(again.parameters[name], value)
    assert "loaded" in again.report and again.report.data["missing"] == []
    if isinstance(model, usp.VAE):
        assert (again.scale, again.config.groups) == (model.scale, 4)


@pytest.mark.parametrize("make, given", [
    (lambda: usp.VAE.create(base_width=32, multipliers=(1, 1), seed=1), {}),
    (lambda: usp.MaskedAutoencoder.create(
        **TINY, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1),
     {"num_heads": 2, "decoder_num_heads": 2}),
    (lambda: usp.ViT.create(**TINY, classes=5, pool="avg", seed=1), {"num_heads": 2}),
    (lambda: usp.DiT.create(**TINY, classes=5, seed=1), {"num_heads": 2}),
    (lambda: usp.SiT.create(**TINY, classes=5, seed=1), {"num_heads": 2}),
    (lambda: usp.LightningDiT.create(grid=4, width=32, depth=1, heads=2, classes=5, seed=1), {}),
    (lambda: usp.MAR.create(**TINY, buffer=2, classes=5, head_width=8, head_depth=1, seed=1),
     {"num_heads": 2}),
    (lambda: usp.Segmenter.create(**TINY, classes=5, head="linear", seed=1), {"num_heads": 2}),
])
def test_what_does_not_fit_may_be_left_aside(make, given):
    model = make()
    # Not one that tells which model it is.
    gone = [name for name in model.parameters if "mlp.fc2.bias" in name or "norm2.bias" in name
            or "mlp.w3.bias" in name][0]
    weights = {name: value for name, value in model.parameters.items() if name != gone}
    weights["more.weight"] = np.zeros(3, np.float32)
    with pytest.raises(usp.USPError) as told:
        type(model).load(weights, **given)
    assert gone in str(told.value) and "more.weight" in str(told.value)
    with pytest.raises(usp.USPError):
        type(model).load(weights, ignore="more", **given)
    for settings in (dict(ignore=["more", gone]), dict(strict=False)):
        again = type(model).load(weights, **given, **settings)
        assert again.size == model.size and gone in again.report


def test_every_class_can_be_told_what_does_not_have_to_fit():
    classes = [value for value in vars(usp).values() if isinstance(value, type)
               and issubclass(value, usp.Model)]
    assert len(classes) > 8
    for kind in classes:
        if "load" in vars(kind):
            assert {"ignore", "strict"} <= set(inspect.signature(kind.load).parameters), kind


def test_inception_features():
    network = usp.Inception.create(seed=2)
    images = np.arange(3 * 20 * 30 * 3, dtype=np.uint32) * 2654435761 >> 24
    images = images.astype(np.uint8).reshape(3, 20, 30, 3)
    found = network.features(images)
    assert [part.shape for part in found] == [(3, 2048), (3, 2023), (3, 1008)]
    assert all(np.isfinite(part).all() and part.std() > 0 for part in found)
    # images in other memory: planes apart, as torch has them, and the second alone
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(network.features(planes).pool, found.pool)
    assert np.array_equal(network.features(images[1:2]).spatial, found.spatial[1:2])
    other = network.features(images, preprocessing="pytorch-fid").pool
    assert 0 < np.abs(other - found.pool).max() < found.pool.max()
    weights = {name: np.array(value) for name, value in network.parameters.items()}
    expected = found.pool @ weights["fc.weight"].T
    assert np.abs(found.logits - expected).max() < 1e-4 * np.abs(expected).max()
    assert usp.evaluate.fid(found.pool, found.pool) < 1e-3 * found.pool.var(axis=0).sum()
    with pytest.raises(usp.DTypeError, match="images: dtype float32, expected uint8"):
        network.features(images.astype(np.float32))
    with pytest.raises(usp.ShapeError, match="expected .N, H, W, 3."):
        network.features(images[..., :1])
    with pytest.raises(usp.UnsupportedError, match="1000 outputs"):
        usp.Inception.load(weights | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    with pytest.raises(usp.FormatError, match="no Inception network in it"):
        usp.Inception.load(usp.ViT.create(**TINY, classes=5).checkpoint)
    with pytest.raises(usp.UnsupportedError, match="Inception"):
        usp.Trainer(network)


def test_errors_name_what_is_wrong(tmp_path):
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    x = usp.random.normal((2, 4, 8, 8), 1)
    with pytest.raises(usp.ArgumentError, match="label"):
        model.forward(x, [0, 0], [0, 9])
    with pytest.raises(usp.ShapeError, match="t: shape"):
        model.forward(x, [0, 0, 0], [0, 1])
    with pytest.raises(usp.ShapeError, match=r"x: shape \[2, 4, 7, 8\]"):
        model.forward(np.zeros((2, 4, 7, 8), np.float32), [0, 0])
    with pytest.raises(usp.ArgumentError, match="heads"):
        usp.DiT.create(grid=4, width=30, depth=1, heads=4)
    model.save(tmp_path / "dit.safetensors")
    with pytest.raises(usp.FormatError, match="no autoencoder"):
        usp.VAE.load(tmp_path / "dit.safetensors")
    partial = {n: v for n, v in model.parameters.items() if not n.startswith("blocks.0.mlp.fc2")}
    with pytest.raises(usp.MissingWeightError, match="fc2"):
        usp.DiT.load(partial, num_heads=2)
    encoder = usp.MaskedAutoencoder.create(**TINY, decoder_width=0)
    with pytest.raises(usp.UnsupportedError, match="no decoder"):
        encoder.forward(x)
    with pytest.raises(usp.ArgumentError, match="is closed"):
        model.close()
        model.forward(x, [0, 0])


def test_samplers_take_models():
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    process = usp.Diffusion("4")
    z = usp.random.normal((2, 4, 8, 8), 1)
    value = process.p_sample_loop(model, z, [1, 2], seed=3)
    same = process.p_sample_loop(lambda x, t, y: model.forward(x, t, y), z, [1, 2], seed=3)
    assert np.array_equal(value, same)
    guided = process.p_sample_loop(model, z, [1, 2], seed=3, cfg_scale=4.0)
    callable_guided = process.p_sample_loop(
        lambda x, t, y: model.forward(x, t, y), z, [1, 2], seed=3, cfg_scale=4.0, null_class=5)
    assert np.array_equal(guided, callable_guided)
    assert np.array_equal(
        process.p_sample_loop(model, z, [1, 2], seed=3, cfg_scale=[1.0, 1.0]), value)


def test_threads_share_a_model_and_do_not_change_it():
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    x = usp.random.normal((2, 4, 8, 8), 1)
    usp.set_threads(1)
    expected = model.forward(x, [3, 4], [0, 1])
    usp.set_threads(0)
    results = [None] * 6

    def work(index):
        results[index] = model.forward(x, [3, 4], [0, 1])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(result, expected) for result in results)


@pytest.mark.parametrize("family", [usp.ViT, usp.MaskedAutoencoder, usp.DiT])
@pytest.mark.parametrize("grid", [(2, 3), (5, 3)])
def test_positions_that_are_no_square(family, grid, tmp_path):
    model = family.create(**{**TINY, "grid": grid})
    arrays = dict(model.checkpoint)
    if grid == (5, 3) and family is usp.ViT:  # 16 rows might be 4x4 without the class token's
        assert family.load(arrays, num_heads=2).config.grid_height == 4
    else:
        count = grid[0] * grid[1]
        with pytest.raises(usp.ArgumentError, match=f"the {count} rows of pos_embed are no square"):
            family.load(arrays, num_heads=2)
    again = family.load(arrays, num_heads=2, grid=grid)
    assert again.input_shape(1) == model.input_shape(1)
    for ending in ("safetensors", "pt"):
        model.save(tmp_path / f"model.{ending}")
        again = family.load(tmp_path / f"model.{ending}")
        assert again.input_shape(1) == model.input_shape(1)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.4, 0.6, 0.7, 0.9])
def test_mask_ratios_are_what_was_written(ratio):
    model = usp.MaskedAutoencoder.create(
        grid=10, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    mask = model(usp.random.normal((1, 4, 20, 20), 1), ratio).mask
    assert 100 - mask.sum() == int(100 * (1 - ratio))


def test_a_masked_loss_needs_something_masked():
    model = usp.MaskedAutoencoder.create(
        **TINY, decoder_width=16, decoder_depth=1, decoder_heads=2)
    x = usp.random.normal((2, 4, 8, 8), 1)
    for run in (model.forward, model.gradients):
        with pytest.raises(usp.ArgumentError, match="0 of 2 x 16 patches are masked"):
            run(x, mask_ratio=0)
        with pytest.raises(usp.ShapeError, match="expected at least one sample"):
            run(x[:0])


def test_masked_arrays_are_refused():
    model = usp.ViT.create(**TINY, classes=5)
    x = np.ma.masked_invalid(usp.random.normal((2, 4, 8, 8), 1))
    calls = [
        lambda: model(x), lambda: model.features(x),
        lambda: usp.Trainer(model).step(x.data, np.ma.array([1, 2], mask=[1, 0])),
        lambda: usp.Checkpoint({"x": x}), lambda: usp.evaluate.accuracy(x[:, 0, 0], [1, 2]),
        lambda: usp.Transport().sample_ode(lambda x, t, y: np.ma.array(x, mask=x > 0), x.data),
    ]
    for call in calls:
        with pytest.raises(usp.ArgumentError, match="masked array"):
            call()


def test_a_forked_child_computes(tmp_path):
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    x = usp.random.normal((4, 4, 8, 8), 1)
    expected, stop = model(x, 7.0), threading.Event()

    def compute():
        while not stop.is_set():
            model(x, 7.0)

    beside = threading.Thread(target=compute)
    beside.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if np.array_equal(model(x, 7.0), expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        beside.join()
