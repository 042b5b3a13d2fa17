"""Published sizes with random weights: files as PyTorch writes them, loaded by usp, compared.

    PYTHONPATH=bindings/python USP_LIBRARY=.build/release/libusp.so python Tests/Golden/full_size.py

Prints for each model how far PyTorch's float32 and ours are from PyTorch's float64, and from each
other: the largest absolute difference over the largest absolute reference. DiT-XL/2 takes 9 GB of
memory; `full_size.py vae mae` leaves it out.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import usp

import make_newer
import reference_blocks
from common import integers, normal, uniform
from reference_params import diffusion_shapes, draw, masked_shapes
from reference_vae import Autoencoder, decode, encode, shapes
from reference_vit import Diffusion, Masked, diffusion_transformer, masked_autoencoder


class Doubles(dict):
    """Parameters that become float64 when they are asked for."""

    def __getitem__(self, name):
        return super().__getitem__(name).double()

    def get(self, name, default=None):
        return self[name] if name in self else default


def distance(value, reference):
    value, reference = (np.asarray(array, np.float64) for array in (value, reference))
    return float(np.abs(value - reference).max() / np.abs(reference).max())


def told(name, ours, single, double):
    print(f"{name:24}{distance(single, double):14.2e}{distance(ours, double):14.2e}"
          f"{distance(ours, single):14.2e}", flush=True)


def autoencoder(folder):
    sizes = Autoencoder(base=128, mult=(1, 2, 4, 4), blocks=2)
    weights = draw("full/vae", shapes(sizes))
    path = folder / "vae.ckpt"
    torch.save({"state_dict": weights, "epoch": 1, "callbacks": {}}, path)
    images = normal("full/images", 1, 3, 256, 256, scale=0.5)
    latents = normal("full/z", 1, 4, 32, 32)
    vae = usp.VAE.load(path)
    moments = [encode(p, sizes, images.to(kind)) for p, kind in passes(weights)]
    mean = vae.encode(images.numpy(), scaled=False).mean
    told("VAE f8 encode 256", mean, *(m[:, :4] for m in moments))
    decoded = [decode(p, sizes, latents.to(kind)) for p, kind in passes(weights)]
    told("VAE f8 decode 256", vae.decode(latents.numpy(), scaled=False), *decoded)


def passes(weights):
    return (weights, torch.float32), (Doubles(weights), torch.float64)


def masked(folder):
    sizes = Masked(image=28, width=1152, heads=16, depth=28, decoder_width=512, decoder_heads=16,
                   decoder_depth=8)
    weights = draw("full/mae", masked_shapes(sizes), sizes.grid)
    path = folder / "checkpoint-799.pth"
    torch.save({"model": weights, "epoch": 799, "args": argparse.Namespace(mask_ratio=0.75)}, path)
    images, noise = normal("full/latents", 2, 4, 28, 28), uniform("full/noise", 2, 196)
    ours = usp.MaskedAutoencoder.load(path).forward(
        images.numpy(), noise=noise.numpy(), norm_pix_loss=True)
    single, double = (masked_autoencoder(p, sizes, images.to(kind), noise)
                      for p, kind in passes(weights))
    told("MAE-XL prediction", ours.pred, single["pred"], double["pred"])
    told("MAE-XL loss", ours.loss, single["loss"], double["loss"])


def diffusion(folder):
    sizes = Diffusion(image=32, width=1152, heads=16, depth=28, classes=1000, affine=False)
    weights = draw("full/dit", diffusion_shapes(sizes), sizes.grid)
    path = folder / "DiT-XL-2-256x256.pt"
    torch.save(weights, path)
    x, labels = normal("full/x", 2, 4, 32, 32), integers("full/labels", 1001, 2)
    times = torch.tensor([999, 250])
    ours = usp.DiT.load(path).forward(x.numpy(), times.numpy(), labels.numpy())
    told("DiT-XL/2", ours, *(diffusion_transformer(p, sizes, x.to(kind), times, labels)
                             for p, kind in passes(weights)))


def lightning(folder):
    sizes = replace(make_newer.LIGHTNING, grid=(16, 16), channels=32, width=1152, heads=16, depth=28)
    weights = reference_blocks.draw(
        "full/lightning", reference_blocks.diffusion_shapes(sizes, False, 1000), sizes)
    path = folder / "lightningdit-xl-imagenet256.pt"
    torch.save({"model": {f"module.{key}": value for key, value in weights.items()},
                "ema": weights, "opt": {}}, path)
    x, labels = normal("full/vavae", 1, 32, 16, 16), integers("full/labels", 1001, 1)
    times = torch.tensor([0.3])
    ours = usp.LightningDiT.load(path).forward(x.numpy(), times.numpy(), labels.numpy())
    told("LightningDiT-XL/1", ours, *(
        reference_blocks.diffusion(p, sizes, x.to(kind), times.to(kind), labels, False)
        for p, kind in passes(weights)))


MODELS = {"vae": autoencoder, "mae": masked, "dit": diffusion, "lightning": lightning}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="vae, mae, dit, lightning; all of them by default")
    print(f"{'':24}{'torch - f64':>14}{'ours - f64':>14}{'ours - torch':>14}")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for model in parser.parse_args().models or MODELS:
            MODELS[model](Path(folder))
