"""Our own masked autoencoder and diffusion transformer as functions of named parameters.

Written from the papers (MAE, arXiv 2111.06377; DiT, arXiv 2212.09748; SiT, arXiv 2401.08740) over
the names that published checkpoints use. `p` is always a dict name -> tensor; every function works
in float32, float64 and under autocast.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

LAYER_NORM_EPS = 1e-6


@dataclass(frozen=True)
class Masked:
    """Sizes of a masked autoencoder."""
    channels: int = 4
    image: int = 16
    patch: int = 2
    width: int = 48
    heads: int = 3
    depth: int = 2
    decoder_width: int = 32
    decoder_heads: int = 2
    decoder_depth: int = 2
    mask_ratio: float = 0.75

    @property
    def grid(self):
        return self.image // self.patch

    def describe(self):
        return asdict(self)


@dataclass(frozen=True)
class Diffusion:
    """Sizes of a diffusion transformer; `affine` gives block norms weights (the USP variant)."""
    channels: int = 4
    image: int = 16
    patch: int = 2
    width: int = 48
    heads: int = 3
    depth: int = 2
    classes: int = 10
    learn_sigma: bool = True
    affine: bool = True
    gelu: str = "tanh"
    time_shift: int = 0  # diffusers spreads the time rates over half - 1 steps, the rest over half

    @property
    def grid(self):
        return self.image // self.patch

    def describe(self):
        return asdict(self)


def sincos_table(width, height, columns, leading=0):
    """Fixed 2-D table [1, leading + height * columns, width] in float64.

    Half of the width encodes the column, the other half the row; in each half the sines come
    before the cosines. Leading rows are zero.
    """
    quarter = width // 4
    rates = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    rows, cols = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(columns, dtype=torch.float64),
        indexing="ij")
    parts = []
    for position in (cols.flatten(), rows.flatten()):
        angle = position[:, None] * rates
        parts += [angle.sin(), angle.cos()]
    table = torch.cat(parts, dim=1)
    return torch.cat([torch.zeros(leading, width, dtype=torch.float64), table])[None]


def linear(p, name, x):
    return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def norm(p, name, x):
    """Layer norm, affine when the parameters of that name exist."""
    return F.layer_norm(
        x, x.shape[-1:], p.get(f"{name}.weight"), p.get(f"{name}.bias"), LAYER_NORM_EPS)


def attention(p, name, x, heads):
    batch, tokens, width = x.shape
    qkv = linear(p, f"{name}.qkv", x).view(batch, tokens, 3, heads, width // heads)
    query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
    mixed = F.scaled_dot_product_attention(query, key, value)
    return linear(p, f"{name}.proj", mixed.transpose(1, 2).reshape(batch, tokens, width))


def mlp(p, name, x, approximate):
    return linear(p, f"{name}.fc2", F.gelu(linear(p, f"{name}.fc1", x), approximate=approximate))


def encoder_block(p, name, x, heads):
    x = x + attention(p, f"{name}.attn", norm(p, f"{name}.norm1", x), heads)
    return x + mlp(p, f"{name}.mlp", norm(p, f"{name}.norm2", x), "none")


def embed_patches(p, name, images, patch):
    embedded = F.conv2d(images, p[f"{name}.proj.weight"], p[f"{name}.proj.bias"], stride=patch)
    return embedded.flatten(2).transpose(1, 2)


def to_patches(images, patch):
    """[B, C, H, W] -> [B, T, patch * patch * C] with the channel running fastest."""
    batch, channels = images.shape[:2]
    columns = F.unfold(images, patch, stride=patch)  # [B, C * p * p, T]
    columns = columns.view(batch, channels, patch * patch, -1)
    return columns.permute(0, 3, 2, 1).flatten(2)


def from_patches(tokens, patch, height, width):
    """Inverse of to_patches for an image of the given size in patches."""
    batch = tokens.shape[0]
    columns = tokens.view(batch, height * width, patch * patch, -1).permute(0, 3, 2, 1)
    return F.fold(columns.flatten(1, 2), (height * patch, width * patch), patch, stride=patch)


def masked_target(images, patch, normalise):
    target = to_patches(images, patch)
    if normalise == "none":
        return target
    dims = {"patch": (-1,), "image": (-2, -1)}[normalise]
    variance = target.var(dim=dims, keepdim=True, unbiased=True)
    return (target - target.mean(dim=dims, keepdim=True)) / torch.sqrt(variance + 1e-6)


def masked_autoencoder(p, sizes, images, noise, normalise="patch", target=None):
    """Loss, prediction [B, T, p*p*C] and mask [B, T] (1 = removed) for given masking noise."""
    count = sizes.grid ** 2
    kept = int(count * (1 - sizes.mask_ratio))
    rank = noise.argsort(dim=1).argsort(dim=1)  # place of each token in ascending noise
    order = noise.argsort(dim=1)[:, :kept]
    mask = (rank >= kept).to(images.dtype)

    x = embed_patches(p, "patch_embed", images, sizes.patch) + p["pos_embed"][:, 1:]
    rows = torch.arange(len(images))[:, None]
    leading = (p["cls_token"] + p["pos_embed"][:, :1]).expand(len(images), 1, -1)
    x = torch.cat([leading.to(x.dtype), x[rows, order]], dim=1)
    for i in range(sizes.depth):
        x = encoder_block(p, f"blocks.{i}", x, sizes.heads)
    latent = norm(p, "norm", x)

    x = linear(p, "decoder_embed", latent)
    hidden = p["mask_token"].expand(len(images), count - kept, -1).to(x.dtype)
    x = torch.cat([x[:, :1], torch.cat([x[:, 1:], hidden], dim=1)[rows, rank]], dim=1)
    x = x + p["decoder_pos_embed"]
    for i in range(sizes.decoder_depth):
        x = encoder_block(p, f"decoder_blocks.{i}", x, sizes.decoder_heads)
    prediction = linear(p, "decoder_pred", norm(p, "decoder_norm", x))[:, 1:]

    wanted = masked_target(images if target is None else target, sizes.patch, normalise)
    each = ((prediction - wanted) ** 2).mean(dim=-1)
    return {"loss": (each * mask).sum() / mask.sum(), "pred": prediction, "mask": mask,
            "latent": latent}


def embed_time(p, t, width=256, shift=0):
    """Timestep embedding MLP; angles are formed in float32 as the published code does."""
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32)
                      / (half - shift))
    angles = t.float()[:, None] * rates
    waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(p["t_embedder.mlp.0.weight"].dtype)
    return linear(p, "t_embedder.mlp.2", F.silu(linear(p, "t_embedder.mlp.0", waves)))


def modulation(p, name, condition, parts):
    return linear(p, f"{name}.adaLN_modulation.1", F.silu(condition))[:, None].chunk(parts, dim=-1)


def diffusion_transformer(p, sizes, x, t, labels):
    """[B, C, H, W] -> [B, C or 2C, H, W] for times t [B] and class labels [B] (last = null)."""
    height, width = x.shape[2] // sizes.patch, x.shape[3] // sizes.patch
    h = embed_patches(p, "x_embedder", x, sizes.patch) + p["pos_embed"]
    condition = embed_time(p, t, shift=sizes.time_shift)
    condition = condition + p["y_embedder.embedding_table.weight"][labels]
    for i in range(sizes.depth):
        name = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation(p, name, condition, 6)
        inner = norm(p, f"{name}.norm1", h) * (1 + scale1) + shift1
        h = h + gate1 * attention(p, f"{name}.attn", inner, sizes.heads)
        inner = norm(p, f"{name}.norm2", h) * (1 + scale2) + shift2
        h = h + gate2 * mlp(p, f"{name}.mlp", inner, sizes.gelu)
    shift, scale = modulation(p, "final_layer", condition, 2)
    h = norm(p, "final_layer.norm_final", h) * (1 + scale) + shift
    return from_patches(linear(p, "final_layer.linear", h), sizes.patch, height, width)


def interpolant_transformer(p, sizes, x, t, labels):
    """The SiT preset: the same network, its second half of channels dropped."""
    return diffusion_transformer(p, sizes, x, t, labels)[:, :sizes.channels]


def guided(network, x, t, labels, scale, channels):
    """Classifier-free guidance on the first `channels` outputs; x, labels = [conditional, null].

    The unconditional half sees the conditional half's x, as the published samplers do.
    """
    half = len(x) // 2
    out = network(torch.cat([x[:half], x[:half]]), t, labels)
    with_label, without = out[:half, :channels], out[half:, :channels]
    mixed = without + scale * (with_label - without)
    return torch.cat([torch.cat([mixed, mixed]), out[:, channels:]], dim=1)
