"""The Gaussian process through ctypes against the published code's numbers; callbacks."""

import os
import signal
import threading

import golden
import numpy as np
import pytest

import usp


def network(x, t, y):
    """The network of the golden loops: prediction and variances."""
    wave = np.sin(0.01 * t)[:, None, None, None].astype(np.float32)
    return np.concatenate([0.4 * x + 0.1 * wave, np.tanh(0.5 * x)], axis=1)


@pytest.mark.parametrize("respacing", ["1", "7", "250", "10,10,20", "ddim50"])
def test_respaced_tables(respacing):
    case = golden.load("diffusion/respaced_" + respacing.replace(",", "_"))
    process = usp.Diffusion(respacing)
    assert np.array_equal(process.table("timestep_map"), case["out.timestep_map"])
    for name in ("betas", "alphas_cumprod", "posterior_mean_coef1"):
        if f"out.{name}" not in case:
            continue
        value = process.table(name)[case["in.indices"]]
        assert golden.difference(value, case[f"out.{name}"]) < 1e-6


def test_q_sample():
    case = golden.load("diffusion/forward")
    value = usp.Diffusion(None).q_sample(case["in.x"], case["in.t"], case["in.noise"])
    assert golden.difference(value, case["out.sample"]) < 1e-5


@pytest.mark.parametrize("clip", [False, True])
def test_loops_with_given_noise(clip):
    case = golden.load("diffusion/loops")
    start, noises = case["in.start"], case["in.noises"]
    process = usp.Diffusion("10")
    kind = "clip" if clip else "free"
    value = process.p_sample_loop(network, start, noise=noises, clip_denoised=clip)
    assert golden.difference(value, case[f"out.ddpm.learned.{kind}"][-1]) < 1e-4
    for eta in (0.0, 0.5, 1.0):
        value = process.ddim_sample_loop(
            network, start, noise=noises, clip_denoised=clip, eta=eta)
        assert golden.difference(value, case[f"out.ddim_{eta}.learned.{kind}"][-1]) < 1e-4


def test_reverse_loop():
    case = golden.load("diffusion/loops")
    value = usp.Diffusion("10").ddim_reverse_loop(network, case["in.start"])
    assert golden.difference(value, case["out.ddim_reverse"][-1]) < 1e-4


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("kind, options", [
    ("fixed_large", {"learn_sigma": False}),
    ("fixed_small", {"learn_sigma": False, "sigma_small": True}),
    ("start", {"learn_sigma": False, "predict_xstart": True}),
])
def test_loops_of_every_kind(kind, options, clip):
    case = golden.load("diffusion/loops")
    process, suffix = usp.Diffusion("10", **options), "clip" if clip else "free"
    settings = {"noise": case["in.noises"], "clip_denoised": clip}

    def plain(x, t, y):
        return network(x, t, y)[:, :2]

    value = process.p_sample_loop(plain, case["in.start"], **settings)
    assert golden.difference(value, case[f"out.ddpm.{kind}.{suffix}"][-1]) < 1e-4
    value = process.ddim_sample_loop(plain, case["in.start"], eta=0.5, **settings)
    assert golden.difference(value, case[f"out.ddim_0.5.{kind}.{suffix}"][-1]) < 1e-4


def test_bits_per_dimension():
    case = golden.load("diffusion/loops")
    bound = usp.Diffusion("10").calc_bpd_loop(network, case["in.data"], noise=case["in.noises"])
    assert set(bound) == {"total_bpd", "prior_bpd", "vb", "xstart_mse", "mse"}
    for name, value in bound.items():
        assert golden.difference(value, case[f"out.bound.{name}"]) < 1e-4
    seeded = usp.Diffusion("10").calc_bpd_loop(network, case["in.data"], seed=1)
    assert np.isfinite(seeded["total_bpd"]).all()
    with pytest.raises(usp.ShapeError, match="noise: shape"):
        usp.Diffusion("10").calc_bpd_loop(network, case["in.data"], noise=case["in.noises"][:, :1])


