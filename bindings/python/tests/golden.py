"""Reads the golden tensors of Tests/Golden with numpy alone."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[3] / "Tests" / "Golden"
TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "U8": "u1", "BOOL": "?"}
MANIFEST = json.loads((FOLDER / "MANIFEST.json").read_text())


def load(case):
    """name -> array of a case such as "diffusion/losses"."""
    data = (FOLDER / MANIFEST[case]["file"]).read_bytes()
    size = int.from_bytes(data[:8], "little")
    result = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            array = np.frombuffer(data[start:end], TYPES[entry["dtype"]])
            result[name] = array.reshape(entry["shape"])
    return result


def params(case):
    """The path of the checkpoint that a case runs."""
    return str(FOLDER / MANIFEST[case]["params"])


def difference(value, reference):
    """Largest absolute difference over the largest absolute reference."""
    reference = np.asarray(reference, np.float64)
    scale = max(float(np.abs(reference).max(initial=0)), 1e-30)
    return float(np.abs(np.asarray(value, np.float64) - reference).max(initial=0)) / scale
