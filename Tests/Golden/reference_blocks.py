"""Transformers of newer blocks as functions of named parameters: the switches of LightningDiT,
REPA's SiT, DINOv2 and EVA-02 in one block, for classifiers, masked autoencoders and diffusion.

Names as in those code bases; `p` and precision as in reference_vit.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from common import normal
from make_blocks import rms_norm, rotate, rotation
from reference_vit import (
    embed_patches, embed_time, from_patches, linear, masked_target, modulation, sincos_table)


@dataclass(frozen=True)
class Sizes:
    """Of a stack of blocks, in the library's words."""
    grid: tuple = (4, 5)
    channels: int = 4
    patch: int = 2
    width: int = 24
    depth: int = 2
    heads: int = 2
    rms_norm: bool = False
    swiglu: bool = False
    rope: bool = False
    qk_norm: bool = False
    shift: bool = True
    affine: bool = True
    registers: int = 0
    layer_scale: bool = False
    activation: str = "gelu_erf"

    @property
    def tokens(self):
        return self.grid[0] * self.grid[1]

    @property
    def hidden(self):
        return 4 * self.width * 2 // 3 if self.swiglu else 4 * self.width

    def text(self, without=(), **more):
        """As the library reads it."""
        values = {key: value for key, value in asdict(self).items() if key not in without}
        values |= more | {"grid": f"{self.grid[0]}x{self.grid[1]}"}
        words = {True: "yes", False: "no"}
        return " ".join(f"{key}={words[value] if isinstance(value, bool) else value}"
                        for key, value in values.items())


def norm(p, name, x, rms, eps=1e-6):
    weight, bias = p.get(f"{name}.weight"), p.get(f"{name}.bias")
    if rms:
        return rms_norm(x, weight, eps)
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def attention(p, name, x, sizes, turn):
    batch, tokens, width = x.shape
    shape = batch, tokens, 3, sizes.heads, width // sizes.heads
    query, key, value = (
        part.transpose(1, 2) for part in linear(p, f"{name}.qkv", x).view(shape).unbind(2))
    if sizes.qk_norm:
        eps = 1e-6 if sizes.rms_norm else 1e-5
        query = norm(p, f"{name}.q_norm", query, sizes.rms_norm, eps)
        key = norm(p, f"{name}.k_norm", key, sizes.rms_norm, eps)
    query, key = turn(query), turn(key)
    mixed = F.scaled_dot_product_attention(query, key, value)
    return linear(p, f"{name}.proj", mixed.transpose(1, 2).reshape(batch, tokens, width))


def mlp(p, name, x, sizes):
    if sizes.swiglu:
        a, b = linear(p, f"{name}.w12", x).chunk(2, dim=-1)
        return linear(p, f"{name}.w3", F.silu(a) * b)
    approximate = "tanh" if sizes.activation == "gelu_tanh" else "none"
    return linear(
        p, f"{name}.fc2", F.gelu(linear(p, f"{name}.fc1", x), approximate=approximate))


def block(p, name, x, sizes, turn, condition=None):
    """One block; a condition [B, D] modulates it."""
    ones, halves = (0, 0, 1), []
    if condition is None:
        halves = [ones, ones]
    else:
        parts = modulation(p, name, condition, 6 if sizes.shift else 4)
        halves = ([parts[:3], parts[3:]] if sizes.shift
                  else [(0, *parts[:2]), (0, *parts[2:])])
    for number, run in ((1, lambda h: attention(p, f"{name}.attn", h, sizes, turn)),
                        (2, lambda h: mlp(p, f"{name}.mlp", h, sizes))):
        shift, scale, gate = halves[number - 1]
        inner = norm(p, f"{name}.norm{number}", x, sizes.rms_norm) * (1 + scale) + shift
        x = x + gate * p.get(f"{name}.ls{number}.gamma", 1) * run(inner)
    return x


