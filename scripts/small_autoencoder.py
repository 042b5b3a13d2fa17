#!/usr/bin/env python3
"""Trains the small colour autoencoder that comes with the library (usp.VAE.load("small"), --vae small).

    small_autoencoder.py PHOTOGRAPHS OUT [STEPS]

PHOTOGRAPHS is a folder with the files of Debian's packages lomiri-wallpapers-16.04 and -20.04 (CC-BY,
CC-BY-SA and CC0; NOTICE names them). Crops of 64 x 64 are cut at random from each photograph at five
scales, mirrored half of the time, and in a third of them the colours change places, so that few
photographs do for many colours. Two photographs are held out. OUT is written with 8 bits a weight and the scale
that gives its latents unit variance. Needs Pillow, which shrinks the photographs.
"""

import sys
import time
from pathlib import Path

import numpy as np
import usp
from PIL import Image

SIDE, BATCH = 64, 8
HELD_OUT = ("Bridge_by", "Fossa_by")
SHORTER_SIDES = (96, 192, 384, 768, 1200)


def scales(path):
    """The photograph at several sizes, uint8 [H, W, 3]."""
    image = Image.open(path).convert("RGB")
    sizes = [side for side in SHORTER_SIDES if side <= min(image.size)]
    return [
        np.asarray(image.resize(
            [round(extent * side / min(image.size)) for extent in image.size], Image.LANCZOS))
        for side in sizes]


def crops(photographs, key, count):
    """[count, SIDE, SIDE, 3] uint8, a function of the key."""
    draw, result = np.random.default_rng(key), np.empty((count, SIDE, SIDE, 3), np.uint8)
    for index in range(count):
        levels = photographs[draw.integers(len(photographs))]
        image = levels[draw.integers(len(levels))]
        y, x = draw.integers(image.shape[0] - SIDE + 1), draw.integers(image.shape[1] - SIDE + 1)
        crop = image[y:y + SIDE, x:x + SIDE]
        if draw.integers(2):
            crop = crop[:, ::-1]
        result[index] = crop[..., draw.permutation(3)] if draw.random() < 1 / 3 else crop
    return result


def psnr(model, images):
    error = np.clip(model.decode(model.encode(images).mean), -1, 1) - images
    return 10 * np.log10(4 / np.mean(error * error))


def main(folder, out, steps=2_000):
    files = sorted(path for path in Path(folder).rglob("*.jpg") if "_by_" in path.name)
    held = [path for path in files if path.name.startswith(HELD_OUT)]
    photographs = [scales(path) for path in files if path not in held]
    test = usp.images.from_uint8(crops([scales(path) for path in held], [1, 0], 64))
    model = usp.VAE.create(
        base_width=16, multipliers=(1, 2, 4), blocks_per_level=1, latent_channels=4, groups=8,
        mid_attention=False, seed=0)
    print(f"{model.size:,} parameters, {len(photographs)} photographs, {len(held)} held out")
    trainer = usp.Trainer(
        model, rate=2e-3, minimum_rate=2e-5, warmup=100, steps=steps, average_decay=0.999,
        average_warms_up=True, reconstruction="absolute", kl_weight=1e-6, clip_norm=1)
    began = time.time()
    for step in range(steps):
        loss = trainer.step(usp.images.from_uint8(crops(photographs, [0, step], BATCH)))
        if (step + 1) % 500 == 0 or step + 1 == steps:
            model = trainer.model(averaged=True)
            plain = model.encode(
                usp.images.from_uint8(crops(photographs, [2, 0], 256)), scaled=False).mean
            scaled = usp.VAE.load(model.checkpoint, scale=float(1 / plain.std()))
            scaled.save(out, dtype="int8")
            print(
                f"step {step + 1}: {time.time() - began:.0f} s, loss {loss:.4f}, held-out PSNR "
                f"{psnr(scaled, test):.2f} dB, scale {scaled.scale:.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
