"""A vision transformer with mmsegmentation's UperNet head, in plain PyTorch."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from arrays import CELLS, LABELS, MAPS, TRANSFORMERS
from peer_models import ViT


class Unit(nn.Module):
    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def resized(x, like):
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    """Four maps of one size to maps of 4, 2, 1 and half of it."""

    def __init__(self, width):
        super().__init__()
        self.upsample_4x = nn.Sequential(
            nn.ConvTranspose2d(width, width, 2, 2), nn.BatchNorm2d(width), nn.GELU(),
            nn.ConvTranspose2d(width, width, 2, 2))
        self.upsample_2x = nn.Sequential(nn.ConvTranspose2d(width, width, 2, 2))

    def forward(self, maps):
        return [self.upsample_4x(maps[0]), self.upsample_2x(maps[1]), maps[2],
                F.max_pool2d(maps[3], 2)]


class UperNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), Unit(width, MAPS, 1)) for cells in CELLS)
        self.bottleneck = Unit(width + len(CELLS) * MAPS, MAPS, 3)
        self.lateral_convs = nn.ModuleList(Unit(width, MAPS, 1) for _ in range(3))
        self.fpn_convs = nn.ModuleList(Unit(MAPS, MAPS, 3) for _ in range(3))
        self.fpn_bottleneck = Unit(4 * MAPS, MAPS, 3)
        self.conv_seg = nn.Conv2d(MAPS, LABELS, 1)

    def forward(self, levels):
        coarse = levels[3]
        pools = [resized(pool(coarse), coarse) for pool in self.psp_modules]
        sums = [lateral(x) for lateral, x in zip(self.lateral_convs, levels)]
        sums.append(self.bottleneck(torch.cat([coarse] + pools, dim=1)))
        for level in (2, 1, 0):
            sums[level] = sums[level] + resized(sums[level + 1], sums[level])
        maps = [conv(x) for conv, x in zip(self.fpn_convs, sums)] + [sums[3]]
        return self.conv_seg(self.fpn_bottleneck(
            torch.cat([maps[0]] + [resized(x, maps[0]) for x in maps[1:]], dim=1)))


class Segmenter(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, depth, _ = TRANSFORMERS[model]
        self.backbone = ViT(model, tokens, head=False)
        self.backbone.norm = None
        self.neck, self.decode_head = Pyramid(width), UperNet(width)
        self.read = [depth // 3 - 1, depth // 2 - 1, 2 * depth // 3 - 1, depth - 1]
        self.side = math.isqrt(tokens)

    def forward(self, x):
        encoder, maps = self.backbone, []
        x = encoder.patch_embed(x)
        x = torch.cat([encoder.cls_token.expand(len(x), -1, -1), x], dim=1) + encoder.pos_embed
        for index, block in enumerate(encoder.blocks):
            x = block(x)
            if index in self.read:
                maps.append(x[:, 1:].transpose(1, 2).unflatten(2, (self.side, self.side)))
        return self.decode_head(self.neck(maps))
