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
PIXEL_16 = Masked(channels=3, image=48, patch=16, width=12, heads=3, depth=1, decoder_width=8,
                  decoder_heads=2, decoder_depth=1)
MASKED = {"mae": LATENT, "mae_pixel": PIXEL, "mae_pixel16": PIXEL_16}
TINY = Diffusion(width=8, heads=2, depth=1, affine=False)
TRANSFORMER = Diffusion()
# By what follows "dit" and "sit" in a case's name; "_512" has the latents of 512x512 images.
TRANSFORMERS = {"": TRANSFORMER, "_patch4": replace(TINY, patch=4),
                "_patch8": replace(TINY, patch=8), "_512": replace(TINY, image=64)}
# Above these many elements gradients are sampled in all but one case of a model, and everything
# in cases that stand for sizes only.
ALL, SMALL, LITTLE = 1 << 62, 2048, 512


def finish(case, run, params, inputs, outputs, full_up_to=ALL, stride=13, outputs_up_to=ALL):
    """Run in float64 with gradients, then float32 and bfloat16 for their errors, and save.

    Gradients of parameters above `full_up_to` elements are sampled, outputs and gradients of
    inputs above `outputs_up_to`.
    """
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
        case.put_sampled("out", key, truth[key], outputs_up_to, stride)
        case.put_sampled("bf16", key, half[key], outputs_up_to, stride)
        errors[key] = {"f32": error(single[key].detach(), truth[key].detach()),
                       "bf16": error(half[key], truth[key].detach())}
    for key, value in given.items():
        if value.is_floating_point() and value.grad is not None:
            case.put_sampled("grad_in", key, value.grad, outputs_up_to, stride)
    case.put_gradients(p.items(), full_up_to, stride)
    case.note("torch_errors", errors).save()


def masked_inputs(name, sizes):
    images = normal(f"{name}/images", 2, sizes.channels, sizes.image, sizes.image, mean=0.2)
    return {"images": images, "noise": uniform(f"{name}/noise", 2, sizes.grid ** 2)}


def make_masked(name, sizes, variants, full_up_to=ALL):
    """A case for each normalisation; only the first has all gradients up to that size."""
    params = draw(name, masked_shapes(sizes), sizes.grid)
    save_params(f"models/{name}_params", params, "seeded values, MAE key names")
    inputs = masked_inputs(name, sizes)
    for number, (suffix, normalise, other) in enumerate(variants):
        given = dict(inputs)
        if other:
            given["target"] = normal(f"{name}/target", *inputs["images"].shape)
        case = Case(f"models/{name}_{suffix}", "MAE, arXiv 2111.06377; USP normalisations",
                    sizes.describe() | {"normalise": normalise}, 1e-5, f"models/{name}_params")
        outputs = ("loss", "pred", "mask", "latent") if number == 0 else ("loss", "pred")
        finish(case,
               lambda p, g: masked_autoencoder(
                   p, sizes, g["images"], g["noise"], normalise, g.get("target")),
               params, given, outputs, min(full_up_to, SMALL if number else ALL),
               outputs_up_to=full_up_to)


def loss_of(output):
    return {"y": output, "loss": (output ** 2).mean()}


def transformer_params(suffix, sizes):
    """The file of a geometry's parameters; plain models use an affine one without block norms."""
    return f"models/dit{suffix}{'_affine' if sizes.affine else ''}_params"


def transformer_inputs(suffix, sizes, family):
    """Three samples, the second with the null class; one of the large latents."""
    count = 3 if sizes.image < 64 else 1
    times = {"dit": [0, 417, 999], "sit": [0.0, 0.37, 1.0]}[family]
    x = normal(f"dit{suffix}/x", count, sizes.channels, sizes.image, sizes.image)
    return {"x": x, "t": torch.tensor(times[-count:]), "labels": torch.tensor([3, 10, 0][-count:])}


def make_transformers(suffix, sizes, families=("dit", "sit")):
    """Outputs and gradients of both families, with and without norms if the file has them."""
    file = transformer_params(suffix, sizes)
    params = draw(f"dit{suffix}", diffusion_shapes(sizes), sizes.grid)
    names = "DiT key names with USP norms" if sizes.affine else "DiT key names"
    save_params(file, params, f"seeded values, {names}")
    for family in families:
        source = {"dit": "DiT, arXiv 2212.09748", "sit": "SiT, arXiv 2401.08740"}[family]
        network = {"dit": diffusion_transformer, "sit": interpolant_transformer}[family]
        inputs = transformer_inputs(suffix, sizes, family)
        for kind in (sizes, replace(sizes, affine=False)) if sizes.affine else (sizes,):
            name = f"{family}{suffix}{'_affine' if kind.affine else ''}"
            values = {key: value for key, value in params.items()
                      if kind.affine or (".norm1." not in key and ".norm2." not in key)}
            case = Case(f"models/{name}", source, kind.describe(), 1e-5, file)
            drop_norms(case, sizes, kind)
            finish(case, lambda p, g: loss_of(network(p, kind, g["x"], g["t"], g["labels"])),
                   values, inputs, ("y", "loss"),
                   LITTLE if suffix else ALL if kind.affine and family == "dit" else SMALL,
                   outputs_up_to=LITTLE if suffix else ALL)
            if not suffix:
                make_guided(name, values, kind, network, inputs["t"], source)


def drop_norms(case, sizes, kind):
    """Note what a plain model leaves out of the file of the affine one."""
    if sizes.affine and not kind.affine:
        case.note("params_without", [".norm1.", ".norm2."])


def make_guided(name, params, sizes, network, t, source):
    """forward_with_cfg: 2 conditional samples and their null copies, on 3 channels and on all."""
    side = sizes.image
    x = normal("cfg/x", 2, 4, side, side)
    inputs = {"x": torch.cat([x, x]), "t": t[1].repeat(4), "labels": torch.tensor([3, 7, 10, 10])}
    case = Case(f"models/{name}_guided", f"{source}: classifier-free guidance",
                sizes.describe() | {"scale": 4.0}, 1e-5, "models/dit_affine_params")
    drop_norms(case, TRANSFORMER, sizes)
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
    both = ("norm_patch", "patch", False), ("norm_none", "none", False)
    make_masked("mae", LATENT, both + (
        ("norm_image", "image", False), ("target", "patch", True)))
    make_masked("mae_pixel", PIXEL, both)
    make_masked("mae_pixel16", PIXEL_16, both, LITTLE)
    for suffix, sizes in TRANSFORMERS.items():
        make_transformers(suffix, sizes, ("dit",) if suffix == "_512" else ("dit", "sit"))


if __name__ == "__main__":
    make()
