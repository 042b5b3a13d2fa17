"""Golden transport numbers, obtained by running the published SiT code with given noise."""

import contextlib
import functools
import io
import itertools

import torch

from common import HERE, Case, load_params, normal, record, uniform
from make_models import TRANSFORMER
from originals import injected, load
from reference_vit import guided, interpolant_transformer

PATHS = ("Linear", "GVP", "VP")
PREDICTIONS = ("velocity", "score", "noise")
FORMS = ("SBDM", "sigma", "linear", "decreasing", "inccreasing-decreasing")
SHAPE = (4, 2, 3, 3)
NETWORKS = {
    "velocity": lambda x, t: torch.cos(3 * t) - (0.5 + t) * x,
    "score": lambda x, t: 0.2 * t * torch.cos(3 * t) - (1 - 0.5 * t) * x,
    "noise": lambda x, t: 0.3 * t * torch.cos(3 * t) + (1 - t) * x,
}
NETWORK = {"velocity": "cos(3 t) - (0.5 + t) x", "score": "0.2 t cos(3 t) - (1 - 0.5 t) x",
           "noise": "0.3 t cos(3 t) + (1 - t) x"}


def network_for(prediction, calls=None):
    """The analytic network of a prediction; each call is counted in calls[0] if given."""
    def network(x, t):
        if calls is not None:
            calls[0] += 1
        return NETWORKS[prediction](x, t.view(-1, *[1] * (x.dim() - 1)))
    return network


