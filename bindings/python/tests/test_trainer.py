"""Training through ctypes: losses fall, resume is exact, threads and parts change nothing."""

import resource

import numpy as np
import pytest

import usp

TINY = dict(grid=4, width=32, depth=2, heads=2)
X = usp.random.normal((8, 4, 8, 8), 1)
Y = np.arange(8) % 5


def models():
    return {
        "vae": (usp.VAE.create(
            base_width=8, multipliers=(1, 2), groups=4, image_channels=4, seed=1), None),
        "mae": (usp.MaskedAutoencoder.create(
            **TINY, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1), None),
        "vit": (usp.ViT.create(**TINY, classes=5, seed=1), Y),
        "dit": (usp.DiT.create(**TINY, classes=5, affine=True, seed=1), Y),
        "sit": (usp.SiT.create(**TINY, classes=5, seed=1), Y),
    }


@pytest.mark.parametrize("name", ["vae", "mae", "vit", "dit", "sit"])
def test_losses_fall(name):
    model, labels = models()[name]
    trainer = usp.Trainer(model, rate=3e-3, average_decay=0.9, clip_norm=1.0, warmup=2, steps=40)
    losses = [trainer.step(X, labels) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:3])
    assert trainer.steps == 30 and trainer.gradient_norm > 0 and 0 < trainer.rate < 3e-3
    now, averaged = trainer.model(), trainer.model(averaged=True)
    assert type(now) is type(model) and type(averaged) is type(model)
    changed = [n for n, v in now.parameters.items() if not np.array_equal(v, model.parameters[n])]
    assert changed and ("pos_embed" in changed) == (name == "vit")
    assert any(not np.array_equal(averaged.parameters[n], now.parameters[n]) for n in changed)


def same(first, second):
    return all(
        np.array_equal(value, second.parameters[name]) for name, value in first.parameters.items())


@pytest.mark.parametrize("name", ["vae", "mae", "vit", "dit", "sit"])
def test_gradients_are_those_of_the_next_step(name):
    model, labels = models()[name]
    trainer = usp.Trainer(model, seed=3, clip_norm=1e9, drop_path=0.5 if name == "vit" else 0)
    trainer.step(X, labels)
    before = trainer.model()
    loss, gradients = trainer.gradients(X, labels)
    assert trainer.steps == 1 and same(trainer.model(), before)
    assert set(gradients) <= set(model.parameters)
    assert trainer.step(X, labels) == loss
    norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in gradients.values()))
    assert trainer.gradient_norm == pytest.approx(norm, rel=1e-5)


def test_gradients_of_what_is_trained():
    probe = usp.ViT.create(**TINY, classes=5, head="probe", seed=1)
    _, gradients = usp.Trainer(probe, head_only=True).gradients(probe.features(X), Y)
    assert set(gradients) == {"head.1.weight", "head.1.bias"}
    model = models()["mae"][0]
    noise = np.random.default_rng(1).random((8, 16), np.float32)
    expected = model.gradients(X, noise=noise, norm_pix_loss=True)
    loss, gradients = usp.Trainer(model).gradients(X, noise=noise)
    assert loss == expected[0] and set(gradients) == set(expected[1])
    assert all(np.array_equal(value, expected[1][name]) for name, value in gradients.items())
    with pytest.raises(usp.ShapeError, match="expected at least one sample"):
        usp.Trainer(model).gradients(X[:0])


@pytest.mark.parametrize("name", ["vae", "mae", "vit", "dit", "sit"])
def test_gradients_are_finite_or_an_error(name):
    model, labels = models()[name]
    with pytest.raises(usp.NotFiniteError, match="the loss is .*(nan|inf)"):
        usp.Trainer(model).gradients(X * np.float32("inf"), labels)


def test_gradients_of_a_finite_loss_may_not_be():
    parameters = {n: np.zeros_like(v) for n, v in models()["vit"][0].parameters.items()}
    parameters["norm.weight"][:] = 1
    parameters["head.weight"][0, ::2] = 1e38  # all tokens are 0, and their norm divides by 0.001
    trainer = usp.Trainer(usp.ViT.load(parameters, num_heads=2))
    with pytest.raises(usp.NotFiniteError, match="the gradient of .* is not finite"):
        trainer.gradients(X, Y)
    assert trainer.steps == 0


