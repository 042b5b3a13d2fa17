"""All samplers as the documentation writes them; guidance by sample, channels and interval."""

import golden
import numpy as np
import pytest

import usp

TINY = dict(grid=4, width=32, depth=1, heads=2)


def test_every_sampler_as_it_is_written():
    """The calls of the documentation, with a model of the library and with a function."""
    dit = usp.DiT.create(**TINY, classes=5, seed=1)
    sit = usp.SiT.create(**TINY, classes=5, seed=1)
    z, y = usp.random.normal((2, 4, 8, 8), 1), np.array([1, 2])
    diffusion = usp.Diffusion(respacing="4", schedule="linear", learn_sigma=True)
    transport = usp.Transport(path="Linear", prediction="velocity", loss_weight=None)
    assert usp.Diffusion().steps == 250
    noise = usp.random.normal((4, 2, 4, 8, 8), 2)
    calls = [
        (dit, lambda model: diffusion.p_sample_loop(
            model, z, y, noise=noise, clip_denoised=False, cfg_scale=None)),
        (dit, lambda model: diffusion.ddim_sample_loop(model, z, y, eta=0.0)),
        (dit, lambda model: diffusion.training_losses(model, z, [0, 3], y, noise=noise[0])["loss"]),
        (sit, lambda model: transport.sample_ode(
            model, z, y, method="dopri5", steps=50, atol=1e-6, rtol=1e-3, reverse=False,
            cfg_scale=None)),
        (sit, lambda model: transport.sample_sde(
            model, z, y, method="Euler", form="sigma", norm=1.0, last_step="Mean",
            last_step_size=0.04, steps=5, noise=noise)),
        (sit, lambda model: transport.training_losses(
            model, z, y, t=[0.2, 0.7], x0=noise[0])["loss"]),
        (sit, lambda model: transport.likelihood(model, z, y, method="euler", steps=4)[0]),
    ]
    for model, call in calls:
        value = call(model)
        same = call(lambda x, t, y, model=model: model.forward(x, t, y))
        assert value.dtype == np.float32 and np.isfinite(value).all()
        assert np.abs(value - same).max() <= 1e-4 * np.abs(value).max()


def test_guidance_by_sample_channels_and_interval():
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    process, z, y = usp.Diffusion("4"), usp.random.normal((3, 4, 8, 8), 1), [1, 2, 3]
    rows = []

    def network(x, t, y):
        rows.append((len(x), y.tolist()))
        scale = (0.2 + 0.1 * y)[:, None, None, None].astype(np.float32)
        return np.concatenate([scale * x, 0 * x], 1)

    def guided(x, t, y, scale=np.float32([1, 2, 4]), channels=3):
        given, null = network(x, t, y), network(x, t, np.full(len(y), 5))
        value = given.copy()
        value[:, :channels] = (
            null + scale[:, None, None, None] * (given - null))[:, :channels]
        return value

    settings = {"seed": 1, "null_class": 5}
    expected = process.p_sample_loop(guided, z, y, seed=1)
    rows.clear()
    value = process.p_sample_loop(network, z, y, cfg_scale=[1, 2, 4], **settings)
    assert golden.difference(value, expected) < 1e-5
    assert rows == [(6, [1, 2, 3, 5, 5, 5])] * 4
    value = process.p_sample_loop(network, z, y, cfg_scale=[1, 2, 4], cfg_channels=4, **settings)
    expected = process.p_sample_loop(
        lambda x, t, y: guided(x, t, y, channels=4), z, y, seed=1)
    assert golden.difference(value, expected) < 1e-5
    rows.clear()
    value = process.p_sample_loop(
        network, z, y, cfg_scale=[1, 2, 4], cfg_interval=(300, 700), **settings)
    assert [count for count, _ in rows] == [3, 6, 6, 3]  # the times are 999, 666, 333 and 0
    with pytest.raises(usp.ShapeError, match="cfg_scale: shape"):
        process.p_sample_loop(network, z, y, cfg_scale=[1, 2], **settings)
    with pytest.raises(usp.ArgumentError, match="null_class"):
        process.p_sample_loop(network, z, y, cfg_scale=2.0)
    with pytest.raises(usp.ArgumentError, match="label"):
        process.p_sample_loop(model, z, [1, 2, 6])
    with pytest.raises(usp.ArgumentError, match="label"):
        process.p_sample_loop(model, z, [1, 2, -1])