def test_predicted_latents_may_be_changed():
    case = golden.load("diffusion/loops")
    process, z = usp.Diffusion("10"), case["in.start"]
    settings = {"noise": case["in.noises"]}
    clipped = process.p_sample_loop(network, z, clip_denoised=True, **settings)
    changed = process.p_sample_loop(
        network, z, denoised_fn=lambda x0: np.clip(x0, -1, 1), **settings)
    assert np.array_equal(clipped, changed)
    with pytest.raises(usp.ShapeError, match="denoised_fn"):
        process.p_sample_loop(network, z, denoised_fn=lambda x0: x0[:1])
    with pytest.raises(ZeroDivisionError):
        process.ddim_sample_loop(network, z, denoised_fn=lambda x0: 1 / 0)


@pytest.fixture(scope="module")
def dit():
    """The random network of the golden cases, its last layer scaled as they say."""
    name = "diffusion/network_solvers"
    config = golden.MANIFEST[name]["config"]
    weights = dict(usp.Checkpoint.open(golden.params(name)))
    factor = np.float32(config["final_linear_weight_times"])
    weights["final_layer.linear.weight"] = weights["final_layer.linear.weight"] * factor
    return usp.DiT.load(weights, num_heads=config["heads"])


def test_network_loops(dit):
    case = golden.load("diffusion/network_loops")
    start, labels = case["in.start"], case["in.labels"][:2]
    noise = np.ascontiguousarray(case["in.noises"][:, :2])
    process = usp.Diffusion("4")
    value = process.p_sample_loop(dit, start, labels, noise=noise, cfg_scale=1.5)
    assert golden.difference(value, case["out.ddpm"]) < 1e-4
    value = process.ddim_sample_loop(dit, start, labels, cfg_scale=1.5)
    assert golden.difference(value, case["out.ddim_0.0"]) < 1e-4


def test_network_solvers(dit):
    case = golden.load("diffusion/network_solvers")
    start, labels, process = case["in.start"], case["in.labels"], usp.Diffusion("4")
    value = process.ddim_sample_loop(dit, start, labels, noise=case["in.noises"], eta=1.0)
    assert golden.difference(value, case["out.ddim_1.0"]) < 1e-4
    value = process.ddim_reverse_loop(dit, start, labels)
    assert golden.difference(value, case["out.ddim_reverse"]) < 1e-4
    bound = process.calc_bpd_loop(dit, case["in.data"], labels, noise=case["in.noises"])
    for name, value in bound.items():
        assert golden.difference(value, case[f"out.bound.{name}"]) < 1e-4


LOSSES = {"MSE": "mse", "RESCALED_MSE": "rescaled-mse", "KL": "kl", "RESCALED_KL": "rescaled-kl"}
MEANS = {"EPSILON": "epsilon", "START_X": "start", "PREVIOUS_X": "previous"}


@pytest.mark.parametrize("key", sorted(
    key[4:-5] for key in golden.load("diffusion/network_solvers") if key.endswith(".loss")))
def test_network_losses(dit, key):
    case = golden.load("diffusion/network_solvers")
    loss, mean = key.split(".")
    fixed = mean == "PREVIOUS_X"
    process = usp.Diffusion(
        "4", learn_sigma=not fixed, prediction=MEANS[mean], loss=LOSSES[loss])
    model = (lambda x, t, y: dit.forward(x, t, y)[:, :4]) if fixed else dit
    losses = process.training_losses(
        model, case["in.data"], case["in.t"], case["in.labels"], noise=case["in.noises"][0])
    for name, value in losses.items():
        if f"out.{key}.{name}" in case:  # the published KL losses do not name their only part
            assert golden.difference(value, case[f"out.{key}.{name}"]) < 1e-4


