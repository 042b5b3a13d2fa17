"""Golden transfer: a small USP checkpoint in its training layout and what its targets receive."""

import argparse
from dataclasses import replace

import torch

from common import HERE, Case, normal, record, uniform
from make_models import SMALL
from make_positions import resize
from reference_params import diffusion_shapes, draw, masked_shapes
from reference_vit import Diffusion, Masked, masked_autoencoder

SOURCE = Masked(image=14, width=24, heads=2, decoder_width=16, decoder_heads=2, decoder_depth=1)
TARGET = Diffusion(image=16, width=24, heads=2)
CHECKPOINT = "transfer/checkpoint-3.pth"


def train_one_step(values):
    """One AdamW step in timm's two groups, so that the optimiser state is a real one."""
    p = {key: torch.nn.Parameter(value.clone(), key not in ("pos_embed", "decoder_pos_embed"))
         for key, value in values.items()}
    trained = [(key, value) for key, value in p.items() if value.requires_grad]
    bare = [value for key, value in trained if value.dim() <= 1 or key.endswith(".bias")]
    decayed = [value for key, value in trained if value.dim() > 1 and not key.endswith(".bias")]
    optimizer = torch.optim.AdamW(
        [{"params": bare, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.05}],
        lr=2.4e-3, betas=(0.9, 0.95))
    images = normal("transfer/images", 2, 4, 14, 14)
    out = masked_autoencoder(p, SOURCE, images, uniform("transfer/noise", 2, 49))
    out["loss"].backward()
    optimizer.step()
    return {key: value.detach() for key, value in p.items()}, optimizer


def write_checkpoint():
    state, optimizer = train_one_step(draw("transfer", masked_shapes(SOURCE), SOURCE.grid))
    arguments = argparse.Namespace(
        batch_size=64, epochs=800, accum_iter=1, model="vit_base_patch_vae", input_size=112,
        mask_ratio=0.75, norm_pix_loss=True, weight_decay=0.05, lr=2.4e-3, blr=1.5e-4, min_lr=0.0,
        warmup_epochs=40, data_path="imagenet", output_dir="out", device="cpu", seed=0, resume="",
        vae_version="d8", use_fp32=False, distributed=False)
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5,
              "growth_interval": 2000, "_growth_tracker": 1}
    torch.save({"model": state, "optimizer": optimizer.state_dict(), "epoch": 3,
                "scaler": scaler, "args": arguments}, HERE / CHECKPOINT)
    record("transfer/checkpoint", {
        "file": CHECKPOINT, "kind": "checkpoint", "config": SOURCE.describe(),
        "source": "USP pre-training layout {model, optimizer, epoch, scaler, args}"})
    return state


def transfer(state, target, keep_blocks=None):
    """What a diffusion transformer receives: the published procedure over plain names."""
    found = {}
    for key, value in state.items():
        if key.startswith("patch_embed."):
            if state["patch_embed.proj.weight"].shape[1] == target.channels:
                found[key.replace("patch_embed.", "x_embedder.")] = value
        elif key.startswith("blocks."):
            if keep_blocks is None or int(key.split(".")[1]) < keep_blocks:
                found[key] = value
    table = state["pos_embed"][0, 1:]
    side = round(len(table) ** 0.5)
    if side != target.grid:
        table = resize(table.reshape(side, side, -1), target.grid, target.grid).flatten(0, 1)
    found["pos_embed"] = table[None]
    return found


def write_expectation(name, state, target, keep_blocks=None):
    wanted = diffusion_shapes(target)
    found = {key: value for key, value in transfer(state, target, keep_blocks).items()
             if key in wanted}
    assert all(tuple(value.shape) == tuple(wanted[key]) for key, value in found.items())
    renamed = {key.replace("x_embedder.", "patch_embed.") for key in found}
    case = Case(f"transfer/{name}", "USP generation/DiT and SiT train.py, FACTS of its procedure",
                target.describe() | {"keep_blocks": keep_blocks}, 1e-6)
    case.note("loaded", sorted(found)).note("fresh", sorted(set(wanted) - set(found)))
    case.note("dropped", sorted(set(state) - renamed))
    full = name == "full"
    for key, value in found.items():
        if full:
            case.put(f"out.{key}", value)
        elif key == "pos_embed":
            case.put_sampled("out", key, value, SMALL)
    if not full:
        case.note("values", "tensors beside pos_embed are those of transfer/full")
    case.save()


def write_classifier(state):
    """The classifier keeps the class row and resizes the rest; the pooled one drops `norm`."""
    side, goal = SOURCE.grid, 8
    table = state["pos_embed"][0]
    patches = resize(table[1:].reshape(side, side, -1), goal, goal).flatten(0, 1)
    case = Case("transfer/classifier", "MAE util interpolate_pos_embed; timm names", {"grid": goal},
                1e-6)
    case.put("out.pos_embed", torch.cat([table[:1], patches])[None])
    encoder = [key for key in state if not key.startswith(("decoder_", "mask_token"))]
    case.note("loaded_token", sorted(encoder))
    case.note("loaded_average", sorted(key for key in encoder if not key.startswith("norm.")))
    case.note("fresh_token", ["head.bias", "head.weight"])
    case.note("fresh_average", ["fc_norm.bias", "fc_norm.weight", "head.bias", "head.weight"])
    case.save()


def make():
    (HERE / "transfer").mkdir(exist_ok=True)
    state = write_checkpoint()
    write_expectation("full", state, TARGET)
    write_expectation("partial_1", state, TARGET, keep_blocks=1)
    write_expectation("partial_0", state, TARGET, keep_blocks=0)
    write_expectation("same_grid", state, replace(TARGET, image=14))
    write_expectation("grid_512", state, replace(TARGET, image=64))
    write_expectation("other_channels", state, replace(TARGET, channels=16))
    write_expectation("without_affine", state, replace(TARGET, affine=False))
    write_classifier(state)


if __name__ == "__main__":
    make()
