"""Golden cases of masked autoregressive generation: passes with all gradients, head, samples."""

from dataclasses import replace

import torch

from common import Case, integers, normal, save_params
from make_models import ALL, finish
from reference_mar import (
    Autoregressive, denoise, guided, masked_loss, sample, shapes, to_tokens)
from reference_params import draw

SOURCE = "MAR, arXiv 2406.11838"
SIZES = Autoregressive()
PATCHED = replace(SIZES, channels=3, image=8, patch=2, decoder_width=32, decoder_heads=4, depth=1,
                  decoder_depth=1)
COPIES, BATCH = 3, 2


def mask_of(name, sizes, hidden):
    order = torch.stack([torch.randperm(sizes.tokens, generator=torch.Generator().manual_seed(i))
                         for i in range(BATCH)])
    return torch.zeros(BATCH, sizes.tokens).scatter(1, order[:, :hidden], 1)


def make_pass(name, sizes, hidden):
    """One training pass with given mask, steps and noise; step 0 is among them.

    Steps end at 980: at 999 rounding is multiplied by 20,000, in PyTorch's float32 too.
    """
    params = draw(name, shapes(sizes))
    save_params(f"models/{name}_params", params, "seeded values, MAR key names")
    image = (sizes.channels, sizes.image, sizes.image)
    t = integers(f"{name}/t", 981, COPIES, BATCH, sizes.tokens)
    t[0, 0], t[1, 0, :2] = 0, torch.tensor([980, 1])
    for suffix, count in hidden.items():
        inputs = {
            "latents": normal(f"{name}/latents", BATCH, *image, scale=0.8),
            "labels": torch.tensor([3, sizes.classes]), "mask": mask_of(name, sizes, count),
            "t": t, "noise": normal(f"{name}/noise", COPIES, BATCH, *image)}
        case = Case(f"models/{name}{suffix}", SOURCE, sizes.describe(), 1e-5,
                    f"models/{name}_params")
        finish(case, lambda p, g: masked_loss(
            p, sizes, g["latents"], g["labels"], g["mask"], g["t"], g["noise"]),
            params, inputs, ("loss", "token_loss", "z"),
            64 if suffix else ALL)
    return params


def make_head(params, sizes):
    """The head alone: plain, and guided with halves that share x."""
    n = 6
    inputs = {"x": normal("mar_head/x", n, sizes.values),
              "t": torch.tensor([0, 5, 999, 0, 5, 999]),
              "condition": normal("mar_head/condition", n, sizes.decoder_width)}
    double = {key: value.double() for key, value in params.items()}
    case = Case("models/mar_head", SOURCE, sizes.describe() | {"scale": 2.5}, 1e-5,
                "models/mar_params")
    case.put_all("in", inputs)
    given = (inputs["x"].double(), inputs["t"], inputs["condition"].double())
    case.put("out.y", denoise(double, sizes, *given))
    case.put("out.guided", guided(double, sizes, *given, 2.5)).save()


def given_noise(z, noise, sizes):
    """Draws from stacks by place: the start, then one for each reverse step, noisiest first."""
    def draws(now, step):
        values = z if step is None else noise[len(noise) - 1 - step]
        return to_tokens(values, sizes.patch)[now]
    return draws


def torch_noise(seed, sizes, doubled):
    """The original's draws on a CPU after a seed."""
    torch.manual_seed(seed)

    def draws(now, step):
        n = int(now.sum())
        return torch.randn(n * (2 if doubled and step is not None else 1), sizes.values)[:n]
    return draws


