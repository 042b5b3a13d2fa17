"""Golden samples of a seed: the published samplers with PyTorch's own random numbers; pixels."""

import contextlib
import io

import torch

from common import HERE, Case, load_params, normal
from make_models import TRANSFORMER
from originals import load
from reference_vit import diffusion_transformer, guided, interpolant_transformer

SEED = 3
LABELS = torch.tensor([3, 7, 10, 10])


def start():
    """What sample.py does after seeding: noise for the samples, twice for guidance."""
    torch.manual_seed(SEED)
    z = torch.randn(2, 4, 16, 16)
    return torch.cat([z, z])


def make_diffusion(case, params, create):
    diffusion = create("4")
    for name, loop, own in (("ddpm", diffusion.p_sample_loop, {}),
                            ("ddim", diffusion.ddim_sample_loop, {"eta": 0.5})):
        def network(x, t):
            return guided(lambda *given: diffusion_transformer(params, TRANSFORMER, *given),
                          x, t, LABELS, 1.5, 3)
        double = start()
        sample = loop(network, double.shape, double, clip_denoised=False, device="cpu", **own)
        case.put(f"out.{name}", sample[:2])


def make_transport(case, params, transport):
    def network(x, t):
        return guided(lambda *given: interpolant_transformer(params, TRANSFORMER, *given),
                      x, t, LABELS, 1.5, 3)
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        sampler = transport.Sampler(transport.create_transport())
        run = sampler.sample_sde(diffusion_form="sigma", num_steps=5)
        case.put("out.sde", run(start(), network)[-1][:2])


def make_pixels():
    """Images to bytes by sample_ddp.py's expression, at and around where the byte changes."""
    levels = (torch.arange(-3, 260, dtype=torch.float32) - 128) / 127.5
    ends = torch.full_like(levels, 3)
    values = torch.cat([levels, torch.nextafter(levels, ends), torch.nextafter(levels, -ends),
                        normal("pixels", 3 * 37)])
    images = values[: len(values) // 30 * 30].reshape(2, 3, 5, -1).contiguous()
    pixels = torch.clamp(127.5 * images + 128.0, 0, 255).permute(0, 2, 3, 1).to(torch.uint8)
    Case("seeds/pixels", "DiT sample_ddp.py").put("in.images", images).put(
        "out.pixels", pixels.int()).save()


def make(folder):
    params = load_params("models/dit_affine_params")
    params["final_layer.linear.weight"] = params["final_layer.linear.weight"] * 0.25
    (HERE / "seeds").mkdir(exist_ok=True)
    case = Case("seeds/runs", "DiT and SiT sample.py on models/dit_affine_params, after seeding",
                TRANSFORMER.describe() | {"seed": SEED, "scale": 1.5, "channels": 3,
                                          "final_linear_weight_times": 0.25}, 1e-4,
                "models/dit_affine_params")
    case.put("in.labels", LABELS)
    make_diffusion(case, params, load(folder, "DiT", "diffusion").create_diffusion)
    make_transport(case, params, load(folder, "SiT", "transport"))
    case.save()
    make_pixels()
