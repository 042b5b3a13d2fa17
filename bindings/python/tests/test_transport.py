"""The transport through ctypes against the published code's numbers."""

import golden
import numpy as np
import pytest

import usp

TOLERANCE = 5e-4


def wide(t):
    return np.asarray(t, np.float32)[:, None, None, None]


NETWORKS = {
    "velocity": lambda x, t, y: np.cos(3 * wide(t)) - (0.5 + wide(t)) * x,
    "score": lambda x, t, y: 0.2 * wide(t) * np.cos(3 * wide(t)) - (1 - 0.5 * wide(t)) * x,
    "noise": lambda x, t, y: 0.3 * wide(t) * np.cos(3 * wide(t)) + (1 - wide(t)) * x,
}


def close(value, reference, tolerance=TOLERANCE):
    assert golden.difference(value, reference) < tolerance


def cases(name):
    """Keys of the results of a case, without `out.`"""
    return sorted(key[4:] for key in golden.load(f"transport/{name}") if key.startswith("out."))


@pytest.mark.parametrize("key", cases("flows"))
def test_flows(key):
    case = golden.load("transport/flows")
    parts = key.split(".")
    path, prediction, method = parts[:3]
    if "reverse" in parts and path == "VP":
        pytest.skip("the original's reverse interval is mirrored; ours returns where it came from")
    value = usp.Transport(path, prediction).sample_ode(
        NETWORKS[prediction], case["in.start"], method=method, steps=7, reverse="reverse" in parts)
    reference = case[f"out.{key}"]
    close(value, reference[-1] if reference.ndim == 5 else reference)


@pytest.mark.parametrize("key", cases("stochastic"))
def test_stochastic(key):
    case = golden.load("transport/stochastic")
    path, prediction, form, scale, fraction, method, last = key.split(".")
    value = usp.Transport(path, prediction).sample_sde(
        NETWORKS[prediction], case["in.start"], method=method, form=form,
        norm=float(f"{scale}.{fraction}"), last_step=None if last == "None" else last, steps=6,
        noise=case["in.noises"])
    reference = case[f"out.{key}"]
    assert np.isfinite(value).all()
    if clamped(path, prediction, form, method, last):
        return  # the original starts or ends on a singular time; here the interval is clamped
    close(value, reference)


def clamped(path, prediction, form, method, last):
    starts = path != "VP" and prediction == "velocity" and form == "SBDM"
    ends = last == "None" and (method == "Heun" or last in ("Mean", "Tweedie"))
    return starts or ends


def test_forms_that_the_original_cannot_run():
    z = usp.random.normal((2, 2, 2, 2), 1)
    for form in ("constant", "SBDM"):
        value = usp.Transport().sample_sde(NETWORKS["velocity"], z, form=form, steps=20)
        assert np.isfinite(value).all()


@pytest.mark.parametrize("key", [k for k in cases("losses") if k.endswith(".loss")])
def test_losses(key):
    case = golden.load("transport/losses")
    path, prediction, weight, _ = key.split(".")
    transport = usp.Transport(path, prediction, None if weight == "none" else weight)
    losses = transport.training_losses(
        lambda x, t, y: case["in.model_output"], case["in.data"],
        t=case[f"out.{path}.{prediction}.t"], x0=case["in.noise"])
    close(losses["loss"], case[f"out.{key}"], 2e-4)


@pytest.mark.parametrize("key", [k for k in cases("likelihood") if k.endswith(".logp")])
def test_likelihood(key):
    case = golden.load("transport/likelihood")
    path, prediction, method, _ = key.split(".")
    logp, latent = usp.Transport(path, prediction).likelihood(
        NETWORKS[prediction], case["in.data"], method=method, steps=6, probe=case["in.probe"])
    close(latent, case[f"out.{path}.{prediction}.{method}.latent"], 1e-3)
    close(logp, case[f"out.{key}"], 1e-3)


def test_network_runs():
    name = "transport/network_runs"
    case = golden.load(name)
    model = usp.SiT.load(golden.params(name), num_heads=3)
    start, labels, transport = case["in.start"], case["in.labels"], usp.Transport()
    for method, points in (("euler", 5), ("heun2", 3), ("dopri5", 2)):
        close(transport.sample_ode(model, start, labels, method, points), case[f"out.{method}"], 1e-3)
    guided = transport.sample_ode(model, start, labels, "euler", 5, cfg_scale=1.5)
    close(guided, case["out.euler.guided"], 1e-3)
    value = transport.sample_sde(model, start, labels, steps=5, noise=case["in.noises"])
    close(value, case["out.sde"], 1e-3)


@pytest.mark.parametrize("path", ["Linear", "GVP", "VP"])
def test_round_trip(path):
    transport, z = usp.Transport(path), usp.random.normal((2, 2, 2, 2), 1)
    data = transport.sample_ode(NETWORKS["velocity"], z, atol=1e-6, rtol=1e-5)
    close(transport.sample_ode(NETWORKS["velocity"], data, atol=1e-6, rtol=1e-5, reverse=True), z, 1e-3)


@pytest.mark.parametrize("method, order", [
    ("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("adams-bashforth", 2),
])
def test_orders(method, order):
    z = usp.random.normal((1, 2, 4, 4), 1)
    transport = usp.Transport()
    exact = transport.sample_ode(NETWORKS["velocity"], z, method="rk4", steps=400)
    errors = [
        np.abs(transport.sample_ode(NETWORKS["velocity"], z, method=method, steps=n + 1) - exact).max()
        for n in (4, 8)]
    assert errors[0] / errors[1] > 0.7 * 2**order


def test_errors_and_callbacks():
    transport, z = usp.Transport(), usp.random.normal((2, 2, 2, 2), 1)
    network = NETWORKS["velocity"]
    with pytest.raises(usp.ArgumentError, match="Linear, GVP, VP"):
        usp.Transport("Linaer")
    with pytest.raises(usp.ArgumentError, match="euler"):
        transport.sample_ode(network, z, method="elur")
    with pytest.raises(usp.ArgumentError, match="steps"):
        transport.sample_ode(network, z, steps=1)
    with pytest.raises(usp.ArgumentError, match="increasing-decreasing"):
        transport.sample_sde(network, z, form="waves")
    with pytest.raises(usp.ArgumentError, match="step 1 of 4.*not finite"):
        transport.sample_ode(lambda x, t, y: x * np.nan, z, method="euler", steps=5)
    with pytest.raises(usp.Cancelled):
        transport.sample_sde(network, z, progress=lambda p: p.step < 3)
    seen = []
    transport.sample_ode(
        network, z, method="euler", steps=5, progress=lambda p: seen.append(p.step),
        preview=lambda p, latents: seen.append(latents.shape), preview_interval=4)
    assert seen == [1, 2, 3, (2, 2, 2, 2), 4]
    sized = transport.sample_ode(lambda x, t, y: np.concatenate([network(x, t, y), x], 1), z, method="euler")
    assert np.array_equal(sized, transport.sample_ode(network, z, method="euler"))