def gaussian_model(process):
    """The exact denoiser of data that are Gaussian of deviation 0.5: eps = E[noise | x_t]."""
    bars = dict(zip(process.table("timestep_map"), process.table("alphas_cumprod")))

    def model(x, t, y):
        bar = np.array([bars[value] for value in t])[:, None, None, None]
        value = np.sqrt(1 - bar) * x / (0.25 * bar + 1 - bar)
        return np.concatenate([value, np.zeros_like(x)], 1).astype(np.float32)

    return model


def test_multistep_is_closer_than_ddim_in_few_steps():
    z = usp.random.normal((64, 2, 8, 8), 1)
    fine = usp.Diffusion("1000")
    exact = fine.ddim_sample_loop(gaussian_model(fine), z)
    errors = {}
    for steps in ("20", "50"):
        process = usp.Diffusion(steps)
        model = gaussian_model(process)
        errors["ddim", steps] = np.abs(process.ddim_sample_loop(model, z) - exact).mean()
        errors["dpm", steps] = np.abs(process.dpm_sample_loop(model, z) - exact).mean()
        spread = process.dpm_sample_loop(model, z, stochastic=True, seed=3).std()
        assert abs(spread - 0.5) < 0.05
    assert errors["dpm", "20"] < 0.5 * errors["ddim", "20"]
    assert errors["dpm", "50"] < 0.3 * errors["ddim", "50"]


@pytest.mark.parametrize("kind, options", [
    ("MSE.EPSILON.LEARNED_RANGE", {}),
    ("MSE.EPSILON.FIXED_LARGE", {"learn_sigma": False}),
    ("MSE.START_X.FIXED_LARGE", {"learn_sigma": False, "predict_xstart": True}),
])
def test_losses(kind, options):
    # The golden process has other betas, so only what does not depend on them is compared here.
    case = golden.load("diffusion/losses")
    process = usp.Diffusion("250", **options)
    output = case["in.model_output"][:, : 2 if "FIXED" in kind else 4]
    losses = process.training_losses(
        lambda x, t, y: output, case["in.x"], case["in.t"], noise=case["in.noise"])
    assert golden.difference(losses["mse"], case[f"out.{kind}.mse"]) < 1e-4
    assert set(losses) == ({"loss", "mse"} if "FIXED" in kind else {"loss", "mse", "vb"})
    total = losses["mse"] + losses.get("vb", 0)
    assert np.allclose(losses["loss"], total, rtol=1e-6)


def test_seeded_noise_does_not_depend_on_the_batch():
    process = usp.Diffusion("5")
    z = usp.random.normal((4, 2, 3, 3), 1)
    whole = process.p_sample_loop(network, z, seed=9)
    assert np.array_equal(whole[:2], process.p_sample_loop(network, z[:2], seed=9))
    part = process.p_sample_loop(network, z[2:], seed=9, first_sample=2)
    assert np.array_equal(whole[2:], part)
    torch = {"generator": "torch", "seed": 9}
    part = process.p_sample_loop(network, z[2:], first_sample=2, total_samples=4, **torch)
    assert np.array_equal(process.p_sample_loop(network, z, **torch)[2:], part)
    with pytest.raises(usp.ArgumentError, match="2 in all"):
        process.p_sample_loop(network, z[2:], first_sample=2, **torch)
    with pytest.raises(usp.ArgumentError, match="first_sample"):
        process.p_sample_loop(network, z[2:], first_sample=-2)
    assert not np.array_equal(whole, process.p_sample_loop(network, z, seed=10))


def test_progress_and_previews():
    seen, shown = [], []
    process = usp.Diffusion("6")
    z = usp.random.normal((1, 2, 3, 3), 1)
    process.p_sample_loop(
        network, z, progress=lambda p: seen.append((p.stage, p.step, p.steps)),
        preview=lambda p, latents: shown.append((p.step, latents.shape)), preview_interval=3)
    assert seen == [("sample", step, 6) for step in range(1, 7)]
    assert shown == [(3, (1, 2, 3, 3)), (6, (1, 2, 3, 3))]


