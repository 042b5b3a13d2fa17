"""The transport through ctypes against the published code's numbers."""

import golden
import numpy as np
import pytest

import usp

TOLERANCE = 1e-4


def wide(t):
    return np.asarray(t, np.float32)[:, None, None, None]


NETWORKS = {
    "velocity": lambda x, t, y: np.cos(3 * wide(t)) - (0.5 + wide(t)) * x,
    "score": lambda x, t, y: 0.2 * wide(t) * np.cos(3 * wide(t)) - (1 - 0.5 * wide(t)) * x,
    "noise": lambda x, t, y: 0.3 * wide(t) * np.cos(3 * wide(t)) + (1 - wide(t)) * x,
}


def close(value, reference, tolerance=TOLERANCE):
    assert golden.difference(value, reference) < tolerance


def adaptive(name, key):
    """The tolerance of a case of dopri5.

    Where the published code in float32 and in float64 is itself more than 1e-4 / 3 apart, its
    steps are accepted or not by rounding errors (MANIFEST's torch_f32_error).
    """
    return max(TOLERANCE, 3 * golden.MANIFEST[name]["torch_f32_error"].get(key, 0))


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
    tight = method == "tight"
    value = usp.Transport(path, prediction).sample_ode(
        NETWORKS[prediction], case["in.start"], method="dopri5" if tight else method, steps=7,
        reverse="reverse" in parts, rtol=1e-5 if tight else 1e-3)
    reference = case[f"out.{key}"]
    close(value, reference[-1] if reference.ndim == 5 else reference,
          TOLERANCE if tight else adaptive("transport/flows", key))


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
    close(value, reference)


@pytest.mark.parametrize("form", ["constant", "SBDM"])
def test_forms_that_the_original_cannot_run(form):
    # The data are Gaussian, so that the exact velocity is known, and the deviation at the end too.
    deviation = 0.5

    def exact(x, t, y):
        t = wide(t)
        return (t * deviation**2 - (1 - t)) * x / ((1 - t) ** 2 + (t * deviation) ** 2)

    z = usp.random.normal((64, 4, 8, 8), 1)
    transport = usp.Transport()
    if form == "SBDM":
        start, end, note = transport.interval(True, form=form)
        assert (start, end) == (0.001, pytest.approx(0.96))
        assert note == "starts at t = 0.001: the field is infinite at t = 0"
        with pytest.warns(UserWarning, match="starts at t = 0.001"):
            value = transport.sample_sde(exact, z, form=form, last_step="Euler")
    else:
        assert transport.interval(True, form=form) == (0.0, pytest.approx(0.96), "")
        value = transport.sample_sde(exact, z, form=form, last_step="Euler")
    assert abs(value.std() / deviation - 1) < 0.02


def test_intervals_are_said():
    assert usp.Transport().interval() == (0.0, 1.0, "")
    assert usp.Transport("VP").interval()[:2] == (0.0, 0.999)
    start, end, note = usp.Transport().interval(True, method="Heun", last_step=None)
    assert (start, end) == (0.0, 0.999) and "ends at t = 0.999" in note


@pytest.mark.parametrize("key", [k for k in cases("losses") if k.endswith(".loss")])
def test_losses(key):
    case = golden.load("transport/losses")
    path, prediction, weight, _ = key.split(".")
    transport = usp.Transport(path, prediction, None if weight == "none" else weight)
    losses = transport.training_losses(
        lambda x, t, y: case["in.model_output"], case["in.data"],
        t=case[f"out.{path}.{prediction}.t"], x0=case["in.noise"])
    close(losses["loss"], case[f"out.{key}"])


@pytest.mark.parametrize("key", [k for k in cases("likelihood") if k.endswith(".logp")])
def test_likelihood(key):
    case = golden.load("transport/likelihood")
    path, prediction, method, _ = key.split(".")
    tight = method == "tight"
    logp, latent = usp.Transport(path, prediction).likelihood(
        NETWORKS[prediction], case["in.data"], method="dopri5" if tight else method, steps=6,
        rtol=1e-5 if tight else 1e-3, probe=case["in.probe"])
    for value, key in ((logp, key), (latent, f"{path}.{prediction}.{method}.latent")):
        close(value, case[f"out.{key}"],
              TOLERANCE if tight else adaptive("transport/likelihood", key))


@pytest.fixture(scope="module")
def sit():
    return usp.SiT.load(golden.params("transport/network_runs"), num_heads=3)