@contextlib.contextmanager
def double():
    """The published code in float64: it takes the default type wherever it makes a tensor."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def distance(value, reference):
    """Largest difference over the largest reference value."""
    value, reference = value.double(), reference.double()
    return ((value - reference).abs().max() / reference.abs().max()).item()


def form_name(form):
    return form.replace("incc", "inc")  # the published spelling is a slip of the key


def make_paths(transport):
    """Coefficients along each path and the diffusion forms."""
    times = torch.tensor([0.001, 0.04, 0.25, 0.5, 0.75, 0.96, 0.999], dtype=torch.float32).double()
    case = Case("transport/paths", "SiT transport/path.py", {"t": "data at 1, noise at 0"}, 1e-5)
    case.put("in.t", times)
    ones = torch.ones(len(times), 1)
    for path in PATHS:
        plan = transport.create_transport(path).path_sampler
        alpha, d_alpha = plan.compute_alpha_t(times)
        sigma, d_sigma = plan.compute_sigma_t(times)
        drift, variance = plan.compute_drift(ones, times)
        values = {"alpha": alpha, "d_alpha": d_alpha, "sigma": sigma, "d_sigma": d_sigma,
                  "alpha_ratio": plan.compute_d_alpha_alpha_ratio_t(times),
                  "drift_of_one": drift, "drift_variance": variance}
        for key, value in values.items():
            case.put(f"out.{path}.{key}", torch.as_tensor(value, dtype=torch.float32).expand(
                ones.shape if "drift" in key else times.shape).reshape(len(times)))
        for form, scale in itertools.product(FORMS, (1.0, 0.5)):
            value = plan.compute_diffusion(ones, times, form=form, norm=scale)
            case.put(f"out.{path}.diffusion.{form_name(form)}.{scale}", value[:, 0])
    case.note(
        "constant", "the form `constant` is the norm itself; the published code cannot run it")
    case.save()


def make_conversions(transport):
    """Score, noise and velocity from each other; flow drift and score of each prediction."""
    x, output = normal("conversions/x", *SHAPE), normal("conversions/output", *SHAPE)
    times = torch.tensor([0.05, 0.3, 0.6, 0.95])
    case = Case(
        "transport/conversions", "SiT transport", {"keys": "path . prediction . what"}, 2e-5)
    case.put("in.x", x).put("in.model_output", output).put("in.t", times)
    for path in PATHS:
        plan = transport.create_transport(path).path_sampler
        case.put(f"out.{path}.score_from_velocity", plan.get_score_from_velocity(output, x, times))
        case.put(f"out.{path}.noise_from_velocity", plan.get_noise_from_velocity(output, x, times))
        case.put(f"out.{path}.velocity_from_score", plan.get_velocity_from_score(output, x, times))
        for prediction in PREDICTIONS:
            made = transport.create_transport(path, prediction)
            for what, function in (("drift", made.get_drift()), ("score", made.get_score())):
                case.put(f"out.{path}.{prediction}.{what}",
                         function(x, times, lambda x, t: output))
    case.save()


def make_losses(transport):
    """Training losses a sample with given noise and uniform numbers."""
    data, noise = normal("transport/data", *SHAPE), normal("transport/noise", *SHAPE)
    draws, output = uniform("transport/draws", SHAPE[0]), normal("transport/output", *SHAPE)
    case = Case("transport/losses", "SiT Transport.training_losses",
                {"keys": "path . prediction . weight"}, 2e-5)
    case.put("in.data", data).put("in.noise", noise).put("in.uniform", draws)
    case.put("in.model_output", output)
    for path, prediction, weight in itertools.product(
            PATHS, PREDICTIONS, ("none", "velocity", "likelihood")):
        made = transport.create_transport(path, prediction, None if weight == "none" else weight)
        given, seen = output.clone().requires_grad_(), {}

        def model(x, t):
            seen.update(x=x, t=t)
            return given
        with injected(randn_like=[noise], rand=[draws]):
            loss = made.training_losses(model, data)["loss"]
        loss.sum().backward()
        name = f"{path}.{prediction}"
        if weight == "none":
            case.put(f"out.{name}.t", seen["t"]).put(f"out.{name}.x", seen["x"])
        case.put(f"out.{name}.{weight}.loss", loss)
        case.put(f"grad_in.{name}.{weight}", given.grad)
    case.note("x", "x and t of the weight none serve all weights").save()


def make_intervals(transport):
    """check_interval for every combination, as rows of a table in the manifest."""
    rows = []
    for path, prediction in itertools.product(PATHS, PREDICTIONS):
        made = transport.create_transport(path, prediction)
        for form, sde, evaluate, reverse, last in itertools.product(
                ("SBDM", "sigma"), (False, True), (False, True), (False, True), (0.0, 0.04)):
            t0, t1 = made.check_interval(
                made.train_eps, made.sample_eps, diffusion_form=form, sde=sde, eval=evaluate,
                reverse=reverse, last_step_size=last)
            rows.append([path, prediction, form, sde, evaluate, reverse, last, t0, t1])
    path = HERE / "transport/intervals.json"
    columns = '["path", "prediction", "form", "sde", "eval", "reverse", "last_step", "t0", "t1"]'
    lines = ",\n".join(str(row).replace("'", '"').replace("True", "true").replace(
        "False", "false") for row in rows)
    path.write_text(f'{{"columns": {columns},\n"rows": [\n{lines}\n]}}\n')
    record("transport/intervals", {"file": "transport/intervals.json", "kind": "table",
                                   "source": "SiT Transport.check_interval"})


def flow(transport, path, prediction, network, start, **options):
    sampler = transport.Sampler(transport.create_transport(path, prediction))
    with torch.no_grad():
        return sampler.sample_ode(num_steps=7, **options)(start, network)


def make_flows(transport):
    """Probability flow with fixed and adaptive solvers; trajectories at each saved time."""
    start = normal("flows/start", 2, 2, 2, 2)
    case = Case("transport/flows", "SiT Sampler.sample_ode (torchdiffeq)",
                {"network": NETWORK, "keys": "path . prediction . method", "num_steps": 7,
                 "atol": 1e-6, "rtol": 1e-3, "rtol_tight": 1e-5}, 5e-5)
    case.put("in.start", start)
    calls, failed, own = {}, {}, {}
    for path, prediction in itertools.product(PATHS, PREDICTIONS):
        for method in ("euler", "midpoint", "heun2", "heun3", "rk4", "dopri5", "tight"):
            options = {"sampling_method": method} if method != "tight" else {
                "sampling_method": "dopri5", "rtol": 1e-5}
            for reverse in (False, True) if prediction == "velocity" else (False,):
                count = [0]
                name = f"{path}.{prediction}.{method}{'.reverse' if reverse else ''}"
                run = functools.partial(
                    flow, transport, path, prediction, network_for(prediction, count),
                    reverse=reverse, **options)
                try:
                    steps = run(start)
                except AssertionError as failure:
                    failed[name] = str(failure)
                    continue
                calls[name] = count[0]
                case.put(f"out.{name}", steps if method in ("euler", "dopri5") else steps[-1])
                if method in ("dopri5", "tight"):
                    with double():
                        own[name] = distance(steps[-1], run(start.double())[-1])
    case.note("network_calls", calls).note("failed", failed).note("torch_f32_error", own)
    case.note("why", "dopri5 may step past the end, where VP's variance is negative")
    case.note("shape", "euler and dopri5: all 7 saved times; other methods: the last").save()


def make_stochastic(transport):
    """Every SDE combination that stays below 1000; the others start or end on a singularity."""
    start = normal("stochastic/start", 2, 2, 2, 2)
    noises = [normal(f"stochastic/noise{i}", 2, 2, 2, 2) for i in range(5)]
    case = Case("transport/stochastic", "SiT Sampler.sample_sde",
                {"network": NETWORK, "num_steps": 6, "last_step_size": 0.04,
                 "keys": "path . prediction . form . norm . solver . last step"}, 5e-5)
    case.put("in.start", start).put("in.noises", torch.stack(noises))
    broken = []
    for path, prediction, form, solver, last in itertools.product(
            PATHS, PREDICTIONS, FORMS, ("Euler", "Heun"), (None, "Mean", "Tweedie", "Euler")):
        scale = 0.5 if form == "linear" else 1.0
        sampler = transport.Sampler(transport.create_transport(path, prediction))
        with injected(randn=noises), torch.no_grad():
            steps = sampler.sample_sde(
                sampling_method=solver, diffusion_form=form, diffusion_norm=scale, last_step=last,
                last_step_size=0.04, num_steps=6)(start, network_for(prediction))
        name = f"{path}.{prediction}.{form_name(form)}.{scale}.{solver}.{last}"
        if torch.isfinite(steps[-1]).all() and steps[-1].abs().max() < 1e3:
            case.put(f"out.{name}", steps[-1])
        else:
            broken.append(name)
    case.note("no_sense", broken).save()


def likelihood(transport, path, prediction, network, data, probe, steps=6, **options):
    """Log likelihood and latent with one given probe (0 or 1 for the signs) for all evaluations."""
    sampler = transport.Sampler(transport.create_transport(path, prediction))
    with injected(randint=itertools.repeat(probe)), torch.no_grad():
        return sampler.sample_ode_likelihood(num_steps=steps, **options)(data.clone(), network)


def make_likelihood(transport):
    data = normal("likelihood/data", 2, 2, 2, 2)
    probe = (uniform("likelihood/probe", 2, 2, 2, 2) < 0.5).float()
    case = Case("transport/likelihood", "SiT Sampler.sample_ode_likelihood",
                {"network": NETWORK, "num_steps": 6, "keys": "path . prediction . method",
                 "atol": 1e-6, "rtol": 1e-3, "rtol_tight": 1e-5}, 5e-5)
    case.put("in.data", data).put("in.probe", probe * 2 - 1)
    failed, own = {}, {}
    methods = {"euler": {"sampling_method": "euler"}, "dopri5": {"sampling_method": "dopri5"},
               "tight": {"sampling_method": "dopri5", "rtol": 1e-5}}
    for path, prediction, method in itertools.product(PATHS, PREDICTIONS, methods):
        name = f"{path}.{prediction}.{method}"
        run = functools.partial(
            likelihood, transport, path, prediction, network_for(prediction), **methods[method])
        try:
            logp, latent = run(data, probe)
        except AssertionError as failure:
            failed[name] = str(failure)
            continue
        if not (torch.isfinite(latent).all() and logp.abs().max() < 1e4):
            failed[name] = "no finite or no sensible result"
            continue
        case.put(f"out.{name}.logp", logp).put(f"out.{name}.latent", latent)
        with double():
            exact = run(data.double(), probe.double())
        own[f"{name}.logp"] = distance(logp, exact[0])
        own[f"{name}.latent"] = distance(latent, exact[1])
    case.note("failed", failed).note("torch_f32_error", own).save()


def make_network_solvers(transport):
    """The tiny affine SiT as every kind of prediction on every path, by solvers of every kind."""
    params = load_params("models/dit_affine_params")
    start = normal("network_runs/start", 2, 4, 16, 16)
    labels = torch.tensor([3, 7])
    noises = [normal(f"network_runs/noise{i}", 2, 4, 16, 16) for i in range(4)]
    case = Case("transport/network_solvers", "SiT Sampler on models/dit_affine_params",
                TRANSFORMER.describe() | {
                    "keys": "path . prediction . solver", "points": 5,
                    "sde": "sigma, Euler with Mean 0.04; linear of norm 0.5, Heun with Tweedie"},
                1e-4, "models/dit_affine_params")
    case.put("in.start", start).put("in.labels", labels).put("in.noises", torch.stack(noises))

    def network(x, t):
        return interpolant_transformer(params, TRANSFORMER, x, t, labels)
    sdes = {"sde_euler": {"sampling_method": "Euler", "diffusion_form": "sigma"},
            "sde_heun": {"sampling_method": "Heun", "diffusion_form": "linear",
                         "diffusion_norm": 0.5, "last_step": "Tweedie"}}
    for path, prediction in itertools.product(PATHS, PREDICTIONS):
        sampler = transport.Sampler(transport.create_transport(path, prediction))
        with torch.no_grad():
            steps = sampler.sample_ode(sampling_method="heun2", num_steps=5)(start, network)
            found = {"heun2": steps[-1]}
            for name, options in sdes.items():
                with injected(randn=noises):
                    found[name] = sampler.sample_sde(num_steps=5, **options)(start, network)[-1]
        for name, value in found.items():
            if torch.isfinite(value).all() and value.abs().max() < 1e3:
                case.put(f"out.{path}.{prediction}.{name}", value[:, ::2, ::2, ::2])
    case.note("every", "second channel, row and column are stored")
    make_network_likelihood(transport, case, network)
    case.save()


def make_network_likelihood(transport, case, network):
    data = normal("network_solvers/data", 2, 4, 16, 16)
    probe = (uniform("network_solvers/probe", 2, 4, 16, 16) < 0.5).float()
    case.put("in.data", data).put("in.probe", probe * 2 - 1)
    for path in PATHS:
        logp, latent = likelihood(
            transport, path, "velocity", network, data, probe, steps=5, sampling_method="euler")
        case.put(f"out.{path}.likelihood.logp", logp)
        case.put(f"out.{path}.likelihood.latent", latent[:, ::2, ::2, ::2])


def make_network_runs(transport):
    """The tiny affine SiT: flow, stochastic and guided sampling from its parameters."""
    params = load_params("models/dit_affine_params")
    start = normal("network_runs/start", 2, 4, 16, 16)
    labels = torch.tensor([3, 7])
    noises = [normal(f"network_runs/noise{i}", 2, 4, 16, 16) for i in range(4)]
    case = Case("transport/network_runs", "SiT sample.py on models/dit_affine_params",
                TRANSFORMER.describe() | {"sde": "Euler, sigma, Mean 0.04, 5 steps",
                                          "euler": "5 points", "guided": "scale 1.5, 3 channels"},
                1e-4, "models/dit_affine_params")
    case.put("in.start", start).put("in.labels", labels).put("in.noises", torch.stack(noises))
    sampler = transport.Sampler(transport.create_transport())

    def plain(x, t):
        return interpolant_transformer(params, TRANSFORMER, x, t, labels)

    def with_guidance(x, t):
        return guided(lambda *given: interpolant_transformer(params, TRANSFORMER, *given),
                      x, t, torch.cat([labels, torch.tensor([10, 10])]), 1.5, 3)
    with torch.no_grad():
        for method, points in (("euler", 5), ("heun2", 3), ("dopri5", 2)):
            run = sampler.sample_ode(sampling_method=method, num_steps=points)
            case.put(f"out.{method}", run(start, plain)[-1])
        run = sampler.sample_ode(sampling_method="euler", num_steps=5)
        case.put("out.euler.guided", run(torch.cat([start, start]), with_guidance)[-1][:2])
        # Its null half, whose last channel goes its own way, has a part in the choice of steps.
        run = sampler.sample_ode(sampling_method="dopri5", num_steps=2)
        case.put("out.dopri5.guided", run(torch.cat([start, start]), with_guidance)[-1][:2])
        with injected(randn=noises):
            run = sampler.sample_sde(diffusion_form="sigma", num_steps=5)
            case.put("out.sde", run(start, plain)[-1])
    case.save()


def make(folder):
    transport = load(folder, "SiT", "transport")
    (HERE / "transport").mkdir(exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):
        with double():  # in f32 VP's sigma is a difference that keeps four digits near data
            make_paths(transport)
        make_conversions(transport)
        make_losses(transport)
        make_intervals(transport)
        make_flows(transport)
        make_stochastic(transport)
        make_likelihood(transport)
        make_network_runs(transport)
        make_network_solvers(transport)
