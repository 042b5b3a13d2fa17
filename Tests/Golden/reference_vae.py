"""Our own KL autoencoder as functions of named parameters (latent diffusion, arXiv 2112.10752).

Names are those of the CompVis release: resolution index 0 is full resolution on both sides. The
same parameters in diffusers' names come from `diffusers_name`.
"""

import re
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

GROUPS, EPS = 32, 1e-6


@dataclass(frozen=True)
class Autoencoder:
    """Sizes: base channels, their multiples a level, blocks a level (decoder has one more)."""
    base: int = 32
    mult: tuple = (1, 2, 2)
    blocks: int = 1
    latent: int = 4
    encoder_attention: bool = False  # self attention after each block of the lowest level
    decoder_attention: bool = False

    def describe(self):
        return asdict(self) | {"groups": GROUPS}


def block_shapes(name, given, out):
    shapes = {"norm1.weight": (given,), "norm1.bias": (given,),
              "conv1.weight": (out, given, 3, 3), "conv1.bias": (out,),
              "norm2.weight": (out,), "norm2.bias": (out,),
              "conv2.weight": (out, out, 3, 3), "conv2.bias": (out,)}
    if given != out:
        shapes |= {"nin_shortcut.weight": (out, given, 1, 1), "nin_shortcut.bias": (out,)}
    return {f"{name}.{key}": shape for key, shape in shapes.items()}


def attention_shapes(name, width):
    shapes = {f"{name}.norm.weight": (width,), f"{name}.norm.bias": (width,)}
    for part in ("q", "k", "v", "proj_out"):
        shapes |= {f"{name}.{part}.weight": (width, width, 1, 1), f"{name}.{part}.bias": (width,)}
    return shapes


def convolution_shapes(name, given, out, kernel=3):
    return {f"{name}.weight": (out, given, kernel, kernel), f"{name}.bias": (out,)}


def middle_shapes(side, width):
    return (block_shapes(f"{side}.mid.block_1", width, width)
            | attention_shapes(f"{side}.mid.attn_1", width)
            | block_shapes(f"{side}.mid.block_2", width, width))


def end_shapes(side, width, out):
    return {f"{side}.norm_out.weight": (width,), f"{side}.norm_out.bias": (width,),
            **convolution_shapes(f"{side}.conv_out", width, out)}


def shapes(sizes):
    levels, last = len(sizes.mult), sizes.base * sizes.mult[-1]
    found = convolution_shapes("encoder.conv_in", 3, sizes.base)
    width = sizes.base
    for level, mult in enumerate(sizes.mult):
        for j in range(sizes.blocks):
            found |= block_shapes(f"encoder.down.{level}.block.{j}", width, sizes.base * mult)
            width = sizes.base * mult
            if sizes.encoder_attention and level == levels - 1:
                found |= attention_shapes(f"encoder.down.{level}.attn.{j}", width)
        if level < levels - 1:
            found |= convolution_shapes(f"encoder.down.{level}.downsample.conv", width, width)
    found |= middle_shapes("encoder", last) | end_shapes("encoder", last, 2 * sizes.latent)
    found |= convolution_shapes("decoder.conv_in", sizes.latent, last)
    found |= middle_shapes("decoder", last)
    for level in reversed(range(levels)):
        for j in range(sizes.blocks + 1):
            out = sizes.base * sizes.mult[level]
            found |= block_shapes(f"decoder.up.{level}.block.{j}", width, out)
            width = out
            if sizes.decoder_attention and level == levels - 1:
                found |= attention_shapes(f"decoder.up.{level}.attn.{j}", width)
        if level > 0:
            found |= convolution_shapes(f"decoder.up.{level}.upsample.conv", width, width)
    found |= end_shapes("decoder", sizes.base, 3)
    found |= convolution_shapes("quant_conv", 2 * sizes.latent, 2 * sizes.latent, 1)
    return found | convolution_shapes("post_quant_conv", sizes.latent, sizes.latent, 1)


def convolve(p, name, x, **options):
    return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], **options)


def group_norm(p, name, x):
    return F.group_norm(x, GROUPS, p[f"{name}.weight"], p[f"{name}.bias"], EPS)


def residual_block(p, name, x):
    h = convolve(p, f"{name}.conv1", F.silu(group_norm(p, f"{name}.norm1", x)), padding=1)
    h = convolve(p, f"{name}.conv2", F.silu(group_norm(p, f"{name}.norm2", h)), padding=1)
    if f"{name}.nin_shortcut.weight" in p:
        x = convolve(p, f"{name}.nin_shortcut", x)
    return x + h


