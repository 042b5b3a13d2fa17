"""Golden Gaussian diffusion numbers, obtained by running the published DiT and ADM code."""

import numpy as np
import torch

from common import HERE, Case, load_params, normal
from make_models import TRANSFORMER
from originals import injected, load
from reference_vit import diffusion_transformer, guided

ARRAYS = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "alphas_cumprod_next", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod")
SAMPLED = [0, 1, 2, 3, 10, 100, 250, 333, 499, 500, 750, 997, 998, 999]
SHAPE = (4, 2, 3, 3)
TIMES = torch.tensor([0, 1, 500, 999])


def put_arrays(case, diffusion, indices=None):
    for name in ARRAYS:
        values = getattr(diffusion, name)
        case.put_double(f"out.{name}", values if indices is None else values[indices])


def make_schedules(gaussian, create):
    for schedule in ("linear", "squaredcos_cap_v2"):
        diffusion = create("", noise_schedule=schedule)
        case = Case(f"diffusion/schedule_{schedule}", "DiT diffusion, T = 1000",
                    {"schedule": schedule, "steps": 1000}, 1e-9)
        case.put("in.indices", torch.tensor(SAMPLED))
        put_arrays(case, diffusion, SAMPLED)
        case.put_double("out.sums", np.array([getattr(diffusion, name).sum() for name in ARRAYS]))
        case.note("sums", ARRAYS).save()
    short = create("", noise_schedule="linear", diffusion_steps=400)
    case = Case("diffusion/schedule_linear_400", "DiT diffusion, T = 400 rescales the ends",
                {"schedule": "linear", "steps": 400}, 1e-9)
    put_arrays(case, short, [0, 1, 200, 399])
    case.put("in.indices", torch.tensor([0, 1, 200, 399])).save()
    for name, respacing in (("250", "250"), ("10_10_20", "10,10,20"), ("ddim50", "ddim50"),
                            ("7", "7"), ("1", "1")):
        diffusion = create(respacing)
        case = Case(f"diffusion/respaced_{name}", "DiT diffusion, respacing of 1000 linear steps",
                    {"respacing": respacing}, 1e-9)
        case.put("out.timestep_map", torch.tensor(diffusion.timestep_map))
        indices = None if len(diffusion.timestep_map) <= 50 else list(range(0, 250, 9)) + [249]
        case.put("in.indices", torch.tensor(indices or list(range(diffusion.num_timesteps))))
        put_arrays(case, diffusion, indices) if diffusion.num_timesteps > 1 else None
        case.save()


def make_forward(diffusion):
    case = Case(
        "diffusion/forward", "q_sample, q_mean_variance, q_posterior", {"steps": 1000}, 1e-6)
    x, noise, xt = (normal(f"diffusion/{key}", *SHAPE) for key in ("x", "noise", "xt"))
    case.put("in.x", x).put("in.noise", noise).put("in.xt", xt).put("in.t", TIMES)
    case.put("out.sample", diffusion.q_sample(x, TIMES, noise))
    for name, value in zip(("mean", "variance", "log_variance"),
                           diffusion.q_mean_variance(x, TIMES)):
        case.put(f"out.q_{name}", value)
    for name, value in zip(("mean", "variance", "log_variance"),
                           diffusion.q_posterior_mean_variance(x, xt, TIMES)):
        case.put(f"out.posterior_{name}", value)
    case.put("out.prior_bpd", diffusion._prior_bpd(x)).save()


def build(module, betas, mean, var, loss="MSE"):
    extra = {"rescale_timesteps": False} if "guided" in module.__name__ else {}
    return module.GaussianDiffusion(
        betas=betas, model_mean_type=module.ModelMeanType[mean],
        model_var_type=module.ModelVarType[var], loss_type=module.LossType[loss], **extra)


def make_reverse(gaussian, adm):
    """p_mean_variance for each kind of prediction and variance, from given network outputs."""
    betas = gaussian.get_named_beta_schedule("linear", 1000)
    x, output = normal("reverse/x", *SHAPE), normal("reverse/output", 4, 4, 3, 3, scale=0.7)
    case = Case("diffusion/reverse", "p_mean_variance: DiT; PREVIOUS_X and LEARNED from ADM",
                {"steps": 1000, "kinds": "mean type . variance type . clipped"}, 1e-5)
    case.put("in.x", x).put("in.model_output", output).put("in.t", TIMES)
    for mean in ("EPSILON", "START_X", "PREVIOUS_X"):
        for var in ("FIXED_SMALL", "FIXED_LARGE", "LEARNED_RANGE", "LEARNED"):
            module = adm if mean == "PREVIOUS_X" or var == "LEARNED" else gaussian
            given = output if var.startswith("LEARNED") else output[:, :2]
            for clip in (True, False):
                out = build(module, betas, mean, var).p_mean_variance(
                    lambda x, t: given, x, TIMES, clip_denoised=clip)
                for key in ("mean", "variance", "log_variance", "pred_xstart"):
                    if clip or key in ("mean", "pred_xstart"):
                        case.put(f"out.{mean}.{var}.{'clip' if clip else 'free'}.{key}", out[key])
    case.note("variances", "stored for clipped only, they do not depend on clipping").save()


