"""Golden training runs in float64: losses and what parameters and optimiser states become."""

import functools
import math

import torch
import torch.nn.functional as F

from common import Case, integers, normal, randomise, uniform
from environment import allow_torchvision
from reference_params import FROZEN, diffusion_shapes, draw, masked_shapes
from reference_vit import Diffusion, Masked, interpolant_transformer, masked_autoencoder

MASKED = Masked(image=8, width=24, heads=2, depth=1, decoder_width=16, decoder_heads=2,
                decoder_depth=1)
INTERPOLANT = Diffusion(image=8, width=24, heads=2, depth=1)
STEPS, BATCH = 10, 4
KEY_BIAS = ("the middle third of *.attn.qkv.bias (key bias) has no gradient in exact arithmetic, "
            "so AdamW moves it by rounding noise: leave it out (float32 there: up to 8e-4)")


def trainable(values):
    return {key: torch.nn.Parameter(value.double(), key not in FROZEN)
            for key, value in values.items()}


def cosine(epoch, peak, least, warmup, epochs):
    """Linear warmup, then a half cosine, at a fractional epoch."""
    if epoch < warmup:
        return peak * epoch / warmup
    return least + (peak - least) * 0.5 * (
        1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def total_norm(parameters):
    return torch.sqrt(sum((p.grad ** 2).sum() for p in parameters if p.grad is not None))


def make_masked_run():
    """MAE with AdamW in timm's two groups and the per-iteration schedule."""
    start = draw("mae_run", masked_shapes(MASKED), MASKED.grid)
    images = normal("mae_run/images", STEPS, BATCH, 4, 8, 8)
    noise = uniform("mae_run/noise", STEPS, BATCH, MASKED.grid ** 2)
    p = trainable(start)
    trained = {key: value for key, value in p.items() if value.requires_grad}
    bare = {key for key, value in trained.items() if value.dim() <= 1 or key.endswith(".bias")}
    optimizer = torch.optim.AdamW(
        [{"params": [trained[key] for key in trained if key in bare], "weight_decay": 0.0},
         {"params": [trained[key] for key in trained if key not in bare], "weight_decay": 0.05}],
        betas=(0.9, 0.95), eps=1e-8)
    losses, rates, norms = [], [], []
    for step in range(STEPS):
        rate = cosine(step / 2, 2.4e-3, 1e-5, 2, 5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = masked_autoencoder(p, MASKED, images[step].double(), noise[step])["loss"]
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        rates.append(rate)
        norms.append(total_norm(trained.values()))
        optimizer.step()
    case = Case("training/mae_adamw", "MAE recipe: AdamW, timm weight decay groups, cosine",
                MASKED.describe() | {
                    "normalise": "patch", "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.05,
                    "schedule": "2 steps an epoch; peak 2.4e-3, least 1e-5, warmup 2, epochs 5"},
                1e-4)
    case.put("in.images", images).put("in.noise", noise).put_all("param", start)
    case.put("out.loss", torch.stack(losses)).put_double("out.rate", rates)
    case.put("out.gradient_norm", torch.stack(norms))
    for key, value in trained.items():
        case.put(f"out.param.{key}", value)
        case.put(f"out.exp_avg.{key}", optimizer.state[value]["exp_avg"])
        case.put(f"out.exp_avg_sq.{key}", optimizer.state[value]["exp_avg_sq"])
    case.note("without_decay", sorted(bare)).note("ill_determined", KEY_BIAS).save()


def interpolant_run(start, given, clip=None):
    """Ten steps of velocity matching on the linear path, averaged parameters beside."""
    p = trainable(start)
    trained = [value for value in p.values() if value.requires_grad]
    average = {key: value.detach().clone() for key, value in p.items()}
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.999), weight_decay=0.0)
    losses, norms = [], []
    for step in range(STEPS):
        data, noise = given["data"][step].double(), given["noise"][step].double()
        t = given["t"][step].double()
        mixed = t.view(-1, 1, 1, 1) * data + (1 - t.view(-1, 1, 1, 1)) * noise
        out = interpolant_transformer(p, INTERPOLANT, mixed, given["t"][step],
                                      given["labels"][step])
        loss = ((out - (data - noise)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(trained, clip) if clip else total_norm(trained))
        optimizer.step()
        for key, value in p.items():
            average[key].mul_(0.9).add_(value.detach(), alpha=0.1)
    return p, average, torch.stack(losses), torch.stack(norms)


def make_interpolant_run():
    start = draw("sit_run", diffusion_shapes(INTERPOLANT), INTERPOLANT.grid)
    given = {"data": normal("sit_run/data", STEPS, BATCH, 4, 8, 8),
             "noise": normal("sit_run/noise", STEPS, BATCH, 4, 8, 8),
             "t": uniform("sit_run/t", STEPS, BATCH),
             "labels": integers("sit_run/labels", INTERPOLANT.classes + 1, STEPS, BATCH)}
    case = Case("training/sit_adamw", "SiT recipe: AdamW, no decay, averaged parameters",
                INTERPOLANT.describe() | {
                    "rate": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "average": 0.9,
                    "clip": 0.5, "labels": "10 is the null class, dropping already done"}, 1e-4)
    case.put_all("in", given).put_all("param", start)
    p, average, losses, norms = interpolant_run(start, given)
    case.put("out.loss", losses).put("out.gradient_norm", norms)
    for key, value in p.items():
        if key not in FROZEN:
            case.put(f"out.param.{key}", value).put(f"out.average.{key}", average[key])
    p, _, losses, norms = interpolant_run(start, given, clip=0.5)
    case.put("out.clipped.loss", losses).put("out.clipped.gradient_norm", norms)
    case.put("out.clipped.param.final_layer.linear.weight", p["final_layer.linear.weight"])
    case.note("gradient_norm", "before clipping").note("ill_determined", KEY_BIAS).save()


def lars_step(parameters, momenta, rate, decay, momentum=0.9, trust=0.001):
    """Layer-wise scaling (arXiv 1708.03888) of tensors above one dimension, then momentum."""
    with torch.no_grad():
        for key, value in parameters.items():
            change = value.grad
            if value.dim() > 1:
                change = change + decay * value
                sizes = value.norm(), change.norm()
                if all(size > 0 for size in sizes):
                    change = change * (trust * sizes[0] / sizes[1])
            momenta[key] = momentum * momenta.get(key, torch.zeros_like(value)) + change
            value -= rate * momenta[key]


def make_probe_run():
    """Five LARS steps of the linear probe: batch norm without weights, then linear."""
    features, labels = normal("lars/features", 5, 16, 24, mean=0.4), integers("lars/y", 10, 5, 16)
    start = {"head.1.weight": normal("lars/weight", 10, 24, scale=0.01),
             "head.1.bias": torch.zeros(10)}
    case = Case("training/probe_lars", "LARS of MoCo v3 / MAE linear probe",
                {"rate": 6.4, "momentum": 0.9, "trust": 0.001, "bn_momentum": 0.1, "eps": 1e-6},
                1e-4)
    case.put("in.features", features).put("in.labels", labels).put_all("param", start)
    for decay in (0.0, 0.01):
        p, momenta, losses = trainable(start), {}, []
        mean, variance = torch.zeros(24).double(), torch.ones(24).double()
        for step in range(5):
            normed = F.batch_norm(features[step].double(), mean, variance, training=True, eps=1e-6)
            loss = F.cross_entropy(
                F.linear(normed, p["head.1.weight"], p["head.1.bias"]), labels[step])
            for value in p.values():
                value.grad = None
            loss.backward()
            losses.append(loss.detach())
            lars_step(p, momenta, 6.4, decay)
        case.put(f"out.decay_{decay}.loss", torch.stack(losses))
        case.put_all(f"out.decay_{decay}.param", p)
        case.put_all(f"out.decay_{decay}.momentum", momenta)
        case.put(f"out.decay_{decay}.running_mean", mean)
        case.put(f"out.decay_{decay}.running_var", variance)
    case.save()


def layer_of(name, depth):
    """0 for the embedding, i + 1 for block i, depth + 1 for the rest."""
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    return int(name.split(".")[1]) + 1 if name.startswith("blocks.") else depth + 1


def make_finetune_run():
    """Five AdamW steps of the pooled classifier with layer-wise decay of the rate."""
    allow_torchvision()
    from timm.models.vision_transformer import VisionTransformer
    model = VisionTransformer(
        img_size=8, patch_size=2, in_chans=4, embed_dim=24, depth=2, num_heads=2, num_classes=10,
        qkv_bias=True, global_pool="avg",
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6))
    randomise(model, "finetune_run")
    images, labels = normal("finetune/x", 5, BATCH, 4, 8, 8), integers("finetune/y", 10, 5, BATCH)
    case = Case("training/finetune_layer_decay", "MAE fine-tuning: layer decay 0.75, AdamW",
                {"image": 8, "patch": 2, "channels": 4, "width": 24, "depth": 2, "heads": 2,
                 "rate": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.05, "smoothing": 0.1}, 1e-4)
    case.put("in.images", images).put("in.labels", labels)
    case.put_all("param", dict(model.named_parameters()))
    model.double()
    scales = {name: 0.75 ** (3 - layer_of(name, 2)) for name, _ in model.named_parameters()}
    bare = {name for name, p in model.named_parameters() if p.dim() == 1 or name in (
        "pos_embed", "cls_token")}
    optimizer = torch.optim.AdamW([
        {"params": [p], "lr": 1e-3 * scales[name], "weight_decay": 0.0 if name in bare else 0.05}
        for name, p in model.named_parameters()])
    losses = []
    for step in range(5):
        loss = F.cross_entropy(model(images[step].double()), labels[step], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
    case.put("out.loss", torch.stack(losses)).put_all("out.param", dict(model.named_parameters()))
    case.note("rate_scale", scales).note("without_decay", sorted(bare)).save()


def make():
    make_masked_run()
    make_interpolant_run()
    make_probe_run()
    make_finetune_run()


if __name__ == "__main__":
    make()
