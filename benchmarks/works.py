"""What is measured: the rows of the tables, and their floating point operations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from arrays import (
    ALIGNED, AUTOREGRESSIVE, BUFFER, CELLS, COPIES, DECODER, HIDDEN, KEPT, LEVELS, SQUARE,
    TRANSFORMERS, inception_units, reverse_steps, shapes)

# Training steps whose losses are compared.
STEPS = 3


@dataclass(frozen=True)
class Work:
    """One line of the tables."""

    key: str
    title: str
    family: str  # dit, vit, mae, mar, segmenter, vae, inception
    task: str  # forward, encode, decode, train, sample
    model: str  # S, B, L, XL; f8
    batch: int
    size: int  # side of the latents; of the images for the autoencoder
    table: str = "main"
    threads: int = 2
    tile: int = 0  # of the autoencoder, in latent pixels; 0: the whole image at once
    recompute: int = 0  # of our side's training steps, a usp_recompute: 1 blocks, 2 hidden layers
    iterations: int = 0  # of a sampler of MAR
    last_steps: int = 0  # reverse steps of its last iteration; 0: as of the first
    peers: tuple = ("torch", "zentorch", "onnxruntime", "openvino")

    @property
    def width(self):
        return TRANSFORMERS[self.model][0]

    @property
    def tokens(self):
        return (self.size // {"lightning": 1, "dinov2": SQUARE}.get(self.family, 2)) ** 2


ALL = ("torch", "torch.compile", "zentorch", "onnxruntime", "openvino")
TORCH = ("torch",)

WORKS = [
    Work("dit-b", "DiT-B/2 256, batch 8, forward", "dit", "forward", "B", 8, 32, peers=ALL),
    Work("dit-b1", "DiT-B/2 256, batch 1, forward", "dit", "forward", "B", 1, 32, peers=ALL),
    Work("dit-s1", "DiT-S/2 256, batch 1, forward", "dit", "forward", "S", 1, 32, peers=ALL),
    Work("dit-xl", "DiT-XL/2 256, batch 2, forward", "dit", "forward", "XL", 2, 32,
         peers=("torch", "zentorch", "openvino")),
    Work("vit-b", "ViT-B on 28x28x4, patch 2, batch 8", "vit", "forward", "B", 8, 28),
    Work("lightning-b", "LightningDiT-B/1 256, batch 8, forward", "lightning", "forward", "B", 8,
         16),
    Work("dinov2-b", "DINOv2-B/14 on 224x224, batch 8", "dinov2", "forward", "B", 8, 224),
    Work("upernet", "UperNet-B for 512x512, batch 1", "segmenter", "forward", "B", 1, 64),
    Work("vae-encode", "VAE f8 encode 256x256, batch 1", "vae", "encode", "f8", 1, 256),
    Work("vae-decode", "VAE f8 decode 256x256, batch 1", "vae", "decode", "f8", 1, 256),
    Work("vae-decode-512", "VAE f8 decode 512x512, batch 1", "vae", "decode", "f8", 1, 512),
    Work("inception", "Inception features of 299x299, batch 16", "inception", "forward", "2015",
         16, 299),
    Work("mae-train", "MAE-B pretraining step, batch 16", "mae", "train", "B", 16, 28,
         peers=TORCH),
    Work("mae-hidden", "MAE-B pretraining step, batch 16, recomputing hidden layers", "mae",
         "train", "B", 16, 28, peers=TORCH, recompute=2),
    Work("mae-recompute", "MAE-B pretraining step, batch 16, recomputing", "mae", "train", "B", 16,
         28, peers=TORCH, recompute=1),
    Work("dit-train", "DiT-B/2 training step, batch 4", "dit", "train", "B", 4, 32, peers=TORCH),
    Work("dit-hidden", "DiT-B/2 training step, batch 4, recomputing hidden layers", "dit", "train",
         "B", 4, 32, peers=TORCH, recompute=2),
    Work("dit-recompute", "DiT-B/2 training step, batch 4, recomputing", "dit", "train", "B", 4, 32,
         peers=TORCH, recompute=1),
    Work("mar-forward", "MAR-B 256, batch 4, loss", "mar", "forward", "B", 4, 16, peers=TORCH),
    Work("mar-train", "MAR-B training step, batch 4", "mar", "train", "B", 4, 16, peers=TORCH),
    Work("mar-16", "MAR-B picture, guided, 16 iterations", "mar", "sample", "B", 1, 16,
         iterations=16, peers=TORCH),
    Work("mar-16-fewer", "MAR-B picture, guided, 16 iterations, 50 to 5 reverse steps", "mar",
         "sample", "B", 1, 16, iterations=16, last_steps=5, peers=TORCH),
    Work("mar-64", "MAR-B picture, guided, 64 iterations", "mar", "sample", "B", 1, 16,
         iterations=64, peers=TORCH),
]


def named(key):
    return next(work for work in WORKS if work.key == key)


def scaling():
    """The works of the tables of growth."""
    dit = replace(WORKS[0], peers=TORCH)
    vae = replace(named("vae-decode"), peers=TORCH, table="resolution")
    for batch in (1, 2, 4, 8, 16, 32):
        yield replace(dit, key=f"batch-{batch}", title=f"DiT-B/2 256, batch {batch}",
                      batch=batch, table="batch")
    for model in TRANSFORMERS:
        yield replace(dit, key=f"model-{model}", title=f"DiT-{model}/2 256, batch 2",
                      model=model, batch=2, table="model size")
    for threads in (1, 2):
        yield replace(dit, key=f"threads-{threads}", batch=2, threads=threads, table="threads",
                      title=f"DiT-B/2 256, batch 2, threads {threads}")
    for size in (256, 512):
        yield replace(vae, key=f"resolution-{size}", size=size,
                      title=f"VAE f8 decode {size}x{size}")
    for size, tile in ((512, 40), (1024, 72)):
        yield replace(vae, key=f"tiled-{size}", size=size, tile=tile, peers=(),
                      title=f"VAE f8 decode {size}x{size}, tiles of {8 * tile}")


SCALING = list(scaling())


# ---- floating point operations -----------------------------------------------------------------

def block_flops(rows, tokens, width):
    """Of one transformer block: `rows` tokens in all, attending within samples of `tokens`."""
    return 2 * rows * 12 * width * width + 4 * rows * tokens * width


def transformer_flops(work):
    width, depth, _ = TRANSFORMERS[work.model]
    rows = work.batch * work.tokens
    if work.family in ("dit", "lightning"):
        ends = 16 + 32 if work.family == "dit" else 2 * ALIGNED
        conditions = work.batch * (6 * depth + 2 + 1) * width * width + work.batch * 256 * width
        return (depth * block_flops(rows, work.tokens, width) + 2 * conditions
                + 2 * rows * width * ends)
    if work.family in ("vit", "dinov2"):
        rows, values = work.batch * (work.tokens + 1), 16 if work.family == "vit" else 3 * SQUARE ** 2
        return depth * block_flops(rows, work.tokens + 1, width) + 2 * rows * width * values
    seen = int(work.tokens * KEPT) + 1
    inner, layers, _ = DECODER
    flops = depth * block_flops(work.batch * seen, seen, width)
    rows = work.batch * (work.tokens + 1)
    return flops + layers * block_flops(rows, work.tokens + 1, inner) + 2 * rows * inner * 16


def autoencoder_flops(work):
    """Products of the direct convolutions, of the side that runs."""
    side = "encoder" if work.task == "encode" else "decoder"
    total = 0
    for name, shape in shapes(work).items():
        if len(shape) < 2 or not name.startswith(side):
            continue
        total += 2 * int(np.prod(shape)) * vae_extent(work, name) ** 2
    tokens = (work.size // 8) ** 2
    return work.batch * (total + 4 * tokens * tokens * LEVELS[-1])


def segmenter_flops(work):
    """Of the encoder, and of each convolution where it stands."""
    width, depth, _ = TRANSFORMERS[work.model]
    tokens, side = work.tokens + 1, work.size // 2
    pixels = {"upsample_4x.0": side ** 2, "upsample_4x.3": 4 * side ** 2,
              "upsample_2x.0": side ** 2, "head.bottleneck": side ** 2 // 4,
              "fpn_bottleneck": 16 * side ** 2, "conv_seg": 16 * side ** 2}
    pixels |= {f"psp_modules.{i}": cells ** 2 for i, cells in enumerate(CELLS)}
    for level in range(3):
        pixels |= {f"{kind}_convs.{level}": (4 * side >> level) ** 2 for kind in ("lateral", "fpn")}
    total = depth * block_flops(work.batch * tokens, tokens, width)
    for name, shape in shapes(work).items():
        if len(shape) == 4 and not name.startswith("backbone."):
            found, = (count for part, count in pixels.items() if part in name)
            total += 2 * work.batch * int(np.prod(shape)) * found
    return total


def inception_flops(work):
    """Of the convolutions; the features are in front of the last layer."""
    total = 0
    for _name, inputs, outputs, kernel, side in inception_units():
        area = kernel[0] * kernel[1] if isinstance(kernel, tuple) else kernel ** 2
        total += 2 * inputs * outputs * area * side ** 2
    return work.batch * total


def vae_extent(work, name):
    """Side of what the named layer computes."""
    parts, last = name.split("."), len(LEVELS) - 1
    if parts[1] == "down_blocks":
        return work.size >> (int(parts[2]) + ("downsamplers" in name))
    if parts[1] == "up_blocks":
        return work.size >> (last - int(parts[2]) - ("upsamplers" in name))
    full = {"encoder": "conv_in", "decoder": "conv_out"}[parts[0]]
    return work.size if parts[1] == full else work.size >> last


def autoregressive_flops(work):
    """Of what is needed: the head on hidden tokens alone, guidance's both passes."""
    width, depth, _, own, layers = AUTOREGRESSIVE[work.model]
    tokens, values = work.size ** 2, 16
    head = 2 * own * (own * (5 * layers + 3) + 3 * values + 256)

    def trunk(visible):
        rows = BUFFER + visible, BUFFER + tokens
        return sum(depth * block_flops(work.batch * r, r, width) for r in rows)

    if work.task != "sample":
        return trunk(tokens - HIDDEN) + work.batch * COPIES * HIDDEN * head
    left, total = tokens, 0
    for iteration, steps in enumerate(reverse_steps(work)):
        total += 2 * trunk(tokens - left)
        share = np.cos(np.pi / 2 * (iteration + 1) / work.iterations)
        after = max(1, min(left - 1, int(tokens * share)))
        if iteration == work.iterations - 1:
            after = 0
        total += 2 * work.batch * (left - after) * steps * head
        left = after
    return total


def flops(work):
    """Of one run; a training step counts three forward passes."""
    kinds = {"vae": autoencoder_flops, "mar": autoregressive_flops,
             "segmenter": segmenter_flops, "inception": inception_flops}
    forward = kinds.get(work.family, transformer_flops)(work)
    return 3 * forward if work.task == "train" else forward
