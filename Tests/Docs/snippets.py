#!/usr/bin/env python3
"""Runs what the documentation shows: fenced blocks of each page, in order, in a folder of its own.

`python` blocks of a page share one namespace; `sh` blocks run with -e, with `usp` on the path. Blocks in
other languages (`console` for what needs a network, a mirror or weights that are not at hand) are not
run; examples that pages include are built and run by examples/run.sh. The folder holds what a reader
would bring: photos/{train,val}/{forest,water}/*.png and vae.safetensors, small ones.

    snippets.py PAGE...        needs USP_TOOL, the path of the tool
"""

import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import usp

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)


def where(page, text, start):
    return f"{page}:{text.count(chr(10), 0, start) + 1}"


def run_shell(code, place):
    done = subprocess.run(["sh", "-eu"], input=code, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{place}: ended with {done.returncode}\n{done.stdout}{done.stderr}")


def run_page(page):
    text = Path(page).read_text()
    namespace, count = {"__name__": "__main__"}, 0
    for block in FENCE.finditer(text):
        place = where(page, text, block.start(2))
        if block[1] == "python":
            # the line numbers of errors are the page's
            code = "\n" * text.count("\n", 0, block.start(2)) + block[2]
            exec(compile(code, page, "exec"), namespace)
        elif block[1] == "sh":
            run_shell(block[2], place)
        else:
            continue
        count += 1
    return count


def png(pixels):
    """A file of [H, W, 3] values of 0 to 255."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = np.pad(pixels.astype(np.uint8).reshape(len(pixels), -1), ((0, 0), (1, 0)))
    size = struct.pack(">IIBBBBB", pixels.shape[1], len(pixels), 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bring(folder):
    """Photographs of two classes, and an autoencoder of factor 8."""
    random = np.random.default_rng(0)
    for part in "train", "val":
        for name in "forest", "water":
            place = folder / "photos" / part / name
            place.mkdir(parents=True)
            for number in range(8):
                (place / f"{number}.png").write_bytes(png(random.integers(0, 256, (40, 48, 3))))
    usp.VAE.create(
        base_width=8, multipliers=(1, 1, 1, 1), blocks_per_level=1, latent_channels=4, groups=4, seed=0
    ).save(str(folder / "vae.safetensors"))


def main(pages):
    tool, pages = Path(os.environ["USP_TOOL"]).resolve(), [os.path.abspath(page) for page in pages]
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(tool, Path(folder, "usp"))
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        total = 0
        for number, page in enumerate(pages):
            work = Path(folder, str(number))
            work.mkdir()
            bring(work)
            os.chdir(work)
            with open(os.devnull, "w") as silence:
                shown, sys.stdout = sys.stdout, silence
                try:
                    total += run_page(page)
                finally:
                    sys.stdout = shown
    if not total:
        sys.exit("documentation: no blocks were run")
    print(f"documentation: {total} blocks of {len(pages)} pages")


main(sys.argv[1:])
