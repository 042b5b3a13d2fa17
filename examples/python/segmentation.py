"""A class for every pixel, from three starts: garments of Fashion-MNIST, turned and coloured, on crops of
photographs. Debian has both: apt-get install dataset-fashion-mnist lomiri-wallpapers-16.04.

    segmentation.py [SHARE]      of the lengths below (1)

The encoder learns from LOOKED images without masks: USP's on latents, or a masked autoencoder on pixels,
for PRETRAINING steps of 128; or not at all. The head learns from LABELLED images with masks for HEADS steps
of 16, and is measured on others, with other garments and other photographs. Every side has as many tokens, the same
encoder, steps and images. Writes segmentation.json (mIoU, mAcc, aAcc) and segmentation.png: image, truth, and
what each of the six says.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import usp

SIDE, CLASSES, LOOKED, LABELLED, MEASURED = 64, 11, 4000, 1200, 300
PRETRAINING, HEADS = 1000, {"linear": 2000, "upernet": 400}
PHOTOGRAPHS, FASHION = Path("/usr/share/backgrounds"), Path("/usr/share/datasets/fashion-mnist")
#: what is measured on, and shown: free to show under CC-BY-4.0
HELD_OUT = ("Picture_0B_by_freespace", "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
            "sunset_by_Aitzol_Berasategi")
NETWORK = dict(width=128, depth=6, heads=4)
PALETTE = np.array([
    [0, 0, 0], [230, 60, 60], [60, 160, 240], [250, 200, 40], [60, 190, 90], [180, 90, 220], [250, 130, 40],
    [240, 120, 190], [40, 210, 210], [160, 110, 60], [150, 220, 60]], np.uint8)


def garments(part):
    """Pictures [N, 28, 28] and their classes, 1 to 10."""
    pixels, labels = (
        np.frombuffer(gzip.open(FASHION / f"{part}-{name}-ubyte.gz").read(), np.uint8)
        for name in ("images-idx3", "labels-idx1"))
    return pixels[16:].reshape(-1, 28, 28), labels[8:] + 1


def photographs():
    """Two lists of pixels, some 512 high: to learn from, and held out."""
    found = [], []
    for path in sorted(PHOTOGRAPHS.glob("*_by_*.jpg")):
        pixels = usp.images.open(path)[..., :3]
        step = max(min(pixels.shape[:2]) // 512, 1)
        found[path.stem in HELD_OUT].append(shrunk(pixels, step))
    return found


def shrunk(pixels, step):
    height, width = (side // step * step for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step, -1)
    return blocks.mean((1, 3), np.float32).astype(np.uint8)


def between(inside, axis):
    """Where something is on both sides."""
    behind = np.flip(np.maximum.accumulate(np.flip(inside, axis), axis), axis)
    return np.maximum.accumulate(inside, axis) & behind


def turned(picture, side, angle):
    """Values and silhouette, 0 to 1, of another size and turned."""
    inside = picture > 8
    inside = between(inside, 0) & between(inside, 1)  # dark parts inside are the garment's, too
    reach = int(1.42 * side) + 1
    y, x = (np.indices((reach, reach)) - (reach - 1) / 2) * 28 / side
    rows = np.clip(np.cos(angle) * y - np.sin(angle) * x + 14.5, 0, 29)
    columns = np.clip(np.sin(angle) * y + np.cos(angle) * x + 14.5, 0, 29)
    top, left = rows.astype(int), columns.astype(int)
    down, right = rows - top, columns - left

    def sampled(values):
        values = np.pad(values, (1, 2))
        upper = values[top, left] * (1 - right) + values[top, left + 1] * right
        lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
        return upper * (1 - down) + lower * down
    return sampled(picture / 255), sampled(inside * 1.0)


def composition(generator, pictures, labels, photographs):
    """An image [SIDE, SIDE, 3] of 2 to 5 garments, and the class of each pixel."""
    photograph = photographs[generator.integers(len(photographs))]
    step = generator.integers(1, min(photograph.shape[:2]) // SIDE + 1)
    top, left = (generator.integers(side - step * SIDE + 1) for side in photograph.shape[:2])
    image = np.zeros((3 * SIDE, 3 * SIDE, 3))
    mask = np.zeros(image.shape[:2], np.uint8)
    middle = (slice(SIDE, 2 * SIDE),) * 2
    image[middle] = shrunk(photograph[top:top + step * SIDE, left:left + step * SIDE], step)
    for index in generator.integers(len(pictures), size=generator.integers(2, 6)):
        values, inside = turned(
            pictures[index], generator.uniform(28, 48), generator.uniform(-0.6, 0.6))
        y, x = generator.integers(SIDE + 6, 2 * SIDE - 6, 2) - len(values) // 2
        part = slice(y, y + len(values)), slice(x, x + len(values))
        colour = 255 * values[..., None] * generator.uniform(0.3, 1, 3)
        image[part] += inside[..., None] * (colour - image[part])
        mask[part][inside > 0.5] = labels[index]
    return image[middle].astype(np.uint8), mask[middle]


def made(count, part, photographs, seed, folder):
    """Images, and the first ones' files with masks in two folders."""
    generator, garment = np.random.default_rng(seed), garments(part)
    pairs = [composition(generator, *garment, photographs) for _ in range(count)]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, (image, mask) in enumerate(pairs[:LABELLED]):
        usp.images.save(folder / "images" / f"{number:04}.png", image)
        usp.images.save(folder / "masks" / f"{number:04}.png", mask)
    return np.stack([image for image, _mask in pairs]), np.stack([mask for _image, mask in pairs])