PARTS = {
    "mask_ratio": (0.5, "mae"), "norm_pix_loss": (False, "mae"), "kl_weight": (0.1, "vae"),
    "reconstruction": ("absolute", "vae"), "label_smoothing": (0.1, "vit"),
    "drop_path": (0.1, "vit"), "label_dropout": (0.1, "dit sit"),
    "layer_decay": (0.9, "mae vit dit sit"), "diffusion": (usp.Diffusion(), "dit"),
    "transport": (usp.Transport(), "sit"),
}


@pytest.mark.parametrize("option", PARTS)
def test_options_without_a_part_are_errors(option):
    value, families = PARTS[option]
    for name, (model, _) in models().items():
        if name in families.split():
            usp.Trainer(model, **{option: value})
        else:
            with pytest.raises(usp.ArgumentError, match="has no part in a"):
                usp.Trainer(model, **{option: value})


def test_noise_and_targets_of_pretraining():
    model = models()["mae"][0]
    plain = usp.Trainer(model, seed=3).step(X)
    noisy = usp.Trainer(model, seed=3, add_noise=True).step(X)
    image = usp.Trainer(model, seed=3, norm_image=True).step(X)
    assert len({plain, noisy, image}) == 3
    noise = np.random.default_rng(1).random((8, 16), np.float32)
    expected = model.forward(X, noise=noise, norm_image=True).loss
    assert usp.Trainer(model, norm_image=True).step(X, noise=noise) == expected
    other = usp.random.normal(X.shape, 9)
    expected = model.forward(X, noise=noise, norm_pix_loss=True, target=other).loss
    assert usp.Trainer(model).step(X, noise=noise, target=other) == expected
    vit, labels = models()["vit"]
    for arrays in (dict(target=X), dict(features=X.reshape(8, 16, 16))):
        with pytest.raises(usp.ArgumentError, match="has no part in a"):
            usp.Trainer(vit).step(X, labels, **arrays)
    with pytest.raises(usp.ArgumentError, match="labels as maps"):
        usp.Trainer(vit).step(X, np.zeros((8, 8, 8), np.uint8))


def test_every_rank_draws_its_own():
    model, labels = models()["sit"]
    losses = [
        usp.Trainer(model, seed=1, ranks=usp.Ranks(rank, 2, lambda _: None)).step(X, labels)
        for rank in range(2)]
    assert losses[0] != losses[1]
    with pytest.raises(usp.ArgumentError, match="exclude each other"):
        usp.Trainer(model, ranks=usp.Ranks(0, 2, lambda _: None), allreduce=lambda _: None)
    with pytest.raises(usp.ArgumentError, match="expected 0 to 1"):
        usp.Ranks(2, 2, lambda _: None)


def test_arrays_without_a_use_are_errors():
    for name, (model, labels) in models().items():
        if name not in ("dit", "sit"):
            with pytest.raises(usp.ArgumentError, match="times: has no part"):
                usp.Trainer(model).step(X, labels, times=np.full(8, 0.5))
        if name in ("vae", "mae"):  # labels come with images, whoever reads them
            assert usp.Trainer(model).step(X, Y) == usp.Trainer(model).step(X)
    with pytest.raises(usp.ArgumentError, match="ranks without an allreduce"):
        usp.Trainer(model, world_size=2)


def test_steps_of_a_diffusion_are_whole_numbers():
    trainer = usp.Trainer(models()["dit"][0])
    for times in ([3.7] * 8, [np.nan] * 8, [1000] * 8, [-1] * 8):
        with pytest.raises(usp.ArgumentError, match="expected (a whole number|0 to 999)"):
            trainer.step(X, Y, times=times)
    assert trainer.steps == 0 and np.isfinite(trainer.step(X, Y, times=[999] * 8))


def test_ranks_that_sum_to_no_number_change_nothing():
    def poison(gradients):
        gradients[3] = np.nan

    model, labels = models()["vit"]
    trainer = usp.Trainer(model, allreduce=poison, world_size=2)
    with pytest.raises(usp.NotFiniteError, match="step 1: the gradients after the all-reduce"):
        trainer.step(X, labels)
    assert trainer.steps == 0 and same(trainer.model(), model)


def test_steps_that_fail_keep_no_memory():
    model = usp.ViT.create(grid=8, width=64, depth=2, heads=2, classes=5)
    x = np.full((64, 4, 16, 16), np.nan, np.float32)
    trainers = [usp.Trainer(model), usp.Trainer(model, recompute="blocks", clip_norm=1.0)]

    def fail(times):
        for trainer in trainers:
            for call in [trainer.step, trainer.gradients] * times:
                with pytest.raises(usp.NotFiniteError):
                    call(x, np.zeros(64, int))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = fail(2)
    assert fail(8) - before < 64  # MiB; one step that is kept is some 30


