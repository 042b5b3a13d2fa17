"""Shared parts of the golden generators: seeded values, the case writer and its manifest."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "MANIFEST.json"

torch.set_num_threads(2)
torch.use_deterministic_algorithms(True)


def generator(name):
    """A generator whose seed is the CRC-32 of a name, so that cases do not depend on each other."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def normal(name, *shape, scale=1.0, mean=0.0, dtype=torch.float32):
    """Normal values that depend only on the name and the shape."""
    values = torch.randn(*shape, generator=generator(name), dtype=torch.float32)
    return (values * scale + mean).to(dtype)


def uniform(name, *shape):
    """Uniform values in [0, 1) that depend only on the name and the shape."""
    return torch.rand(*shape, generator=generator(name), dtype=torch.float32)


def integers(name, high, *shape):
    """Integers in [0, high) that depend only on the name and the shape."""
    return torch.randint(0, high, shape, generator=generator(name), dtype=torch.int64)


def randomise(module, name, skip=(), half=False):
    """Give every parameter of a module seeded normal values; norm weights are centred on 1.

    Matrices get a scale of 1/sqrt(fan in) so that activations keep their size; vectors and
    tokens get 0.2. `half` rounds to what float16 holds, so files may store the values in F16.
    """
    norm_kinds = (torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.BatchNorm1d)
    norm_weights = {
        f"{path}.weight" for path, child in module.named_modules() if isinstance(child, norm_kinds)
    }
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if key in skip:
                continue
            embedding = key.endswith(("embedding_table.weight", "pos_embed"))
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 0
            matrix = parameter.dim() in (2, 4) and not embedding
            scale = fan_in ** -0.5 if matrix else 0.2
            mean = 1.0 if key in norm_weights else 0.0
            values = normal(f"{name}/{key}", *parameter.shape, scale=scale, mean=mean)
            parameter.copy_(values.half().float() if half else values)
    return module


def error(actual, expected):
    """Largest absolute difference and normalised mean squared error of two tensors."""
    actual, expected = actual.double(), expected.double()
    difference = actual - expected
    energy = (expected ** 2).sum().item()
    return {
        "max_abs": difference.abs().max().item() if difference.numel() else 0.0,
        "nmse": (difference ** 2).sum().item() / energy if energy > 0 else 0.0,
    }


def plain(value):
    """Turn a config into what JSON holds."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    return value


class Case:
    """One golden file under construction: tensors, then save() writes it and its manifest line."""

    def __init__(self, name, source, config=None, tolerance=1e-5, params=None):
        self.name = name
        self.tensors = {}
        self.line = {
            "file": f"{name}.safetensors",
            "source": source,
            "config": plain(config or {}),
            "tolerance": {"nmse": tolerance ** 2, "max_abs_over_max": tolerance * 10},
            "torch": torch.__version__,
        }
        if params:
            self.line["params"] = f"{params}.safetensors"

    def put(self, key, value):
        """Store one tensor under an exact key: floats as f32, integers as they are."""
        if not isinstance(value, torch.Tensor):
            value = torch.as_tensor(value)
        value = value.detach()
        if value.dtype in (torch.float64, torch.bfloat16):
            value = value.float()
        if value.dtype == torch.bool:
            value = value.to(torch.int32)
        assert key not in self.tensors, key
        assert torch.isfinite(value.float()).all() or key.startswith("nonfinite."), key
        self.tensors[key] = value.contiguous().clone()
        return self

    def put_double(self, key, value):
        """Store one tensor in float64, for schedules that are computed in it."""
        self.tensors[key] = torch.as_tensor(value, dtype=torch.float64).contiguous().clone()
        return self

    def put_all(self, prefix, values):
        for key, value in values.items():
            self.put(f"{prefix}.{key}", value)
        return self

    def put_sampled(self, kind, key, value, full_up_to=1 << 62, stride=13):
        """Store one tensor as `kind.key`, or above a size every stride-th of its elements.

        Strides are primes above 3, so a sample meets all rows, columns and taps of a weight.
        """
        if value.numel() <= full_up_to:
            return self.put(f"{kind}.{key}", value)
        return self.put(f"{kind}_every{stride}.{key}", value.flatten()[::stride])

    def put_gradients(self, parameters, full_up_to=1 << 62, stride=13):
        """Store gradients of named parameters, large ones as samples."""
        for key, parameter in parameters:
            if parameter.grad is not None:
                self.put_sampled("grad", key, parameter.grad, full_up_to, stride)
        return self

    def note(self, key, value):
        self.line[key] = plain(value)
        return self

    def save(self):
        path = HERE / self.line["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors, path)
        record(self.name, self.line)


def record(name, line):
    """Put one line into the manifest, keeping the lines of other cases."""
    manifest = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    manifest[name] = line
    text = json.dumps(dict(sorted(manifest.items())), indent=1)
    MANIFEST.write_text(text + "\n")


def save_params(name, state, source, half=False):
    """Write bare parameters (a loadable checkpoint), remembered in the manifest as `params`."""
    path = HERE / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        key: (value.detach().half() if half else value.detach().float()).contiguous().clone()
        if value.is_floating_point() else value.detach().clone()
        for key, value in state.items()
    }
    save_file(kept, path)
    record(name, {"file": f"{name}.safetensors", "source": source, "kind": "params",
                  "torch": torch.__version__})


def load_params(name):
    return load_file(HERE / f"{name}.safetensors")