def turning(p, sizes, leading, name="feat_rope", places=None):
    """What turns queries and keys [B, N, T, d]; places [B, S] of the tokens after the leading."""
    if not sizes.rope:
        return lambda x: x
    cos, sin = p[f"{name}.freqs_cos"], p[f"{name}.freqs_sin"]
    if places is None:
        return lambda x: rotate(x, cos.to(x.dtype), sin.to(x.dtype), leading)

    def turn(x):
        moving, still = x[:, :, leading:], x[:, :, :leading]
        tables = (table.to(x.dtype)[places][:, None] for table in (cos, sin))
        turned = torch.stack([-moving[..., 1::2], moving[..., ::2]], dim=-1).flatten(-2)
        c, s = tables
        return torch.cat([still, moving * c + turned * s], dim=2)
    return turn


def diffusion(p, sizes, x, t, labels, learn_sigma, depth=None):
    """[B, C, H, W] -> [B, C, H, W]; with a depth the tokens after so many blocks."""
    h = embed_patches(p, "x_embedder", x, sizes.patch) + p["pos_embed"]
    condition = embed_time(p, t) + p["y_embedder.embedding_table.weight"][labels]
    if sizes.registers:
        h = torch.cat([p["register_tokens"].expand(len(x), -1, -1), h], dim=1)
    turn = turning(p, sizes, sizes.registers)
    for i in range(sizes.depth if depth is None else depth):
        h = block(p, f"blocks.{i}", h, sizes, turn, condition)
    h = h[:, sizes.registers:]
    if depth is not None:
        return h
    shift, scale = modulation(p, "final_layer", condition, 2)
    h = norm(p, "final_layer.norm_final", h, sizes.rms_norm) * (1 + scale) + shift
    out = from_patches(linear(p, "final_layer.linear", h), sizes.patch, *sizes.grid)
    return out[:, :sizes.channels] if learn_sigma else out


def encode(p, sizes, images, kept=None):
    """Tokens before the last norm: class token, registers, patches (those kept)."""
    batch = len(images)
    h = embed_patches(p, "patch_embed", images, sizes.patch) + p["pos_embed"][:, 1:]
    if kept is not None:
        h = h.gather(1, kept[..., None].expand(-1, -1, sizes.width))
    first = (p["cls_token"] + p["pos_embed"][:, :1]).expand(batch, -1, -1)
    parts = [first]
    if sizes.registers:
        parts.append(p["register_tokens"].expand(batch, -1, -1))
    h = torch.cat(parts + [h], dim=1)
    turn = turning(p, sizes, 1 + sizes.registers, places=kept)
    for i in range(sizes.depth):
        h = block(p, f"blocks.{i}", h, sizes, turn)
    return h


def masked(p, sizes, decoder, images, noise, mask_ratio=0.75):
    """Loss, prediction, mask and the encoder's features; `decoder` has the decoder's sizes."""
    batch, tokens = noise.shape
    order = noise.argsort(dim=1)
    restore = order.argsort(dim=1)
    kept = order[:, :int(tokens * (1 - mask_ratio))]
    mask = torch.ones(batch, tokens, dtype=images.dtype).scatter(1, kept, 0)
    latent = norm(p, "norm", encode(p, sizes, images, kept), sizes.rms_norm)
    leading = 1 + sizes.registers
    h = linear(p, "decoder_embed", latent)
    patches = torch.cat([h[:, leading:], p["mask_token"].to(h.dtype).expand(
        batch, tokens - kept.shape[1], -1)], dim=1)
    patches = patches.gather(1, restore[..., None].expand(-1, -1, h.shape[-1]))
    h = torch.cat([h[:, :leading], patches], dim=1) + p["decoder_pos_embed"]
    turn = turning(p, decoder, leading, "decoder_feat_rope")
    for i in range(decoder.depth):
        h = block(p, f"decoder_blocks.{i}", h, decoder, turn)
    h = norm(p, "decoder_norm", h, sizes.rms_norm)[:, leading:]
    prediction = linear(p, "decoder_pred", h)
    wanted = masked_target(images.detach(), sizes.patch, "patch")
    each = ((prediction - wanted) ** 2).mean(dim=-1)
    return {"loss": (each * mask).sum() / mask.sum(), "pred": prediction, "mask": mask,
            "latent": latent}


def norm_shapes(name, width, rms, affine=True):
    if not affine and not rms:
        return {}
    return {f"{name}.weight": (width,)} | ({} if rms else {f"{name}.bias": (width,)})


