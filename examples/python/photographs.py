"""Photographs to a diffusion transformer: photographs.py [FOLDER], else what Debian's wallpaper packages
have installed. A few steps of each stage; usp.study(FOLDER, "out/study") takes its time and compares."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import usp

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def squares(path, side, count):
    """Squares of a photograph, a third of its height, from left to right."""
    image = usp.images.open(path)[..., :3]
    extent = min(image.shape[:2]) // 3
    step = max(1, extent // side)
    for left in np.linspace(0, image.shape[1] - extent, count).astype(int):
        top = (image.shape[0] - extent) // 2
        yield image[top:top + extent:step, left:left + extent:step]


def main():
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/backgrounds")
    photographs = [
        path for path in sorted(source.rglob("*")) if path.suffix.lower() in ENDINGS][:8]
    if not photographs:
        sys.exit(f"{source}: no photograph; give a folder, or apt-get install lomiri-wallpapers-20.04")
    with tempfile.TemporaryDirectory() as scratch:
        for path in photographs:  # the class of a square is its photograph
            folder = Path(scratch) / path.stem
            folder.mkdir(exist_ok=True)
            for number, square in enumerate(squares(path, 32, 8)):
                usp.images.save(folder / f"{number}.png", square)
        data = usp.Data(scratch, size=32)
        vae = usp.VAE.load("small")  # comes along: 8 image pixels to a latent one
        run = usp.pretrain(data, vae, steps=10, patch=1, width=32, depth=2, heads=2, batch=8,
                           log_every=1)
        sit = usp.train(data, vae, start=run.model, steps=10, batch=8, dtype="bf16")
        images = usp.sample(sit, vae, classes=list(sit.class_names[:4]), num=8, steps=4)
    images.save("photographs.png")
    print(f"{len(photographs)} photographs, {len(data)} squares; loss {run.history[0]['loss']:.3f} "
          f"then {run.history[-1]['loss']:.3f}; photographs.png has {len(images)} samples")


main()
