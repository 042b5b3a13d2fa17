"""Progress, previews and cancelling between steps: the same for every sampler."""

import gc
import weakref

import numpy as np
import pytest

import usp

Z = usp.random.normal((2, 4, 4, 4), 1)
STEPS = 6


def diffusion(name, **own):
    process = usp.Diffusion(f"{STEPS}", learn_sigma=False)
    return lambda model, **given: getattr(process, name)(model, Z, **own, **given)


def flow(method, **own):
    # Points of time, one more than steps between them.
    return lambda model, **given: usp.Transport().sample_ode(
        model, Z, method=method, steps=STEPS + 1, **own, **given)


def noisy(method):
    return lambda model, **given: usp.Transport().sample_sde(
        model, Z, method=method, steps=STEPS, **given)


SAMPLERS = {
    "ddpm": diffusion("p_sample_loop"),
    "ddim": diffusion("ddim_sample_loop", eta=0.5),
    "dpm++": diffusion("dpm_sample_loop"),
    "dpm++sde": diffusion("dpm_sample_loop", stochastic=True),
    "ddim reverse": diffusion("ddim_reverse_loop"),
    **{method: flow(method) for method in (
        "euler", "midpoint", "heun", "heun3", "rk4", "dopri5", "adams-bashforth",
        "adams-bashforth3")},
    "flow reverse": flow("heun", reverse=True),
    "sde": noisy("Euler"),
    "sde heun": noisy("Heun"),
}


def network(x, t, y):
    return 0.3 * x


@pytest.mark.parametrize("name", SAMPLERS)
def test_progress_and_previews(name):
    told, shown = [], []
    result = SAMPLERS[name](
        network, progress=lambda p: told.append((p.step, p.steps, p.seconds >= 0)),
        preview=lambda p, latents: shown.append((p.step, latents)), preview_interval=4)
    assert told == [(step, STEPS, True) for step in range(1, STEPS + 1)]
    assert [step for step, _ in shown] == [4, STEPS]
    assert all(latents.shape == Z.shape and np.isfinite(latents).all() for _, latents in shown)
    if "reverse" not in name:
        # At the end what is predicted is what comes out.
        assert np.abs(shown[-1][1] - result).max() < 0.05 * np.abs(result).max()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_ends_between_steps(name):
    times = []

    def counting(x, t, y):
        times.append(float(t[0]))
        return network(x, t, y)

    calls = []
    with pytest.raises(usp.Cancelled):
        SAMPLERS[name](counting, progress=lambda p: (calls.append(len(times)), p.step < 3)[1])
    assert len(calls) == 3 and len(times) == calls[-1]
    with pytest.raises(ZeroDivisionError):
        SAMPLERS[name](network, preview=lambda p, latents: 1 // 0, preview_interval=2)
    # Nothing of the stopped runs is left.
    assert np.array_equal(SAMPLERS[name](network, seed=3), SAMPLERS[name](network, seed=3))


@pytest.mark.parametrize("stop", [
    dict(model=lambda x, t, y: 1 / 0), dict(progress=lambda p: False),
    dict(progress=lambda p: 1 / 0),
])
def test_a_run_that_ends_early_frees_its_arrays(stop):
    def run():
        z = usp.random.normal((1, 4, 4, 4), 1)
        alive.append(weakref.ref(z))
        given = {"model": lambda x, t, y: x, **stop}
        try:
            usp.Transport().sample_ode(given.pop("model"), z, method="euler", steps=3, **given)
        except (ZeroDivisionError, usp.Cancelled):
            return
        raise AssertionError("nothing stopped it")

    alive = []
    for _ in range(5):
        run()
    gc.collect()
    assert [reference() for reference in alive] == [None] * 5


@pytest.mark.parametrize("wrong", [lambda x: x * 1j, lambda x: np.full(x.shape, "a")])
def test_models_return_real_numbers(wrong):
    with pytest.raises(usp.DTypeError, match="model output: dtype .*, expected real numbers"):
        usp.Transport().sample_ode(lambda x, t, y: wrong(x), np.zeros((1, 4, 2, 2), np.float32))