def make_samples(params, sizes):
    """Whole runs from given orders; a scaled last layer keeps values of their usual size."""
    params = dict(params)
    for part in ("weight", "bias"):
        name = f"diffloss.net.final_layer.linear.{part}"
        params[name] = params[name] * 0.25
    save_params("models/mar_sample_params", params, "mar_params, last layer times 0.25")
    double = {key: value.double() for key, value in params.items()}
    image = (sizes.channels, sizes.image, sizes.image)
    respacing, steps = "4,3,1,1", 9
    labels, count = torch.tensor([3, 0, sizes.classes]), 3
    orders = torch.stack([torch.randperm(sizes.tokens, generator=torch.Generator().manual_seed(i))
                          for i in range(count)])
    z = normal("mar_sample/z", count, *image)
    noise = normal("mar_sample/noise", steps, count, *image)
    case = Case("models/mar_sample", SOURCE, sizes.describe() | {"respacing": respacing}, 1e-4,
                "models/mar_sample_params")
    case.put_all("in", {"labels": labels, "orders": orders, "z": z, "noise": noise})
    runs = {"plain": (4, {}), "one": (1, {}), "each": (sizes.tokens, {}),
            "linear": (4, {"cfg": 2.5}), "constant": (5, {"cfg": 2.5, "schedule": "constant"}),
            "cool": (4, {"cfg": 2.5, "temperature": 0.7})}
    with torch.no_grad():
        for name, (iterations, options) in runs.items():
            result = sample(double, sizes, labels, orders, iterations, respacing,
                            given_noise(z.double(), noise.double(), sizes), **options)
            case.put(f"out.{name}", result)
        for name, options in {"torch": {}, "torch_guided": {"cfg": 2.5}}.items():
            draws = torch_noise(7, sizes, "cfg" in options)
            result = sample(double, sizes, labels, orders, 4, respacing, draws, **options)
            case.put(f"out.{name}", result)
    case.save()


def make_run(steps=5):
    """AdamW without decay of vectors and of the head, clipping and an average: five updates."""
    sizes = replace(SIZES, width=16, heads=2, depth=1, decoder_width=16, decoder_heads=2,
                    decoder_depth=1, head_width=12, head_depth=1)
    p = {key: torch.nn.Parameter(value.double())
         for key, value in draw("mar_run", shapes(sizes)).items()}
    image, copies = (sizes.channels, sizes.image, sizes.image), 2
    latents = normal("mar_run/latents", steps, BATCH, *image, scale=0.8)
    labels = integers("mar_run/labels", sizes.classes + 1, steps, BATCH)
    t = integers("mar_run/t", 981, steps, copies, BATCH, sizes.tokens) + 1
    noise = normal("mar_run/noise", steps, copies, BATCH, *image)
    masks = torch.stack([mask_of(f"mar_run/{i}", sizes, 10 + i) for i in range(steps)])
    decays = {key for key, value in p.items() if value.dim() > 1 and "diffloss" not in key}
    optimizer = torch.optim.AdamW(
        [{"params": [p[key] for key in p if key not in decays], "weight_decay": 0.0},
         {"params": [p[key] for key in p if key in decays], "weight_decay": 0.02}],
        lr=8e-4, betas=(0.9, 0.95), eps=1e-8)
    case = Case("training/mar_adamw", SOURCE, sizes.describe() | {"copies": copies}, 1e-4)
    case.put_all("in", {"latents": latents, "labels": labels, "t": t, "noise": noise,
                        "mask": masks})
    case.put_all("param", p)
    average = {key: value.detach().clone() for key, value in p.items()}
    losses, norms = [], []
    for step in range(steps):
        loss = masked_loss(p, sizes, latents[step].double(), labels[step], masks[step], t[step],
                           noise[step].double())["loss"]
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(p.values()), 0.5))
        optimizer.step()
        losses.append(loss.detach())
        for key, value in p.items():
            average[key] = 0.9 * average[key] + 0.1 * value.detach()
    case.put("out.loss", torch.stack(losses)).put("out.norm", torch.stack(norms))
    case.put_all("out.param", p).put_all("out.average", average).save()


def make():
    make_run()
    params = make_pass("mar", SIZES, {"": 12, "_hidden": SIZES.tokens, "_one": 1})
    make_pass("mar_patch2", PATCHED, {"": 13})
    make_head(params, SIZES)
    make_samples(params, SIZES)


if __name__ == "__main__":
    make()
