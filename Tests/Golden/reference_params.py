"""Names and shapes of the reference models' parameters, and seeded values for them."""

import torch

from common import normal
from reference_vit import sincos_table

FROZEN = ("pos_embed", "decoder_pos_embed") + tuple(
    f"{prefix}feat_rope.freqs_{part}" for prefix in ("", "decoder_") for part in ("cos", "sin"))


def block_shapes(name, width, affine=True, modulated=False):
    shapes = {}
    for part in ("norm1", "norm2"):
        if affine:
            shapes[f"{name}.{part}.weight"] = (width,)
            shapes[f"{name}.{part}.bias"] = (width,)
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width),
              "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    if modulated:
        layers["adaLN_modulation.1"] = (6 * width, width)
    for layer, shape in layers.items():
        shapes[f"{name}.{layer}.weight"] = shape
        shapes[f"{name}.{layer}.bias"] = shape[:1]
    return shapes


def masked_shapes(sizes):
    width, inner, patch = sizes.width, sizes.decoder_width, sizes.patch
    rows = sizes.grid ** 2 + 1
    shapes = {
        "cls_token": (1, 1, width), "pos_embed": (1, rows, width),
        "mask_token": (1, 1, inner), "decoder_pos_embed": (1, rows, inner),
        "patch_embed.proj.weight": (width, sizes.channels, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(sizes.depth):
        shapes |= block_shapes(f"blocks.{i}", width)
    shapes |= {"norm.weight": (width,), "norm.bias": (width,),
               "decoder_embed.weight": (inner, width), "decoder_embed.bias": (inner,)}
    for i in range(sizes.decoder_depth):
        shapes |= block_shapes(f"decoder_blocks.{i}", inner)
    out = patch * patch * sizes.channels
    return shapes | {"decoder_norm.weight": (inner,), "decoder_norm.bias": (inner,),
                     "decoder_pred.weight": (out, inner), "decoder_pred.bias": (out,)}


def diffusion_shapes(sizes):
    width, patch = sizes.width, sizes.patch
    out = patch * patch * sizes.channels * (2 if sizes.learn_sigma else 1)
    shapes = {
        "pos_embed": (1, sizes.grid ** 2, width),
        "x_embedder.proj.weight": (width, sizes.channels, patch, patch),
        "x_embedder.proj.bias": (width,),
        "t_embedder.mlp.0.weight": (width, 256), "t_embedder.mlp.0.bias": (width,),
        "t_embedder.mlp.2.weight": (width, width), "t_embedder.mlp.2.bias": (width,),
        "y_embedder.embedding_table.weight": (sizes.classes + 1, width),
    }
    for i in range(sizes.depth):
        shapes |= block_shapes(f"blocks.{i}", width, sizes.affine, modulated=True)
    return shapes | {
        "final_layer.linear.weight": (out, width), "final_layer.linear.bias": (out,),
        "final_layer.adaLN_modulation.1.weight": (2 * width, width),
        "final_layer.adaLN_modulation.1.bias": (2 * width,),
    }


def draw(name, shapes, grid=None):
    """Seeded values: norm weights near 1, matrices 1/sqrt(fan in), the rest 0.2, tables sincos."""
    values = {}
    for key, shape in shapes.items():
        if key in FROZEN:
            values[key] = sincos_table(shape[-1], grid, grid, shape[1] - grid ** 2).float()
            continue
        is_norm_weight = key.endswith("weight") and len(shape) == 1
        matrix = key.endswith("weight") and len(shape) in (2, 4) and "embedding_table" not in key
        fan_in = torch.Size(shape[1:]).numel()
        values[key] = normal(f"{name}/{key}", *shape, scale=fan_in ** -0.5 if matrix else 0.2,
                             mean=1.0 if is_norm_weight else 0.0)
    return values


def leaves(values, dtype=torch.float64):
    """Copies that record gradients, except frozen tables and integers."""
    return {key: value.to(dtype, copy=True).requires_grad_(key not in FROZEN)
            if value.is_floating_point() else value for key, value in values.items()}