def test_network_runs(sit):
    case = golden.load("transport/network_runs")
    start, labels, transport = case["in.start"], case["in.labels"], usp.Transport()
    for method, points in (("euler", 5), ("heun2", 3), ("dopri5", 2)):
        close(transport.sample_ode(sit, start, labels, method, points), case[f"out.{method}"])
    guided = transport.sample_ode(sit, start, labels, "euler", 5, cfg_scale=1.5)
    close(guided, case["out.euler.guided"])
    # The null half's own steps: the original's, or those of the wanted half alone.
    adaptive = dict(cfg_scale=1.5, method="dopri5", steps=2)
    guided = transport.sample_ode(sit, start, labels, null_half=True, **adaptive)
    close(guided, case["out.dopri5.guided"], 1e-4)
    alone = transport.sample_ode(sit, start, labels, **adaptive)
    assert np.abs(alone - case["out.dopri5.guided"]).max() > 1e-4
    with pytest.raises(usp.ArgumentError, match="null_half"):
        transport.sample_ode(sit, start, labels, "heun2", 5, cfg_scale=1.5, null_half=True)
    value = transport.sample_sde(sit, start, labels, steps=5, noise=case["in.noises"])
    close(value, case["out.sde"])


def test_parts_of_evaluations_are_used_again(sit):
    case = golden.load("transport/network_runs")
    start, labels, transport = case["in.start"], case["in.labels"], usp.Transport()
    run = dict(method="euler", steps=5, cfg_scale=1.5)
    whole = transport.sample_ode(sit, start, labels, **run)
    same = dict(reuse_interval=1, reuse_order=0, null_interval=1)
    assert np.array_equal(transport.sample_ode(sit, start, labels, **run, **same), whole)

    # By hand: the null half at steps 0 and 3 only.
    x = np.array(start, np.float32)
    for step in range(4):
        t = np.full(len(x), step / 4, np.float32)
        value = sit.forward(x, t, labels)
        if step % 3 == 0:
            difference = value - sit.forward(x, t, np.full(len(x), sit.config.classes))
        value[:, :3] += 0.5 * difference[:, :3]
        x += value / 4
    close(transport.sample_ode(sit, start, labels, **run, null_interval=3), x)
    seen = []

    def function(x, t, y):
        seen.append(len(x))
        return sit.forward(x, t, y)

    given = dict(null_interval=3, null_class=sit.config.classes)
    close(transport.sample_ode(function, start, labels, **run, **given), x)
    assert seen == [2 * len(x), len(x), len(x), 2 * len(x)]

    # Blocks: never computed again, or always.
    once = transport.sample_ode(sit, start, labels, **run, reuse_threshold=1e9)
    assert np.array_equal(once, transport.sample_ode(sit, start, labels, **run, reuse_interval=4))
    assert np.abs(once - whole).max() > 1e-4
    assert np.array_equal(
        transport.sample_ode(sit, start, labels, **run, reuse_threshold=0), whole)
    with pytest.raises(usp.ArgumentError, match="a function has no blocks"):
        transport.sample_ode(function, start, labels, **run, null_class=1, reuse_interval=2)
    with pytest.raises(usp.ArgumentError, match="null_interval: has no part in the solver dopri5"):
        transport.sample_ode(sit, start, labels, null_interval=2)


@pytest.mark.parametrize(
    "key", [k for k in cases("network_solvers") if "likelihood" not in k])
def test_network_solvers(sit, key):
    case = golden.load("transport/network_solvers")
    path, prediction, solver = key.split(".")
    start, labels, transport = case["in.start"], case["in.labels"], usp.Transport(path, prediction)
    if solver == "heun2":
        value = transport.sample_ode(sit, start, labels, "heun2", 5)
    elif solver == "sde_euler":
        value = transport.sample_sde(sit, start, labels, steps=5, noise=case["in.noises"])
    else:
        value = transport.sample_sde(
            sit, start, labels, "Heun", "linear", 0.5, "Tweedie", steps=5, noise=case["in.noises"])
    close(value[:, ::2, ::2, ::2], case[f"out.{key}"])


@pytest.mark.parametrize("path", ["Linear", "GVP", "VP"])
def test_network_likelihood_is_exact(sit, path):
    case = golden.load("transport/network_solvers")
    data, probe, labels = case["in.data"], case["in.probe"], case["in.labels"]
    settings = {"y": labels, "method": "euler", "steps": 5, "probe": probe}
    logp, latent = usp.Transport(path).likelihood(sit, data, **settings)
    close(logp, case[f"out.{path}.likelihood.logp"], 1e-5)
    close(latent[:, ::2, ::2, ::2], case[f"out.{path}.likelihood.latent"], 1e-5)
    # A function takes differences, which a bending network shows.
    logp, _ = usp.Transport(path).likelihood(lambda x, t, y: sit.forward(x, t, y), data, **settings)
    close(logp, case[f"out.{path}.likelihood.logp"], 5e-4)


