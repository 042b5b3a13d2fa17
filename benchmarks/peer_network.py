"""The module of a work, with its weights."""

import sys
from pathlib import Path

import torch
from torch import nn

from arrays import LATENT, LEVELS
from peer_inception import Inception
from peer_mar import MAR
from peer_models import DINOv2, DiT, LightningDiT, MaskedAutoencoder, ViT
from peer_segmentation import Segmenter

sys.path.append(str(Path(__file__).resolve().parent.parent / "Tests" / "Golden"))


def build(work, weights):
    """The module of a work with its weights, in evaluation mode; none is copied."""
    if work.family == "vae":
        from environment import allow_torchvision

        allow_torchvision()
        from diffusers import AutoencoderKL

        names = ["DownEncoderBlock2D"] * len(LEVELS), ["UpDecoderBlock2D"] * len(LEVELS)
        make = lambda: AutoencoderKL(  # noqa: E731
            down_block_types=names[0], up_block_types=names[1], block_out_channels=LEVELS,
            layers_per_block=2, latent_channels=LATENT, sample_size=256)
    else:
        kind = {"dit": DiT, "vit": ViT, "mae": MaskedAutoencoder, "lightning": LightningDiT,
                "dinov2": DINOv2, "segmenter": Segmenter}.get(work.family)
        other = {"mar": MAR, "inception": Inception}.get(work.family)
        make = lambda: kind(work.model, work.tokens) if kind else other(work)  # noqa: E731
    with torch.device("meta"):
        module = make()
    left = module.load_state_dict(weights, strict=False, assign=True)
    counts = [key for key in left.missing_keys if key.endswith("num_batches_tracked")]
    assert counts == left.missing_keys and not left.unexpected_keys, left
    for key in counts:  # of batch norms; nothing reads them
        module.get_submodule(key.rpartition(".")[0]).num_batches_tracked = None
    for name in ("pos_embed", "decoder_pos_embed"):
        if hasattr(module, name):
            getattr(module, name).requires_grad_(False)
    return module.eval()


class Half(nn.Module):
    """One direction of an autoencoder, as a module for exporting."""

    def __init__(self, module, task):
        super().__init__()
        self.module, self.task = module, task

    def forward(self, x):
        if self.task == "encode":
            return self.module.quant_conv(self.module.encoder(x))[:, :LATENT]  # the mean
        return self.module.decoder(self.module.post_quant_conv(x))


def network(work, weights):
    """A module whose positional arguments are the work's inputs."""
    module = build(work, weights)
    return Half(module, work.task).eval() if work.family == "vae" else module