def pretrained(inputs, patch, steps, folder):
    """A masked autoencoder of these latents, or pixels."""
    path = str(folder / "inputs.safetensors")
    usp.Checkpoint({"latents": inputs}).save(path)
    run = usp.pretrain(
        usp.Data(path), steps=steps, batch=min(128, len(inputs)), rate=1e-3, warmup_epochs=1, patch=patch,
        decoder_width=96, decoder_depth=2, decoder_heads=3, **NETWORK)
    return run.model


def shown(image, mask):
    return np.where(mask[..., None] > 0, 0.35 * image + 0.65 * PALETTE[mask], image).astype(np.uint8)


def main():
    if not FASHION.is_dir() or not any(PHOTOGRAPHS.glob("*_by_*.jpg")):
        sys.exit("apt-get install dataset-fashion-mnist lomiri-wallpapers-16.04")
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1
    looked, measured = max(int(share * LOOKED), 64), max(int(share * MEASURED), 6)
    length = max(int(share * PRETRAINING), 2)
    vae = usp.VAE.load("small")  # comes along: 4 image pixels to a latent one
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        learned, held_out = photographs()
        images, _masks = made(looked, "train", learned, 1, folder / "train")
        others, truths = made(measured, "t10k", held_out, 2, folder / "val")
        train, val = (
            usp.Data(folder / name / "images", masks=str(folder / name / "masks"), size=SIDE)
            for name in ("train", "val"))
        pixels = usp.images.from_uint8(images)
        latents = np.concatenate([vae.encode(part).mean for part in np.array_split(pixels, looked // 64)])
        starts = {
            "USP, on latents": (vae, pretrained(latents, 2, length, folder)),
            "masked autoencoder, on pixels": (None, pretrained(pixels, 8, length, folder)),
            "from scratch, on latents": (vae, None)}
        rows, pictures = [], [others, [shown(*pair) for pair in zip(others, truths)]]
        for head, steps in HEADS.items():
            for name, (encoder, start) in starts.items():
                patch = 2 if encoder else 8
                sizes = dict(start=start) if start else dict(
                    model="Segmenter-B/2", patch=patch, **NETWORK)
                if head == "upernet":  # rates that fall towards the first blocks are for pretrained ones
                    sizes.update(head_channels=64, layer_decay=0.75 if start else 1)
                done = usp.segment(
                    train, encoder, classes=CLASSES, head=head, val=val, batch=16, rate=1e-3,
                    steps=max(int(share * steps), 2), **sizes)
                masks = done.model.predict(usp.images.from_uint8(others[:64]), vae=encoder)
                pictures.append([shown(*pair) for pair in zip(others, masks)])
                rows.append(dict(head=head, start=name, **done.metrics))
                print(f"{head:8} {name:30} " + "  ".join(
                    f"{key} {100 * value:.2f}" for key, value in done.metrics.items()), flush=True)
    Path("segmentation.json").write_text(json.dumps(rows, indent=1))
    usp.images.save("segmentation.png", usp.images.grid(
        np.stack([column[row] for row in range(6) for column in pictures]), len(pictures), gap=2))


if __name__ == "__main__":
    main()