def test_options_without_a_part_are_refused():
    z = np.zeros((1, 2, 4, 4), np.float32)
    diffusion, transport = usp.Diffusion("4", learn_sigma=False), usp.Transport()
    noise = np.zeros((4, *z.shape), np.float32)

    def network(x, t, y):
        return 0 * x

    calls = {
        "rtol: has no part in the solver euler, only in dopri5":
            lambda: transport.sample_ode(network, z, method="euler", rtol=1e-5),
        "noise: has no part in the solver heun, only in ddpm, ddim":
            lambda: transport.sample_ode(network, z, method="heun", noise=noise),
        r"noise: has no part in the solver dpm\+\+, only in ddpm, ddim":
            lambda: diffusion.dpm_sample_loop(network, z, noise=noise),
        "adjust_start: has no part in the solver sde, only in ddpm":
            lambda: transport.sample_sde(network, z, denoised_fn=lambda x: x),
        "preview_interval: 0, expected a whole number of 1 or more":
            lambda: diffusion.p_sample_loop(network, z, preview_interval=0),
    }
    for words, call in calls.items():
        with pytest.raises(usp.ArgumentError, match=words):
            call()


def test_times_of_transports():
    plain = usp.Transport()
    assert np.array_equal(plain.draw_times(9, seed=3)[:5], plain.draw_times(5, seed=3))
    times = np.sort(usp.Transport(times="lognormal").draw_times(20000))
    assert np.abs(times[[1000, 5000, 10000, 15000]] - [0.162, 0.337, 0.5, 0.663]).max() < 0.01
    assert usp.Transport(noise_at=1).interval()[:2] == (1.0, 0.0)
    z = usp.random.normal((2, 2, 4, 4), 1)

    def velocity(x, t, y):
        return (0.5 - t[:, None, None, None]) * x

    expected = plain.sample_ode(velocity, z, method="heun", steps=6)
    value = usp.Transport(noise_at=1).sample_ode(
        lambda x, t, y: -velocity(x, 1 - t, y), z, method="heun", steps=6)
    assert golden.difference(value, expected) < 1e-5
    losses = usp.Transport(cosine_loss=True).training_losses(velocity, z, seed=1)
    assert set(losses) == {"loss", "mse", "cos_loss"}
    assert np.allclose(losses["loss"], losses["mse"] + losses["cos_loss"])
    assert np.array_equal(losses["mse"], plain.training_losses(velocity, z, seed=1)["loss"])
    with pytest.raises(usp.ArgumentError, match="noise_at: 2"):
        usp.Transport(noise_at=2)


@pytest.mark.parametrize("points, low, high", [(10, 0.2, 0.7), (50, 0.3, 0.7), (20, 0.4, 0.6), (250, 0, 0.9)])
def test_guidance_has_both_ends_of_its_interval(points, low, high):
    """REPA's rule, in float64, on its own grid."""
    guided = []

    def model(x, t, y):
        guided.append((round(float(t[0]), 6), len(x) == 2))
        return 0 * x

    usp.Transport(noise_at=1).sample_ode(
        model, np.zeros((1, 4, 2, 2), np.float32), [0], method="euler", steps=points + 1, cfg_scale=2.0,
        cfg_interval=(low, high), null_class=10)
    times = np.linspace(1, 0, points + 1)
    expected = {round(t, 6): low <= round(t, 12) <= high for t in times}
    assert len(guided) >= points and all(expected[t] == is_guided for t, is_guided in guided)
