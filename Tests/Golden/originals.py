"""Access to the published diffusion and transport code, with its random draws replaced by ours."""

import contextlib
import importlib
import sys

import torch


def load(folder, package, module):
    """Import one module of a checkout; checkouts share names, so earlier ones are forgotten."""
    top = module.split(".")[0]
    for name in [name for name in sys.modules if name == top or name.startswith(top + ".")]:
        del sys.modules[name]
    sys.path.insert(0, str(folder / package))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.pop(0)


@contextlib.contextmanager
def injected(**queues):
    """Make torch functions (randn_like, randn, rand, randint) return given tensors in turn."""
    real = {name: getattr(torch, name) for name in queues}
    left = {name: iter(values) for name, values in queues.items()}
    try:
        for name in queues:
            setattr(torch, name, lambda *args, name=name, **kwargs: next(left[name]).clone())
        yield left
    finally:
        for name, function in real.items():
            setattr(torch, name, function)