def test_resume_is_exact(tmp_path):
    model, labels = models()["sit"]
    settings = dict(rate=1e-3, average_decay=0.99, warmup=3, steps=20, label_dropout=0.2, seed=4)
    whole = usp.Trainer(model, **settings)
    for _ in range(6):
        whole.step(X, labels)
    begun = usp.Trainer(model, **settings)
    for _ in range(3):
        begun.step(X, labels)
    begun.save(tmp_path / "state")
    resumed = usp.Trainer(model, **settings)
    resumed.restore(tmp_path / "state")
    assert resumed.steps == 3
    for _ in range(3):
        resumed.step(X, labels)
    assert same(whole.model(), resumed.model())
    assert same(whole.model(averaged=True), resumed.model(averaged=True))


def test_threads_change_nothing():
    model, labels = models()["dit"]
    results = []
    for count in (1, 2):
        usp.set_threads(count)
        trainer = usp.Trainer(model, rate=1e-3)
        results.append([trainer.step(X, labels) for _ in range(3)])
    usp.set_threads(0)
    assert results[0] == results[1]


def test_parts_of_a_batch_add_up():
    model, labels = models()["sit"]
    whole, parts = usp.Trainer(model, rate=1e-3), usp.Trainer(model, rate=1e-3, accumulation=4)
    for _ in range(3):
        assert whole.step(X, labels) == pytest.approx(parts.step(X, labels), rel=1e-4)
    with pytest.raises(usp.ShapeError, match="multiple of the accumulation"):
        parts.step(X[:6], labels[:6])


def test_ranks_are_one_batch():
    model, labels = models()["sit"]
    calls = []

    def double(slab):  # two ranks with the same batch
        calls.append(len(slab))
        slab *= 2

    alone = usp.Trainer(model, rate=1e-3)
    ranked = usp.Trainer(model, rate=1e-3, allreduce=double, world_size=2)
    for _ in range(2):
        assert alone.step(X, labels) == ranked.step(X, labels)
    assert len(calls) == 2 and calls[0] >= model.size
    assert same(alone.model(), ranked.model())


def test_failing_allreduce_leaves_the_weights():
    model, labels = models()["sit"]

    def broken(slab):
        raise RuntimeError("network down")

    trainer = usp.Trainer(model, allreduce=broken, world_size=2)
    with pytest.raises(RuntimeError, match="network down"):
        trainer.step(X, labels)
    assert trainer.steps == 0 and same(trainer.model(), model)


def test_probe_trains_the_head_alone():
    model = usp.ViT.create(**TINY, classes=5, head="probe", seed=1)
    trainer = usp.Trainer(model, head_only=True, optimizer="lars", rate=0.1)
    trainer.step(X, Y)
    after = trainer.model().parameters
    changed = {n for n, v in after.items() if not np.array_equal(v, model.parameters[n])}
    assert {"head.1.weight", "head.0.running_mean"} <= changed
    assert all(name.startswith("head.") for name in changed)


def test_probe_trains_on_features_as_on_their_images():
    model = usp.ViT.create(**TINY, classes=5, head="probe", seed=1)
    options = dict(head_only=True, optimizer="lars", rate=0.1)
    on_images, on_features = usp.Trainer(model, **options), usp.Trainer(model, **options)
    features = model.features(X)
    for _ in range(3):
        assert on_images.step(X, Y) == on_features.step(features, Y)
    assert same(on_images.model(), on_features.model())


def test_shares_of_classes_are_labels_too():
    model, labels = models()["vit"]
    smoothed = usp.Trainer(model, label_smoothing=0.2).step(X, labels)
    shares = (0.8 * np.eye(5)[labels] + 0.2 / 5).astype(np.float32)
    assert usp.Trainer(model).step(X, shares) == pytest.approx(smoothed, rel=1e-6)
    with pytest.raises(usp.DTypeError):
        usp.Trainer(model).step(X, shares.astype(np.float64))
    with pytest.raises(usp.ShapeError):
        usp.Trainer(model).step(X, shares[:, :4])