def make_losses(gaussian, adm):
    """Loss a sample, its parts, and the gradient of their sum in the network's output."""
    betas = gaussian.get_named_beta_schedule("linear", 1000)
    short = betas[::4].copy()
    x, noise = normal("losses/x", *SHAPE, scale=0.5).clamp(-1, 1), normal("losses/noise", *SHAPE)
    output = normal("losses/output", 4, 4, 3, 3, scale=0.7)
    times = torch.tensor([0, 1, 120, 249])
    case = Case("diffusion/losses", "training_losses: DiT; PREVIOUS_X and LEARNED from ADM",
                {"betas": "every 4th of 1000 linear ones (250 steps)",
                 "kinds": "loss type . mean type . variance type"}, 1e-5)
    case.put("in.x", x).put("in.noise", noise).put("in.model_output", output).put("in.t", times)
    for loss in ("MSE", "RESCALED_MSE", "KL", "RESCALED_KL"):
        for mean in ("EPSILON", "START_X", "PREVIOUS_X"):
            for var in ("FIXED_LARGE", "FIXED_SMALL", "LEARNED_RANGE", "LEARNED"):
                if loss.startswith("RESCALED") and var != "LEARNED_RANGE":
                    continue
                module = adm if mean == "PREVIOUS_X" or var == "LEARNED" else gaussian
                channels = 4 if var.startswith("LEARNED") else 2
                given = output[:, :channels].clone().requires_grad_()
                terms = build(module, short, mean, var, loss).training_losses(
                    lambda x, t: given, x, times, noise=noise)
                terms["loss"].sum().backward()
                name = f"{loss}.{mean}.{var}"
                for key in ("loss", "mse", "vb"):
                    if key in terms:
                        case.put(f"out.{name}.{key}", terms[key])
                case.put(f"grad_in.{name}", given.grad)
    case.save()


def denoiser(x, t, **_):
    """The analytic network of the loops: [mean, variance] channels of x and the original time."""
    mean = 0.4 * x + 0.1 * torch.sin(0.01 * t.float()).view(-1, 1, 1, 1)
    return torch.cat([mean, torch.tanh(0.5 * x)], dim=1)


DENOISER = "cat([0.4 x + 0.1 sin(0.01 t), tanh(0.5 x)]), t the original step"


def run_loop(loop, noises):
    with injected(randn_like=noises):
        return torch.stack([out["sample"] for out in loop])


def make_loops(create):
    shape = (2, 2, 3, 3)
    start = normal("loops/start", *shape)
    noises = [normal(f"loops/noise{i}", *shape) for i in range(10)]
    case = Case("diffusion/loops", "p_sample_loop and ddim_sample_loop of DiT, respacing 10",
                {"respacing": "10", "network": DENOISER}, 2e-5)
    case.put("in.start", start).put("in.noises", torch.stack(noises))
    variants = {
        "learned": {}, "fixed_large": {"learn_sigma": False},
        "fixed_small": {"learn_sigma": False, "sigma_small": True},
        "start": {"learn_sigma": False, "predict_xstart": True}}
    for name, options in variants.items():
        network = denoiser if name == "learned" else lambda x, t: denoiser(x, t)[:, :2]
        for clip in (True, False):
            diffusion = create("10", **options)
            suffix = f"{name}.{'clip' if clip else 'free'}"
            settings = {"noise": start, "clip_denoised": clip, "device": "cpu"}
            case.put(f"out.ddpm.{suffix}", run_loop(diffusion.p_sample_loop_progressive(
                network, shape, **settings), noises))
            for eta in (0.0, 0.5, 1.0):
                case.put(f"out.ddim_{eta}.{suffix}", run_loop(
                    diffusion.ddim_sample_loop_progressive(
                        network, shape, eta=eta, **settings), noises))
    reverse_loop(case, create("10"), start)
    bound_loop(case, create("10"), normal("loops/data", *shape, scale=0.5).clamp(-1, 1), noises)
    case.save()


def reverse_loop(case, diffusion, x):
    """DDIM run from data to noise, without clipping."""
    steps = []
    for i in range(diffusion.num_timesteps):
        x = diffusion.ddim_reverse_sample(
            denoiser, x, torch.tensor([i] * len(x)), clip_denoised=False)["sample"]
        steps.append(x)
    case.put("out.ddim_reverse", torch.stack(steps))


def bound_loop(case, diffusion, data, noises):
    """The whole variational bound in bits a dimension; noises in the order of falling t."""
    case.put("in.data", data)
    with injected(randn_like=noises):
        bound = diffusion.calc_bpd_loop(denoiser, data, clip_denoised=True)
    case.put_all("out.bound", bound)


