"""Inception as published scores use it (pytorch-fid's and torch-fidelity's network), in plain PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn

from arrays import inception_units

STRIDED = {"Conv2d_1a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3", "Mixed_7a.branch3x3_2",
           "Mixed_7a.branch7x7x3_4"}
UNPADDED = STRIDED | {"Conv2d_2a_3x3", "Conv2d_4a_3x3"}


class Unit(nn.Module):
    def __init__(self, name, inputs, outputs, kernel):
        super().__init__()
        sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (0, 0) if name in UNPADDED else tuple(side // 2 for side in sides)
        self.conv = nn.Conv2d(
            inputs, outputs, sides, stride=2 if name in STRIDED else 1, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Branches side by side: units one behind the other, twins of the last next to each other."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def branch(self, name, x):
        units = dict(self.named_children())
        if name in units:
            return units[name](x)
        for index in range(1, 6):
            if f"{name}_{index}a" in units:
                return torch.cat([units[f"{name}_{index}{twin}"](x) for twin in "ab"], 1)
            if f"{name}_{index}" in units:
                x = units[f"{name}_{index}"](x)
        return x

    def pooled(self, x):
        if self.name in ("Mixed_6a", "Mixed_7a"):
            return F.max_pool2d(x, 3, 2)
        # The network of 2015 has a maximum in its last block, and averages of what there is.
        if self.name == "Mixed_7c":
            return self.branch_pool(F.max_pool2d(x, 3, 1, 1))
        return self.branch_pool(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))

    def forward(self, x):
        names = dict.fromkeys(name.partition("_")[0] for name, _ in self.named_children())
        names.pop("branch", None)
        return torch.cat([self.branch(name, x) for name in names] + [self.pooled(x)], 1)


class Inception(nn.Module):
    """Bytes [B, 299, 299, 3] to pool_3, [B, 2048]."""

    def __init__(self, work):
        super().__init__()
        for name, inputs, outputs, kernel, _side in inception_units():
            unit = Unit(name, inputs, outputs, kernel)
            block, _, rest = name.partition(".")
            if not rest:
                self.add_module(name, unit)
                continue
            if not hasattr(self, block):
                self.add_module(block, Block(block))
            getattr(self, block).add_module(rest, unit)
        self.fc = nn.Linear(2048, 1008)  # of the file; features are in front of it

    def forward(self, x):
        x = (x.permute(0, 3, 1, 2).float() - 128) / 128
        for name, layer in self.named_children():
            if name == "fc":
                break
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x.mean((2, 3))