@pytest.mark.parametrize("name", ["mae", "vit", "dit", "sit"])
def test_recomputing_changes_nothing(name):
    model, labels = models()[name]
    kept = usp.Trainer(model, rate=1e-3)
    levels = ("hidden", "blocks", True)
    others = [usp.Trainer(model, rate=1e-3, recompute=level) for level in levels]
    for _ in range(2):
        loss = kept.step(X, labels)
        assert [again.step(X, labels) for again in others] == 3 * [loss]
    assert all(same(again.model(), kept.model()) for again in others)
    with pytest.raises(usp.ArgumentError, match="recompute: 'all', expected .*'hidden'"):
        usp.Trainer(model, recompute="all")


def test_an_autoencoder_has_nothing_to_recompute():
    for level in ("hidden", "blocks"):
        with pytest.raises(usp.UnsupportedError, match="no transformer blocks"):
            usp.Trainer(models()["vae"][0], recompute=level)


def test_exact_training_sums_plainly():
    model = usp.MaskedAutoencoder.create(  # large enough for products that share sums
        grid=16, width=256, depth=1, heads=4, decoder_width=256, decoder_depth=1,
        decoder_heads=4, seed=1)
    latents = usp.random.normal((1, 4, 32, 32), 2)
    shared, plain = usp.Trainer(model, seed=3), usp.Trainer(model, seed=3, exact=True)
    assert shared.step(latents) == pytest.approx(plain.step(latents), rel=1e-5)
    trained = plain.model()
    assert not same(shared.model(), trained)
    loaded = usp.MaskedAutoencoder.load(trained.checkpoint, exact=True)
    assert np.array_equal(trained.features(latents), loaded.features(latents))


def test_drop_path_drops():
    model, labels = models()["vit"]
    losses = [usp.Trainer(model, drop_path=rate, seed=3).step(X, labels) for rate in (0, 0.5, 0.5)]
    assert losses[0] != losses[1] == losses[2]
    with pytest.raises(usp.ArgumentError, match="drop_path"):
        usp.Trainer(model, drop_path=1.5)


def test_a_warming_average_follows_the_first_steps():
    model, labels = models()["sit"]
    trainer = usp.Trainer(model, rate=1e-2, average_decay=0.9, average_warms_up=True)
    expected = {name: value.copy() for name, value in model.parameters.items()}
    for step in range(3):
        trainer.step(X, labels)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in trainer.model().parameters.items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    for name, value in trainer.model(averaged=True).parameters.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7)


def test_given_times_and_noise_decide_everything():
    model, labels = models()["sit"]
    noise, times = usp.random.normal(X.shape, 5), np.linspace(0.1, 0.9, 8)
    losses = [
        usp.Trainer(model, seed=seed).step(X, labels, times=times, noise=noise) for seed in (1, 2)]
    assert losses[0] == losses[1]
    share = times[:, None, None, None]
    prediction = model.forward(
        (share * X + (1 - share) * noise).astype(np.float32), times, labels)
    assert losses[0] == pytest.approx(float(np.mean((prediction - (X - noise)) ** 2)), rel=1e-4)


def test_processes_of_ones_own():
    model, labels = models()["sit"]
    noise, times = usp.random.normal(X.shape, 5), np.linspace(0.1, 0.9, 8)
    transport = usp.Transport("GVP", "velocity")
    loss = usp.Trainer(model, transport=transport).step(X, labels, times=times, noise=noise)
    expected = transport.training_losses(model, X, labels, t=times, x0=noise)["loss"].mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)
    dit, labels = models()["dit"]
    process = usp.Diffusion("100")
    loss = usp.Trainer(dit, diffusion=process).step(X, labels, times=np.arange(8), noise=noise)
    expected = process.training_losses(dit, X, np.arange(8), labels, noise=noise)["loss"].mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_errors(tmp_path):
    model, labels = models()["vit"]
    trainer = usp.Trainer(model)
    with pytest.raises(usp.ArgumentError, match="labels: are needed"):
        trainer.step(X)
    with pytest.raises(usp.ShapeError, match="labels: shape"):
        trainer.step(X, [1, 2])
    with pytest.raises(usp.ArgumentError, match="adamw, lars"):
        usp.Trainer(model, optimizer="adam")
    with pytest.raises(usp.NotFiniteError, match="step 1: the loss is nan"):
        trainer.step(X * np.float32(np.nan), labels)
    trainer.cancel()
    with pytest.raises(usp.Cancelled):
        trainer.step(X, labels)
    assert trainer.step(X, labels) > 0
    with pytest.raises(OSError):
        trainer.restore(tmp_path / "nowhere")
    other = usp.Trainer(models()["sit"][0])
    other.save(tmp_path / "other")
    with pytest.raises(usp.ShapeError, match="training state"):
        trainer.restore(tmp_path / "other")
