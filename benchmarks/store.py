"""Writes what both sides read: weights as safetensors, inputs as raw arrays."""

import json
import shutil
import struct
import zlib
from pathlib import Path

from arrays import inputs, random_weight, shapes

KINDS = {"float32": "f32", "int64": "i64", "uint8": "u8"}
# What the files depend on, beside the sizes that name them.
SOURCES = (
    "arrays.py", "store.py", "peer_models.py", "peer_mar.py", "peer_segmentation.py", "peer_inception.py",
    "peer_network.py", "peer_export.py")


def root(folder):
    """The part of the folder that belongs to these sources; what others left is removed."""
    here = Path(__file__).resolve().parent
    stamp = zlib.crc32(b"".join((here / name).read_bytes() for name in SOURCES))
    current = folder / f"files-{stamp:08x}"
    for other in folder.glob("files-????????"):
        if other != current:
            shutil.rmtree(other)
    current.mkdir(parents=True, exist_ok=True)
    return current


def write_weights(work, path):
    """Random weights of a work as a safetensors file; one tensor in memory at a time."""
    header, offset, named = {}, 0, shapes(work)
    for name, shape in named.items():
        count = 4
        for extent in shape:
            count *= extent
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + count]}
        offset += count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in named.items():
            random_weight(name, shape).astype("<f4").tofile(file)
    unfinished.rename(path)


def write_inputs(work, folder):
    """Each input as NAME.f32, NAME.i64 or NAME.u8 in row-major order."""
    for name, array in inputs(work).items():
        array.tofile(folder / f"{name}.{KINDS[str(array.dtype)]}")


def prepare(work, root):
    """A folder with everything that a run of this work reads, shared by works of the same sizes."""
    weights = root / f"{work.family}-{work.model}-{work.size if work.family != 'vae' else 0}"
    weights = weights.with_suffix(".safetensors")
    if not weights.exists():
        write_weights(work, weights)
    task = f"{work.task}{work.iterations or ''}{'-fewer' if work.last_steps else ''}"
    folder = root / f"{work.family}-{task}-{work.model}-{work.batch}-{work.size}"
    folder.mkdir(exist_ok=True)
    link = folder / "weights.safetensors"
    if not link.exists():
        write_inputs(work, folder)
        link.symlink_to(weights)
    return folder