@pytest.mark.parametrize("path", ["Linear", "GVP", "VP"])
def test_round_trip(path):
    transport, z = usp.Transport(path), usp.random.normal((2, 2, 2, 2), 1)
    data = transport.sample_ode(NETWORKS["velocity"], z, atol=1e-6, rtol=1e-5)
    close(transport.sample_ode(NETWORKS["velocity"], data, atol=1e-6, rtol=1e-5, reverse=True), z)


@pytest.mark.parametrize("method, order", [
    ("euler", 1), ("midpoint", 2), ("heun", 2), ("heun3", 3), ("rk4", 4), ("adams-bashforth", 2),
    ("adams-bashforth3", 3),
])
def test_orders(method, order):
    z = usp.random.normal((1, 2, 4, 4), 1)
    transport = usp.Transport()
    exact = transport.sample_ode(NETWORKS["velocity"], z, method="rk4", steps=400)
    errors = [
        np.abs(
            transport.sample_ode(NETWORKS["velocity"], z, method=method, steps=n + 1) - exact).max()
        for n in (4, 8)]
    assert errors[0] / errors[1] > 0.7 * 2**order


def test_zeros_are_not_taken_for_defaults():
    transport, z = usp.Transport(), usp.random.normal((2, 2, 2, 2), 1)
    network = NETWORKS["velocity"]
    # Without noise the SDE is the flow.
    quiet = transport.sample_sde(network, z, norm=0.0, last_step="Euler", steps=25)
    flow = transport.sample_ode(network, z, rtol=0.0, atol=1e-5)
    close(quiet, flow, 0.05)
    close(transport.sample_ode(network, z, rtol=1e-6, atol=0.0), flow)

    def labelled(x, t, y):
        return network(x, t, y) * (1 + 0.1 * np.asarray(y, np.float32))[:, None, None, None]

    null = transport.sample_ode(labelled, z, [5, 5], "euler", 5)
    settings = {"null_class": 5, "cfg_channels": 2}
    value = transport.sample_ode(labelled, z, [1, 2], "euler", 5, cfg_scale=0.0, **settings)
    close(value, null, 1e-6)


def test_timestep_shift():
    z, seen = usp.random.normal((1, 2, 2, 2), 1), []

    def network(x, t, y):
        seen.append(float(t[0]))
        return 0 * x

    usp.Transport().sample_ode(network, z, method="euler", steps=6, timestep_shift=0.3)
    shares = np.arange(5) / 5
    assert np.allclose(seen, 0.3 * shares / (1 - 0.7 * shares), atol=1e-6)


def test_errors_and_callbacks():
    transport, z = usp.Transport(), usp.random.normal((2, 2, 2, 2), 1)
    network = NETWORKS["velocity"]
    with pytest.raises(usp.ArgumentError, match='Linear, GVP, VP; did you mean "Linear"'):
        usp.Transport("Linaer")
    with pytest.raises(usp.ArgumentError, match='did you mean "score"'):
        usp.Transport(prediction="scor")
    with pytest.raises(usp.ArgumentError, match='did you mean "likelihood"'):
        usp.Transport(loss_weight="likelihod")
    with pytest.raises(usp.ArgumentError, match='dopri5.*did you mean "euler"'):
        transport.sample_ode(network, z, method="elur")
    with pytest.raises(usp.ArgumentError, match='did you mean "Tweedie"'):
        transport.sample_sde(network, z, last_step="Tweedy")
    for steps in (1, 0, -2):
        with pytest.raises(usp.ArgumentError, match="steps"):
            transport.sample_ode(network, z, steps=steps)
        with pytest.raises(usp.ArgumentError, match="steps"):
            transport.sample_sde(network, z, steps=steps)
    with pytest.raises(usp.ArgumentError, match="timestep_shift"):
        transport.sample_ode(network, z, method="euler", timestep_shift=-1)
    plain = transport.sample_ode(network, z, method="euler", timestep_shift=1)
    assert np.array_equal(transport.sample_ode(network, z, method="euler", timestep_shift=0), plain)
    with pytest.raises(usp.ArgumentError, match="increasing-decreasing"):
        transport.sample_sde(network, z, form="waves")
    with pytest.raises(usp.NotFiniteError, match="step 1 of 4.*not finite"):
        transport.sample_ode(lambda x, t, y: x * np.nan, z, method="euler", steps=5)
    with pytest.raises(usp.Cancelled):
        transport.sample_sde(network, z, progress=lambda p: p.step < 3)
    seen = []
    transport.sample_ode(
        network, z, method="euler", steps=5, progress=lambda p: seen.append(p.step),
        preview=lambda p, latents: seen.append(latents.shape), preview_interval=4)
    assert seen == [1, 2, 3, (2, 2, 2, 2), 4]
    sized = transport.sample_ode(
        lambda x, t, y: np.concatenate([network(x, t, y), x], 1), z, method="euler")
    assert np.array_equal(sized, transport.sample_ode(network, z, method="euler"))
