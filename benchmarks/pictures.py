#!/usr/bin/env python3
"""From JPEGs, beside PyTorch with its DataLoader, torchvision and Pillow: the loader alone, a pretraining
step, and pictures by DDPM's steps. Needs USP_LIBRARY or an installed usp; the peer's Python has torch,
torchvision, diffusers, safetensors.

    pictures.py --peers path/to/python [--rows loader,pretrain,sample] [--rounds 5]

Pictures are drawn and written by Pillow, in the peer's Python or this one. Both sides take turns, and who does not run is stopped. `loader`: 64 images of 500 x 375, each a random crop
of 20 to 100 % of the area, bicubic and antialiased to 224 x 224, mirrored half of the time, -1 to 1.
`pretrain`: 32 such crops of 112 x 112 through an autoencoder of factor 4 (the one that comes with usp), a
masked autoencoder's step on the latents (MAE-S/2, three quarters hidden, AdamW). PyTorch loads by as many
workers as --workers says, beside the step before, as DataLoader does; usp loads when a step asks. `sample`:
8 pictures by DiT-S/2, guided, --steps of DDPM, decoded (256 x 256, an autoencoder of factor 8 with random
weights). f32.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

#: images of a run, and side of a crop
SIZES = {"loader": (64, 224), "pretrain": (32, 112), "sample": (8, 256)}
PICTURES, GUIDED = 256, 4.0


def draw(folder):
    """Pictures of 500 x 375 with structure at all sizes, as photographs have it."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    target = folder / "pictures" / "all"
    target.mkdir(parents=True)
    for number in range(PICTURES):
        image = np.zeros((375, 500, 3))
        for cells in (3, 9, 27, 81, 250):
            rows, columns = cells * 3 // 4 + 2, cells + 2
            y, x = np.arange(375) * (rows - 2) / 375, np.arange(500) * (columns - 2) / 500
            value = generator.normal(size=(rows, columns, 3))
            top, left = y.astype(int), x.astype(int)
            down, right = (y - top)[:, None, None], (x - left)[None, :, None]
            upper = value[top][:, left] * (1 - right) + value[top][:, left + 1] * right
            lower = value[top + 1][:, left] * (1 - right) + value[top + 1][:, left + 1] * right
            image += (upper * (1 - down) + lower * down) * cells ** -0.7
        pixels = np.clip(128 + 90 * image, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(target / f"{number:04}.jpg", quality=90)


class Ours:
    def __init__(self, row, given):
        import usp

        self.usp, self.row, self.number = usp, row, 0
        self.count, size = SIZES[row]
        usp.set_threads(given.threads)
        pictures = dict(batch=self.count, size=size, augmentation="pretraining")
        if row == "sample":
            self.model = usp.DiT.load(str(given.folder / "sample" / "weights.safetensors"))
            self.vae = usp.VAE.load(str(given.folder / "decode" / "weights.safetensors"))
            self.process = usp.Diffusion(str(given.steps))
            self.run()
            return
        self.data = usp.Data(
            given.folder / "pictures", vae=usp.VAE.load("small") if row == "pretrain" else None,
            **pictures)
        if row == "pretrain":
            self.trainer = usp.Trainer(
                usp.create("MAE-S/2", grid=14), rate=1e-4, beta2=0.95, weight_decay=0.05)

    def run(self):
        self.number += 1
        if self.row == "sample":
            return self.usp.sample(
                self.model, self.vae, classes=list(range(self.count)), cfg_scale=GUIDED,
                process=self.process)
        batch = self.data.batch(self.number)
        return self.trainer.step(*batch) if self.row == "pretrain" else batch


class Torch:
    def __init__(self, row, given):
        sys.path.append(str(HERE.parent / "Tests/Golden"))
        from environment import allow_torchvision

        allow_torchvision()
        import torch
        from torchvision import datasets, transforms

        self.torch, self.row = torch, row
        self.count, size = SIZES[row]
        torch.set_num_threads(given.threads)
        if row == "sample":
            self.prepare_sampling(given)
            return
        steps = transforms.Compose([
            transforms.RandomResizedCrop(size, (0.2, 1), interpolation=3),
            transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3)])
        self.loader = torch.utils.data.DataLoader(
            datasets.ImageFolder(str(given.folder / "pictures"), steps), batch_size=self.count,
            shuffle=True, drop_last=True, num_workers=given.workers,
            persistent_workers=given.workers > 0)
        self.batches = iter(self.loader)
        if row == "pretrain":
            self.prepare_training(given)

    def prepare_training(self, given):
        from diffusers import AutoencoderKL

        from peer_models import MaskedAutoencoder

        self.vae = AutoencoderKL.from_pretrained(str(given.folder / "small")).eval()
        model = MaskedAutoencoder("S", 196)
        for name, value in model.named_parameters():
            if value.dim() > 1:
                self.torch.nn.init.normal_(value, std=0.02)
        for name in ("pos_embed", "decoder_pos_embed"):
            getattr(model, name).requires_grad_(False)
        self.model = model.train()
        self.optimizer = self.torch.optim.AdamW(
            [value for value in model.parameters() if value.requires_grad], lr=1e-4,
            betas=(0.9, 0.95), weight_decay=0.05, fused=True)

    def prepare_sampling(self, given):
        from peer_network import network
        from safetensors.torch import load_file

        works = sampled()
        self.model, self.decoder = (
            network(work, load_file(given.folder / name / "weights.safetensors"))
            for name, work in works.items())
        self.steps = [round(i * 999 / max(given.steps - 1, 1)) for i in range(given.steps)]
        kept = self.torch.cumprod(
            1 - self.torch.linspace(1e-4, 0.02, 1000, dtype=self.torch.float64), 0)[self.steps]
        before = self.torch.cat([self.torch.ones(1, dtype=kept.dtype), kept[:-1]])
        self.levels = [(float(a), float(b)) for a, b in zip(kept, before)]

    def batch(self):
        try:
            return next(self.batches)[0]
        except StopIteration:
            self.batches = iter(self.loader)
            return next(self.batches)[0]

    def run(self):
        if self.row == "sample":
            return self.pictures()
        images = self.batch()
        if self.row == "loader":
            return images
        with self.torch.no_grad():
            latents = self.vae.encode(images).latent_dist.mean
        loss = self.model(latents, self.torch.rand(len(latents), 196))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def pictures(self):
        torch = self.torch
        with torch.inference_mode():
            x = torch.randn(self.count, 4, 32, 32)
            labels = torch.cat([torch.arange(self.count), torch.full((self.count,), 1000)])
            for place in reversed(range(len(self.steps))):
                bar, previous = self.levels[place]
                times = torch.full((2 * self.count,), self.steps[place])
                guided, null = self.model(torch.cat([x, x]), times, labels).chunk(2)
                noise, variance = guided.chunk(2, dim=1)
                noise[:, :3] = null[:, :3] + GUIDED * (noise[:, :3] - null[:, :3])
                beta, alpha = 1 - bar / previous, bar / previous
                start = (x - (1 - bar) ** 0.5 * noise) / bar ** 0.5
                mean = (beta * previous ** 0.5 * start + (1 - previous) * alpha ** 0.5 * x) / (1 - bar)
                least = max(beta * (1 - previous) / (1 - bar), 1e-20)
                share = (variance + 1) / 2
                scale = (share * torch.tensor(beta).log() + (1 - share) * torch.tensor(least).log()) / 2
                x = mean + (scale.exp() * torch.randn_like(x) if place else 0)
            images = torch.cat([self.decoder(part[None] / 0.18215) for part in x])
            return (images.clamp(-1, 1) * 127.5 + 128).to(torch.uint8)