def attention_block(p, name, x):
    """Single-head self attention over all positions of one image."""
    batch, width, height, columns = x.shape
    normed = group_norm(p, f"{name}.norm", x)
    q, k, v = (convolve(p, f"{name}.{part}", normed).flatten(2).transpose(1, 2)
               for part in "qkv")
    scores = (q @ k.transpose(1, 2)) / width ** 0.5
    mixed = scores.softmax(dim=-1).to(v.dtype) @ v
    mixed = mixed.transpose(1, 2).reshape(batch, width, height, columns)
    return x + convolve(p, f"{name}.proj_out", mixed)


def level_blocks(p, name, x, count):
    for j in range(count):
        x = residual_block(p, f"{name}.block.{j}", x)
        if f"{name}.attn.{j}.norm.weight" in p:
            x = attention_block(p, f"{name}.attn.{j}", x)
    return x


def middle(p, side, x):
    x = residual_block(p, f"{side}.mid.block_1", x)
    x = attention_block(p, f"{side}.mid.attn_1", x)
    return residual_block(p, f"{side}.mid.block_2", x)


def finish(p, side, x):
    return convolve(p, f"{side}.conv_out", F.silu(group_norm(p, f"{side}.norm_out", x)), padding=1)


def encode(p, sizes, image):
    """[B, 3, H, W] -> moments [B, 2z, h, w]: mean, then log variance."""
    x = convolve(p, "encoder.conv_in", image, padding=1)
    for level in range(len(sizes.mult)):
        x = level_blocks(p, f"encoder.down.{level}", x, sizes.blocks)
        if level < len(sizes.mult) - 1:
            x = F.pad(x, (0, 1, 0, 1))
            x = convolve(p, f"encoder.down.{level}.downsample.conv", x, stride=2)
    return convolve(p, "quant_conv", finish(p, "encoder", middle(p, "encoder", x)))


def decode(p, sizes, z):
    """[B, z, h, w] -> [B, 3, H, W]."""
    x = convolve(p, "decoder.conv_in", convolve(p, "post_quant_conv", z), padding=1)
    x = middle(p, "decoder", x)
    for level in reversed(range(len(sizes.mult))):
        x = level_blocks(p, f"decoder.up.{level}", x, sizes.blocks + 1)
        if level > 0:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = convolve(p, f"decoder.up.{level}.upsample.conv", x, padding=1)
    return finish(p, "decoder", x)


def diffusers_name(key, levels, deprecated=False):
    """The diffusers name of a CompVis key; attention weights there are [C, C], not [C, C, 1, 1]."""
    parts = {"q": "query", "k": "key", "v": "value", "proj_out": "proj_attn"} if deprecated else {
        "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
    key = re.sub(r"\.(q|k|v|proj_out)\.(weight|bias)$",
                 lambda m: f".{parts[m[1]]}.{m[2]}", key)
    key = re.sub(r"(attn(_1|\.\d+))\.norm\.", r"\1.group_norm.", key)
    key = re.sub(r"down\.(\d+)\.block\.", r"down_blocks.\1.resnets.", key)
    key = re.sub(r"down\.(\d+)\.attn\.", r"down_blocks.\1.attentions.", key)
    key = re.sub(r"down\.(\d+)\.downsample\.", r"down_blocks.\1.downsamplers.0.", key)
    for old, new in (("block", "resnets"), ("attn", "attentions")):
        key = re.sub(rf"up\.(\d+)\.{old}\.",
                     lambda m: f"up_blocks.{levels - 1 - int(m[1])}.{new}.", key)
    key = re.sub(r"up\.(\d+)\.upsample\.",
                 lambda m: f"up_blocks.{levels - 1 - int(m[1])}.upsamplers.0.", key)
    key = re.sub(r"mid\.block_(\d)", lambda m: f"mid_block.resnets.{int(m[1]) - 1}", key)
    key = key.replace("mid.attn_1", "mid_block.attentions.0").replace("norm_out", "conv_norm_out")
    return key.replace("nin_shortcut", "conv_shortcut")


def to_diffusers(p, levels, deprecated=False):
    """All parameters under diffusers' names, attention matrices squeezed."""
    found = {}
    for key, value in p.items():
        name = diffusers_name(key, levels, deprecated)
        attention = re.search(r"attentions\.\d+\.(to_|query|key|value|proj_attn)", name)
        found[name] = value[:, :, 0, 0] if attention and value.dim() == 4 else value
    return found
