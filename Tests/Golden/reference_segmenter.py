"""Segmentation networks as functions of named parameters: a vision transformer, the feature pyramid
and UperNet with its auxiliary head of mmsegmentation, and DINOv2's linear head.

Names are mmsegmentation's; `p` and precision as in reference_vit. `norms` collects what batch
statistics make of the running ones.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

CELLS = (1, 2, 3, 6)


@dataclass(frozen=True)
class Sizes:
    """Of a network, in the library's words."""
    grid: tuple = (7, 7)
    channels: int = 4
    patch: int = 2
    width: int = 16
    depth: int = 4
    heads: int = 2
    classes: int = 7
    head: str = "upernet"
    head_channels: int = 16
    auxiliary_channels: int = 8
    out_indices: tuple = (0, 1, 1, 3)
    relative_positions: bool = False
    absolute_positions: bool = True
    layer_scale: bool = False

    @property
    def tokens(self):
        return self.grid[0] * self.grid[1]

    @property
    def relations(self):
        return (2 * self.grid[0] - 1) * (2 * self.grid[1] - 1) + 3


def shapes(sizes):
    """name -> shape of every parameter and statistic."""
    width, result = sizes.width, {}

    def layer(name, *shape):
        result[f"{name}.weight"], result[f"{name}.bias"] = shape, shape[:1]

    def batch_norm(name, channels):
        layer(name, channels)
        result[f"{name}.running_mean"] = result[f"{name}.running_var"] = (channels,)

    def unit(name, inputs, outputs, kernel):
        result[f"{name}.conv.weight"] = (outputs, inputs, kernel, kernel)
        batch_norm(f"{name}.bn", outputs)

    result["backbone.cls_token"] = (1, 1, width)
    if sizes.absolute_positions:
        result["backbone.pos_embed"] = (1, 1 + sizes.tokens, width)
    layer("backbone.patch_embed.projection", width, sizes.channels, sizes.patch, sizes.patch)
    for index in range(sizes.depth):
        block = f"backbone.layers.{index}"
        layer(f"{block}.ln1", width)
        layer(f"{block}.attn.qkv", 3 * width, width)
        layer(f"{block}.attn.proj", width, width)
        layer(f"{block}.ln2", width)
        layer(f"{block}.ffn.layers.0.0", 4 * width, width)
        layer(f"{block}.ffn.layers.1", width, 4 * width)
        if sizes.layer_scale:
            result[f"{block}.gamma_1"] = result[f"{block}.gamma_2"] = (width,)
        if sizes.relative_positions:
            table = f"{block}.attn.relative_position_bias_table"
            result[table] = (sizes.relations, sizes.heads)
    if sizes.head == "linear":
        layer("backbone.ln1", width)
        channels = width * len(sizes.out_indices)
        batch_norm("decode_head.bn", channels)
        layer("decode_head.conv_seg", sizes.classes, channels, 1, 1)
        return result
    layer("neck.upsample_4x.0", width, width, 2, 2)
    batch_norm("neck.upsample_4x.1", width)
    layer("neck.upsample_4x.3", width, width, 2, 2)
    layer("neck.upsample_2x.0", width, width, 2, 2)
    channels = sizes.head_channels
    for index in range(4):
        unit(f"decode_head.psp_modules.{index}.1", width, channels, 1)
    unit("decode_head.bottleneck", width + 4 * channels, channels, 3)
    for level in range(3):
        unit(f"decode_head.lateral_convs.{level}", width, channels, 1)
        unit(f"decode_head.fpn_convs.{level}", channels, channels, 3)
    unit("decode_head.fpn_bottleneck", 4 * channels, channels, 3)
    layer("decode_head.conv_seg", sizes.classes, channels, 1, 1)
    unit("auxiliary_head.convs.0", width, sizes.auxiliary_channels, 3)
    layer("auxiliary_head.conv_seg", sizes.classes, sizes.auxiliary_channels, 1, 1)
    return result


def relative_index(height, width):
    """The row of the table of biases for each pair of tokens, class token first."""
    rows, columns = (side.flatten() for side in torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"))
    down = rows[:, None] - rows[None, :] + height - 1
    right = columns[:, None] - columns[None, :] + width - 1
    count = (2 * height - 1) * (2 * width - 1) + 3
    index = torch.empty(rows.numel() + 1, rows.numel() + 1, dtype=torch.long)
    index[1:, 1:] = down * (2 * width - 1) + right
    index[0, :], index[:, 0], index[0, 0] = count - 3, count - 2, count - 1
    return index


def positions(p, sizes, grid):
    table = p["backbone.pos_embed"]
    if tuple(grid) == tuple(sizes.grid):
        return table
    cells = table[:, 1:].reshape(1, *sizes.grid, -1).permute(0, 3, 1, 2)
    cells = F.interpolate(cells, size=tuple(grid), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], cells.permute(0, 2, 3, 1).reshape(1, -1, sizes.width)], dim=1)


def attention(p, name, sizes, x):
    batch, count, width = x.shape
    heads = sizes.heads
    qkv = F.linear(x, p[f"{name}.qkv.weight"], p[f"{name}.qkv.bias"])
    q, k, v = qkv.reshape(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) * (width // heads) ** -0.5
    if sizes.relative_positions:
        table = p[f"{name}.relative_position_bias_table"]
        scores = scores + table[relative_index(*sizes.grid)].permute(2, 0, 1)
    y = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, count, width)
    return F.linear(y, p[f"{name}.proj.weight"], p[f"{name}.proj.bias"])


def norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)


def backbone(p, sizes, images):
    """The maps [B, D, h, w] that the head reads."""
    patches = F.conv2d(images, p["backbone.patch_embed.projection.weight"],
                       p["backbone.patch_embed.projection.bias"], stride=sizes.patch)
    grid = patches.shape[2:]
    x = torch.cat([p["backbone.cls_token"].expand(len(images), -1, -1),
                   patches.flatten(2).transpose(1, 2)], dim=1)
    if sizes.absolute_positions:
        x = x + positions(p, sizes, grid)
    after = []
    for index in range(sizes.depth):
        block = f"backbone.layers.{index}"
        scales = [p[f"{block}.gamma_{half}"] if sizes.layer_scale else 1 for half in (1, 2)]
        x = x + scales[0] * attention(p, f"{block}.attn", sizes, norm(p, f"{block}.ln1", x))
        h = F.linear(norm(p, f"{block}.ln2", x), p[f"{block}.ffn.layers.0.0.weight"],
                     p[f"{block}.ffn.layers.0.0.bias"])
        x = x + scales[1] * F.linear(F.gelu(h), p[f"{block}.ffn.layers.1.weight"],
                                     p[f"{block}.ffn.layers.1.bias"])
        after.append(x)
    maps = [after[index] for index in sizes.out_indices]
    if sizes.head == "linear":
        maps = [norm(p, "backbone.ln1", x) for x in maps]
    return [x[:, 1:].transpose(1, 2).unflatten(2, tuple(grid)) for x in maps]


class Head:
    """Pyramid and heads, with running or batch statistics."""

    def __init__(self, p, sizes, training):
        self.p, self.sizes, self.training, self.moved = p, sizes, training, {}

    def batch_norm(self, name, x):
        mean, variance = (self.p[f"{name}.running_{key}"].detach().clone()
                          for key in ("mean", "var"))
        y = F.batch_norm(x, mean, variance, self.p[f"{name}.weight"], self.p[f"{name}.bias"],
                         self.training, 0.1, 1e-5)
        self.moved[f"{name}.running_mean"], self.moved[f"{name}.running_var"] = mean, variance
        return y

    def unit(self, name, x):
        weight = self.p[f"{name}.conv.weight"]
        y = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        return F.relu(self.batch_norm(f"{name}.bn", y))

    def doubled(self, name, x):
        return F.conv_transpose2d(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"], stride=2)

    def classified(self, name, x):
        return F.conv2d(x, self.p[f"{name}.conv_seg.weight"], self.p[f"{name}.conv_seg.bias"])

    def __call__(self, maps):
        """Scores of the head and of the auxiliary one."""
        if self.sizes.head == "linear":
            x = self.batch_norm("decode_head.bn", torch.cat(maps, dim=1))
            return self.classified("decode_head", x), None
        large = self.batch_norm("neck.upsample_4x.1", self.doubled("neck.upsample_4x.0", maps[0]))
        levels = [self.doubled("neck.upsample_4x.3", F.gelu(large)),
                  self.doubled("neck.upsample_2x.0", maps[1]), maps[2],
                  F.max_pool2d(maps[3], 2)]
        auxiliary = self.classified(
            "auxiliary_head", self.unit("auxiliary_head.convs.0", levels[2]))
        return self.upernet(levels), auxiliary

    def upernet(self, levels):
        pooled = [levels[3]] + [
            resized(self.unit(f"decode_head.psp_modules.{index}.1",
                              F.adaptive_avg_pool2d(levels[3], cells)), levels[3].shape[2:])
            for index, cells in enumerate(CELLS)]
        top = self.unit("decode_head.bottleneck", torch.cat(pooled, dim=1))
        sums = [self.unit(f"decode_head.lateral_convs.{level}", levels[level])
                for level in range(3)] + [top]
        for level in (2, 1, 0):
            sums[level] = sums[level] + resized(sums[level + 1], sums[level].shape[2:])
        maps = [self.unit(f"decode_head.fpn_convs.{level}", sums[level]) for level in range(3)]
        size = sums[0].shape[2:]
        fused = torch.cat([resized(x, size) for x in maps + [top]], dim=1)
        return self.classified("decode_head", self.unit("decode_head.fpn_bottleneck", fused))


def resized(x, size):
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def segment(p, sizes, images, training=False):
    """Scores, scores of the auxiliary head or None, running statistics afterwards."""
    head = Head(p, sizes, training)
    main, auxiliary = head(backbone(p, sizes, images))
    return main, auxiliary, head.moved


def loss(p, sizes, images, labels, training=False, average="all"):
    main, auxiliary, moved = segment(p, sizes, images, training)

    def entropy(logits):
        sums = F.cross_entropy(resized(logits, labels.shape[1:]), labels, ignore_index=255,
                               reduction="sum")
        count = labels.numel() if average == "all" else (labels != 255).sum()
        return sums / count
    total = entropy(main)
    if auxiliary is not None:
        total = total + 0.4 * entropy(auxiliary)
    return total, moved
