"""Golden cases of whole models of newer blocks: every switch, every family, all gradients."""

from dataclasses import replace

import torch

from common import Case, normal, save_params, uniform
from make_models import SMALL, finish, loss_of
from reference_blocks import (
    Sizes, diffusion, diffusion_shapes, draw, encode, encoder_shapes, masked, masked_shapes, norm)
from reference_vit import guided, linear

LIGHTNING = Sizes(grid=(4, 4), channels=6, patch=1, rms_norm=True, swiglu=True, rope=True,
                  affine=False, activation="gelu_tanh")
PLAIN = replace(LIGHTNING, rms_norm=False, swiglu=False, rope=False)
#: name: sizes, whether the last layer has a second set of channels
DIFFUSION = {
    "lightning": (LIGHTNING, False),
    "lightning_qk": (replace(LIGHTNING, qk_norm=True, shift=False), True),
    "lightning_layer": (replace(PLAIN, rope=True, qk_norm=True), False),
    "lightning_off": (PLAIN, False),
    "sit_registers": (Sizes(rope=True, qk_norm=True, registers=3, layer_scale=True,
                            activation="gelu_tanh"), True),
}
MASKED = {
    "mae_rms": (Sizes(rms_norm=True, swiglu=True, rope=True, qk_norm=True, registers=2),
                {"width": 16, "heads": 2, "depth": 1}),
    "mae_layer": (Sizes(rope=True, qk_norm=True, layer_scale=True),
                  {"width": 24, "heads": 3, "depth": 1}),
}
CLASSIFIERS = {
    "vit_registers": (Sizes(swiglu=True, registers=2, layer_scale=True), "token"),
    "vit_rms": (Sizes(rms_norm=True, rope=True, qk_norm=True), "avg"),
}
ORIGINAL = "LightningDiT (MIT), REPA (MIT), DINOv2 (Apache-2.0), EVA-02: their blocks"


def make_diffusion(name, sizes, learn_sigma):
    params = draw(name, diffusion_shapes(sizes, learn_sigma), sizes)
    save_params(f"models/{name}_params", params, "seeded values, LightningDiT key names")
    height, width = (side * sizes.patch for side in sizes.grid)
    inputs = {"x": normal(f"{name}/x", 3, sizes.channels, height, width),
              "t": torch.tensor([0.0, 0.37, 1.0]), "labels": torch.tensor([3, 10, 0])}
    text = sizes.text(("class_token",), classes=10, learn_sigma=learn_sigma)
    case = Case(f"models/{name}", ORIGINAL, {"sizes": text, "width": sizes.width}, 1e-5,
                f"models/{name}_params")
    finish(case, lambda p, g: loss_of(
        diffusion(p, sizes, g["x"], g["t"], g["labels"], learn_sigma)), params, inputs,
        ("y", "loss"), SMALL)
    if name != "lightning":
        return
    case = Case(f"models/{name}_guided", "LightningDiT: classifier-free guidance",
                {"sizes": text, "scale": 4.0, "interval": [0.3, 1.0]}, 1e-5,
                f"models/{name}_params")
    x = normal("cfg/lightning", 2, sizes.channels, height, width)
    given = {"x": torch.cat([x, x]), "labels": torch.tensor([3, 7, 10, 10])}
    case.put_all("in", given)
    double = {key: value.double() for key, value in params.items()}
    for key, time in (("inside", 0.5), ("below", 0.2)):
        with torch.no_grad():
            # Below the interval both halves get the channels of the labelled one: scale 1.
            case.put(f"out.{key}", guided(
                lambda x, t, y: diffusion(double, sizes, x, t, y, learn_sigma),
                given["x"].double(), torch.full((4,), time), given["labels"],
                4.0 if time >= 0.3 else 1.0, 3))
    case.save()


def make_masked(name, sizes, inner):
    decoder = replace(sizes, **inner)
    params = draw(name, masked_shapes(sizes, decoder), sizes)
    save_params(f"models/{name}_params", params, "seeded values, MAE key names")
    height, width = (side * sizes.patch for side in sizes.grid)
    inputs = {"images": normal(f"{name}/images", 2, sizes.channels, height, width, mean=0.2),
              "noise": uniform(f"{name}/noise", 2, sizes.tokens)}
    text = sizes.text(("affine", "shift"), **{f"decoder_{key}": inner[key] for key in inner})
    case = Case(f"models/{name}", ORIGINAL,
                {"sizes": text, "width": sizes.width, "decoder_width": inner["width"]}, 1e-5,
                f"models/{name}_params")
    finish(case, lambda p, g: masked(p, sizes, decoder, g["images"], g["noise"]), params, inputs,
           ("loss", "pred", "mask", "latent"), SMALL)


def make_classifier(name, sizes, pool):
    norm_name = "norm" if pool == "token" else "fc_norm"
    shapes = encoder_shapes(sizes, norm_name)
    shapes |= {"head.weight": (7, sizes.width), "head.bias": (7,)}
    params = draw(name, shapes, sizes, learned_positions=True)
    save_params(f"models/{name}_params", params, "seeded values, DINOv2 key names")
    height, width = (side * sizes.patch for side in sizes.grid)
    inputs = {"images": normal(f"{name}/images", 2, sizes.channels, height, width)}
    text = sizes.text(("affine", "shift"), classes=7, pool=pool)
    case = Case(f"models/{name}", ORIGINAL, {"sizes": text, "width": sizes.width}, 1e-5,
                f"models/{name}_params")

    def run(p, g):
        tokens = encode(p, sizes, g["images"])
        leading = 1 + sizes.registers
        pooled = tokens[:, 0] if pool == "token" else tokens[:, leading:].mean(dim=1)
        features = norm(p, norm_name, pooled, sizes.rms_norm)
        logits = linear(p, "head", features)
        return {"features": features, "logits": logits, "loss": (logits ** 2).mean()}
    finish(case, run, params, inputs, ("features", "logits", "loss"), SMALL)


def make():
    for name, (sizes, learn_sigma) in DIFFUSION.items():
        make_diffusion(name, sizes, learn_sigma)
    for name, (sizes, inner) in MASKED.items():
        make_masked(name, sizes, inner)
    for name, (sizes, pool) in CLASSIFIERS.items():
        make_classifier(name, sizes, pool)


if __name__ == "__main__":
    make()