def test_progress_may_stop_the_run():
    process = usp.Diffusion("6")
    z = usp.random.normal((1, 2, 3, 3), 1)
    with pytest.raises(usp.Cancelled):
        process.p_sample_loop(network, z, progress=lambda p: p.step < 2)


def test_exceptions_of_callbacks_come_back():
    process = usp.Diffusion("6")
    z = usp.random.normal((1, 2, 3, 3), 1)

    def broken(x, t, y):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        process.p_sample_loop(broken, z)
    with pytest.raises(usp.ShapeError, match="model output"):
        process.p_sample_loop(lambda x, t, y: x[:, :1], z)
    assert process.p_sample_loop(network, z).shape == z.shape


def test_interrupt_stops_the_run():
    process = usp.Diffusion("")
    z = usp.random.normal((1, 2, 3, 3), 1)
    steps = []

    def interrupting(x, t, y):
        steps.append(t[0])
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return network(x, t, y)

    with pytest.raises(KeyboardInterrupt):
        process.p_sample_loop(interrupting, z)
    assert len(steps) < 10
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nan_names_the_step():
    process = usp.Diffusion("6")
    z = usp.random.normal((1, 2, 3, 3), 1)
    with pytest.raises(usp.NotFiniteError, match="step 1 of 6.*not finite"):
        process.p_sample_loop(lambda x, t, y: network(x * np.nan, t, y), z)


def test_unknown_names_are_told_with_the_known_ones():
    with pytest.raises(usp.ArgumentError, match='linear, cosine; did you mean "linear"'):
        usp.Diffusion(schedule="linaer")
    for name in ("prediction", "variance", "loss"):
        with pytest.raises(usp.ArgumentError, match="known are .*did you mean"):
            usp.Diffusion(**{name: "mss"})
    for respacing in ("ddim78", "0", "1001", "-3", "500,501"):
        with pytest.raises(usp.ArgumentError, match="respacing"):
            usp.Diffusion(respacing)
    with pytest.raises(usp.ArgumentError, match="torch-cuda"):
        usp.Diffusion("2").p_sample_loop(
            network, np.zeros((1, 2, 3, 3), np.float32), generator="tensorflow")
    with pytest.raises(TypeError, match="stepz"):
        usp.Diffusion("2").p_sample_loop(network, np.zeros((1, 2, 3, 3), np.float32), stepz=3)


def test_wrong_arrays():
    process = usp.Diffusion("2")
    z = np.zeros((2, 2, 3, 3), np.float32)
    with pytest.raises(usp.ShapeError, match="y: shape"):
        process.p_sample_loop(network, z, [1, 2, 3])
    with pytest.raises(usp.ShapeError, match="noise: shape"):
        process.p_sample_loop(network, z, noise=np.zeros((2, 1, 2, 3, 3), np.float32))
    with pytest.raises(usp.ShapeError, match="used up"):
        process.p_sample_loop(network, z, noise=np.zeros((1, 2, 2, 3, 3), np.float32))
    with pytest.raises(usp.ArgumentError, match="neither a model nor callable"):
        process.p_sample_loop(3, z)


def test_handles_are_freed_once_and_refused_afterwards():
    process = usp.Diffusion("2")
    process.close()
    process.close()
    with pytest.raises(usp.ArgumentError, match="is closed"):
        process.steps
    with usp.Diffusion("3") as other:
        assert other.steps == 3
    with pytest.raises(TypeError, match="pickled"):
        __import__("pickle").dumps(usp.Diffusion("2"))


def test_a_thousand_handles_leave_nothing_behind():
    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    def cycle(count):
        for _ in range(count):
            usp.Diffusion("250").close()

    cycle(200)
    before = resident()
    cycle(1000)
    assert resident() - before < 4 << 20


def test_many_threads_share_one_process():
    process = usp.Diffusion("8")
    z = usp.random.normal((2, 2, 3, 3), 1)
    expected = process.p_sample_loop(network, z, seed=1)
    results = [None] * 8

    def work(index):
        results[index] = process.p_sample_loop(network, z, seed=1)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(result, expected) for result in results)
