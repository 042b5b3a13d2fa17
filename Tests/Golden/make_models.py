"""Golden cases of the masked autoencoder, the diffusion transformer and its SiT preset."""

from dataclasses import replace

import torch

from common import Case, error, normal, save_params, uniform
from reference_params import diffusion_shapes, draw, leaves, masked_shapes
from reference_vit import (
    Diffusion, Masked, diffusion_transformer, guided, interpolant_transformer, masked_autoencoder)

LATENT = Masked()
PIXEL = Masked(channels=3, patch=4, width=32, heads=2, depth=1, decoder_width=24, decoder_heads=3,
               decoder_depth=1)
TRANSFORMER = Diffusion()
SMALL = 2048  # gradients above this many elements are sampled in all but one case of a model


def finish(case, run, params, inputs, outputs, full_up_to=1 << 62, stride=13):
    """Run in float64 with gradients, then float32 and bfloat16 for their errors, and save."""
    p = leaves(params)
    given = {key: value.double().requires_grad_(key == "x" or key == "images")
             if value.is_floating_point() else value for key, value in inputs.items()}
    truth = run(p, given)
    truth["loss"].backward()
    single = run(params, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        half = run(params, inputs)
    case.put_all("in", inputs)
    errors = {}
    for key in outputs:
        case.put(f"out.{key}", truth[key])
        case.put(f"bf16.{key}", half[key])
        errors[key] = {"f32": error(single[key].detach(), truth[key].detach()),
                       "bf16": error(half[key], truth[key].detach())}
    for key, value in given.items():
        if value.is_floating_point() and value.grad is not None:
            case.put(f"grad_in.{key}", value.grad)
    case.put_gradients(p.items(), full_up_to, stride)
    case.note("torch_errors", errors).save()


def make_masked(name, sizes, variants):
    params = draw(name, masked_shapes(sizes), sizes.grid)
    save_params(f"models/{name}_params", params, "seeded values, MAE key names")
    images = normal(f"{name}/images", 2, sizes.channels, sizes.image, sizes.image, mean=0.2)
    inputs = {"images": images, "noise": uniform(f"{name}/noise", 2, sizes.grid ** 2)}
    for number, (suffix, normalise, other) in enumerate(variants):
        given = dict(inputs)
        if other:
            given["target"] = normal(f"{name}/target", *images.shape)
        case = Case(f"models/{name}_{suffix}", "MAE, arXiv 2111.06377; USP normalisations",
                    sizes.describe() | {"normalise": normalise}, 1e-5, f"models/{name}_params")
        outputs = ("loss", "pred", "mask", "latent") if number == 0 else ("loss", "pred")
        finish(case,
               lambda p, g: masked_autoencoder(
                   p, sizes, g["images"], g["noise"], normalise, g.get("target")),
               params, given, outputs, 1 << 62 if number == 0 else SMALL)


def loss_of(output):
    return {"y": output, "loss": (output ** 2).mean()}


def make_transformers():
    params = draw("dit", diffusion_shapes(TRANSFORMER), TRANSFORMER.grid)
    save_params("models/dit_affine_params", params, "seeded values, DiT key names with USP norms")
    plain = {key: value for key, value in params.items()
             if ".norm1." not in key and ".norm2." not in key}
    side = TRANSFORMER.image
    x = normal("dit/x", 3, 4, side, side)
    labels = torch.tensor([3, 10, 0])
    kinds = {
        "dit_affine": (params, diffusion_transformer, torch.tensor([0, 417, 999]), True),
        "dit": (plain, diffusion_transformer, torch.tensor([0, 417, 999]), False),
        "sit_affine": (params, interpolant_transformer, torch.tensor([0.0, 0.37, 1.0]), True),
        "sit": (plain, interpolant_transformer, torch.tensor([0.0, 0.37, 1.0]), False),
    }
    for name, (values, network, t, affine) in kinds.items():
        sizes = replace(TRANSFORMER, affine=affine)
        source = "SiT, arXiv 2401.08740" if name.startswith("sit") else "DiT, arXiv 2212.09748"
        case = Case(f"models/{name}", source, sizes.describe(), 1e-5, "models/dit_affine_params")
        drop_norms(case, affine)
        finish(case, lambda p, g: loss_of(network(p, sizes, g["x"], g["t"], g["labels"])),
               values, {"x": x, "t": t, "labels": labels}, ("y", "loss"),
               1 << 62 if name == "dit_affine" else SMALL)
        make_guided(name, values, sizes, network, t, source)


def drop_norms(case, affine):
    """Plain models use the file of the affine one without its block norms."""
    if not affine:
        case.note("params_without", [".norm1.", ".norm2."])


def make_guided(name, params, sizes, network, t, source):
    """forward_with_cfg: 2 conditional samples and their null copies, on 3 channels and on all."""
    side = sizes.image
    x = normal("cfg/x", 2, 4, side, side)
    inputs = {"x": torch.cat([x, x]), "t": t[1].repeat(4), "labels": torch.tensor([3, 7, 10, 10])}
    case = Case(f"models/{name}_guided", f"{source}: classifier-free guidance",
                sizes.describe() | {"scale": 4.0}, 1e-5, "models/dit_affine_params")
    drop_norms(case, sizes.affine)
    case.put_all("in", inputs)
    double = {key: value.double() for key, value in params.items()}
    with torch.no_grad():
        for channels, key in ((3, "three"), (sizes.channels, "all")):
            out = guided(
                lambda x, t, y: network(double, sizes, x, t, y),
                inputs["x"].double(), inputs["t"], inputs["labels"], 4.0, channels)
            case.put(f"out.{key}", out)
    case.save()


def make():
    make_masked("mae", LATENT, (
        ("norm_patch", "patch", False), ("norm_none", "none", False),
        ("norm_image", "image", False), ("target", "patch", True)))
    make_masked("mae_pixel", PIXEL, (("norm_patch", "patch", False), ("norm_none", "none", False)))
    make_transformers()


if __name__ == "__main__":
    make()