def make_network_loops(create):
    """Loops on the tiny affine DiT with guidance on three channels, noise drawn for all four."""
    params = load_params("models/dit_affine_params")
    params["final_layer.linear.weight"] = params["final_layer.linear.weight"] * 0.25
    start = normal("network_loops/start", 2, 4, 16, 16)
    noises = [normal(f"network_loops/noise{i}", 4, 4, 16, 16) for i in range(4)]
    labels = torch.tensor([3, 7, 10, 10])
    case = Case("diffusion/network_loops", "DiT sample.py on models/dit_affine_params",
                TRANSFORMER.describe() | {"respacing": "4", "scale": 1.5, "channels": 3,
                                          "final_linear_weight_times": 0.25}, 5e-5,
                "models/dit_affine_params")
    case.put("in.start", start).put("in.labels", labels).put("in.noises", torch.stack(noises))
    diffusion = create("4")

    def network(x, t):
        return guided(lambda *given: diffusion_transformer(params, TRANSFORMER, *given),
                      x, t, labels, 1.5, 3)

    double = torch.cat([start, start])
    settings = {"noise": double, "clip_denoised": False, "device": "cpu"}
    loops = {"ddpm": diffusion.p_sample_loop_progressive(network, double.shape, **settings),
             "ddim_0.0": diffusion.ddim_sample_loop_progressive(network, double.shape, **settings)}
    for name, loop in loops.items():
        steps = run_loop(loop, noises)
        case.put(f"out.{name}.first", steps[0, :2]).put(f"out.{name}", steps[-1, :2])
    case.save()


def make_network_solvers(package, create):
    """Losses, DDIM with noise and backwards, and the bound, on the tiny affine DiT."""
    params = load_params("models/dit_affine_params")
    params["final_layer.linear.weight"] = params["final_layer.linear.weight"] * 0.25
    shape = (2, 4, 16, 16)
    start = normal("network_loops/start", *shape)
    noises = [normal(f"network_solvers/noise{i}", *shape) for i in range(4)]
    data = normal("network_solvers/data", *shape, scale=0.5).clamp(-1, 1)
    labels, times = torch.tensor([3, 7]), torch.tensor([0, 3])
    case = Case("diffusion/network_solvers", "DiT diffusion on models/dit_affine_params",
                TRANSFORMER.describe() | {"respacing": "4", "final_linear_weight_times": 0.25,
                                          "keys": "losses: loss type . mean type; loops"}, 5e-5,
                "models/dit_affine_params")
    case.put("in.start", start).put("in.labels", labels).put("in.noises", torch.stack(noises))
    case.put("in.data", data).put("in.t", times)

    def network(x, t, **_):
        return diffusion_transformer(params, TRANSFORMER, x, t, labels)
    for mean in ("EPSILON", "START_X", "PREVIOUS_X"):
        for loss in ("MSE", "RESCALED_MSE", "KL", "RESCALED_KL"):
            diffusion = create("4")
            diffusion.model_mean_type = package.gd.ModelMeanType[mean]
            diffusion.loss_type = package.gd.LossType[loss]
            if mean == "PREVIOUS_X" and loss != "MSE":
                continue  # DiT's p_mean_variance has no such branch; the targets of MSE do
            if mean == "PREVIOUS_X":
                diffusion.model_var_type = package.gd.ModelVarType.FIXED_LARGE
            given = network if mean != "PREVIOUS_X" else lambda x, t: network(x, t)[:, :4]
            with torch.no_grad():
                terms = diffusion.training_losses(given, data, times, noise=noises[0])
            for key in ("loss", "mse", "vb"):
                if key in terms:
                    case.put(f"out.{loss}.{mean}.{key}", terms[key])
    diffusion = create("4")
    settings = {"noise": start, "clip_denoised": False, "device": "cpu"}
    with torch.no_grad():
        case.put("out.ddim_1.0", run_loop(diffusion.ddim_sample_loop_progressive(
            network, shape, eta=1.0, **settings), noises)[-1])
        x = start
        for i in range(diffusion.num_timesteps):
            x = diffusion.ddim_reverse_sample(
                network, x, torch.tensor([i] * len(x)), clip_denoised=False)["sample"]
        case.put("out.ddim_reverse", x)
        with injected(randn_like=noises):
            case.put_all("out.bound", diffusion.calc_bpd_loop(network, data, clip_denoised=True))
    case.save()


def make(folder):
    package = load(folder, "DiT", "diffusion")
    create, gaussian = package.create_diffusion, package.gd
    adm = load(folder, "USP/generation/DiT/guided_diffusion", "guided_diffusion.gaussian_diffusion")
    (HERE / "diffusion").mkdir(exist_ok=True)
    make_schedules(gaussian, create)
    make_forward(create(""))
    make_reverse(gaussian, adm)
    make_losses(gaussian, adm)
    make_loops(create)
    make_network_loops(create)
    make_network_solvers(package, create)
