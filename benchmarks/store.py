"""Writes what both sides read: weights as safetensors, inputs as raw arrays."""

import json
import struct

from works import inputs, random_weight, shapes

KINDS = {"float32": "f32", "int64": "i64"}


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
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in named.items():
            random_weight(name, shape).astype("<f4").tofile(file)


def write_inputs(work, folder):
    """Each input as NAME.f32 or NAME.i64 in row-major order."""
    for name, array in inputs(work).items():
        array.tofile(folder / f"{name}.{KINDS[str(array.dtype)]}")


def prepare(work, root):
    """A folder with everything that a run of this work reads; weights are shared between works."""
    weights = root / f"{work.family}-{work.model}-{work.size if work.family != 'vae' else 0}"
    weights = weights.with_suffix(".safetensors")
    if not weights.exists():
        write_weights(work, weights)
    folder = root / work.key
    folder.mkdir(exist_ok=True)
    link = folder / "weights.safetensors"
    if not link.exists():
        link.symlink_to(weights)
        write_inputs(work, folder)
    return folder