def sampled():
    from works import Work

    return {"sample": Work("s", "", "dit", "forward", "S", 8, 32),
            "decode": Work("d", "", "vae", "decode", "f8", 1, 256)}


def prepare(folder, python):
    import store
    import usp

    if not (folder / "pictures").is_dir():
        subprocess.run([python, __file__, "--worker", "draw", "--folder", str(folder)], check=True)
    usp.VAE.load("small").save_pretrained(folder / "small", layout="diffusers")
    for name, work in sampled().items():
        made = store.prepare(work, store.root(folder / "weights"))
        (folder / name).unlink(missing_ok=True)  # of other sources
        (folder / name).symlink_to(made)


def worker(given):
    if given.worker == "draw":
        return draw(given.folder)
    from peers import serve

    side = (Ours if given.worker == "usp" else Torch)(given.row, given)
    side.array = lambda _result: 0.0
    serve(side, "forward")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="a Python with torch, torchvision and diffusers")
    parser.add_argument("--rows", default="loader,pretrain,sample")
    for name, default in (("rounds", 5), ("threads", 2), ("workers", 2), ("steps", 250)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/usp-pictures"))
    parser.add_argument("--json", help="a file for the numbers")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return worker(given)
    from contender import Contender, Failed

    sys.path.append(str(HERE.parent / "bindings/python"))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(HERE.parent / "bindings/python"), os.environ.get("PYTHONPATH")]))
    given.folder.mkdir(parents=True, exist_ok=True)
    prepare(given.folder, given.peers or sys.executable)
    words = [str(word) for name in ("threads", "workers", "steps", "folder")
             for word in (f"--{name}", getattr(given, name))]
    found = []
    for row in given.rows.split(","):
        sides = []
        try:
            for name, python in (("usp", sys.executable), ("torch", given.peers)):
                if python:
                    command = [python, __file__, "--worker", name, "--row", row, *words]
                    sides.append(Contender(name, command, given.threads))
            for turn in range(given.rounds + 1):
                for side in sides:  # the first turn warms up; what was read ahead is a few batches
                    side.run(20 if row == "loader" else 1, counted=turn > 0)
            told = {side.name: statistics.mean(side.seconds) if row == "loader"
                    else statistics.median(side.seconds) for side in sides}
            found.append({"row": row, "images": SIZES[row][0], **told})
            text = "  ".join(f"{name} {SIZES[row][0] / value:.1f} images/s" for name, value in told.items())
            ratio = f"  ratio {told['torch'] / told['usp']:.2f}" if "torch" in told else ""
            print(f"{row:10} {text}{ratio}", flush=True)
        except Failed as error:
            print(f"{row} is left out: {error}", flush=True)
        finally:
            for side in sides:
                side.close()
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