def block_shapes(name, sizes, modulated=False):
    width, rms, head = sizes.width, sizes.rms_norm, sizes.width // sizes.heads
    shapes = {}
    for part in ("norm1", "norm2"):
        shapes |= norm_shapes(f"{name}.{part}", width, rms, sizes.affine)
    if sizes.qk_norm:
        for part in ("q_norm", "k_norm"):
            shapes |= norm_shapes(f"{name}.attn.{part}", head, rms)
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= ({"mlp.w12": (2 * sizes.hidden, width), "mlp.w3": (width, sizes.hidden)}
               if sizes.swiglu
               else {"mlp.fc1": (sizes.hidden, width), "mlp.fc2": (width, sizes.hidden)})
    if modulated:
        layers["adaLN_modulation.1"] = ((6 if sizes.shift else 4) * width, width)
    for layer, shape in layers.items():
        shapes |= {f"{name}.{layer}.weight": shape, f"{name}.{layer}.bias": shape[:1]}
    if sizes.layer_scale:
        shapes |= {f"{name}.{part}.gamma": (width,) for part in ("ls1", "ls2")}
    return shapes


def stack_shapes(sizes, patches, leading, prefix="", modulated=False):
    """Positions, registers and blocks; the patch embedding where `patches` names it."""
    width, patch = sizes.width, sizes.patch
    shapes = {f"{prefix}pos_embed": (1, leading + sizes.tokens, width)}
    if patches:
        shapes |= {f"{patches}.proj.weight": (width, sizes.channels, patch, patch),
                   f"{patches}.proj.bias": (width,)}
        if sizes.registers:
            shapes["register_tokens"] = (1, sizes.registers, width)
    if sizes.rope:
        table = (sizes.tokens, width // sizes.heads)
        shapes |= {f"{prefix}feat_rope.freqs_{part}": table for part in ("cos", "sin")}
    for i in range(sizes.depth):
        shapes |= block_shapes(f"{prefix}blocks.{i}", sizes, modulated)
    return shapes


def dense(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def diffusion_shapes(sizes, learn_sigma, classes=10):
    width = sizes.width
    shapes = stack_shapes(sizes, "x_embedder", 0, modulated=True)
    shapes |= dense("t_embedder.mlp.0", 256, width) | dense("t_embedder.mlp.2", width, width)
    shapes["y_embedder.embedding_table.weight"] = (classes + 1, width)
    if sizes.rms_norm:
        shapes |= norm_shapes("final_layer.norm_final", width, True)
    out = sizes.patch ** 2 * sizes.channels * (2 if learn_sigma else 1)
    return (shapes | dense("final_layer.linear", width, out)
            | dense("final_layer.adaLN_modulation.1", width, 2 * width))


def encoder_shapes(sizes, norm_name="norm"):
    return ({"cls_token": (1, 1, sizes.width)} | stack_shapes(sizes, "patch_embed", 1)
            | norm_shapes(norm_name, sizes.width, sizes.rms_norm))


def masked_shapes(sizes, decoder):
    leading, inner = 1 + sizes.registers, decoder.width
    return (encoder_shapes(sizes) | {"mask_token": (1, 1, inner)}
            | stack_shapes(decoder, None, leading, "decoder_")
            | dense("decoder_embed", sizes.width, inner)
            | norm_shapes("decoder_norm", inner, sizes.rms_norm)
            | dense("decoder_pred", inner, sizes.patch ** 2 * sizes.channels))


def draw(name, shapes, sizes, learned_positions=False):
    """Seeded values as reference_params draws them, tables of sines, cosines and rotations."""
    values = {}
    for key, shape in shapes.items():
        if "freqs_" in key:
            values[key] = rotation(shape[1], *sizes.grid)["sin" in key]
        elif key.endswith("pos_embed") and not learned_positions:
            values[key] = sincos_table(
                shape[-1], *sizes.grid, shape[1] - sizes.tokens).float()
        else:
            near_one = key.endswith(("weight", "gamma")) and len(shape) == 1
            matrix = key.endswith("weight") and len(shape) in (2, 4) and "table" not in key
            fan_in = torch.Size(shape[1:]).numel()
            values[key] = normal(f"{name}/{key}", *shape, scale=fan_in ** -0.5 if matrix else 0.2,
                                 mean=1.0 if near_one else 0.0)
    return values
