"""Noise, one random stream a sample."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence

import numpy as np

from ._arrays import result
from ._call import call, encoded
from ._library import lib


def normal(shape: Sequence[int], seed: int = 0, out: Optional[Any] = None) -> np.ndarray:
    """Standard normal noise, float32.

    The first axis counts samples, each with a stream of its own: the first samples of a larger
    batch are those of a smaller one.
    """
    tensor, array = result(out, shape)
    call(lib.usp_random_normal, seed, ctypes.byref(tensor))
    return array


def torch_normal(
    shape: Sequence[int], seed: int = 0, device: str = "cpu", out: Optional[Any] = None
) -> np.ndarray:
    """The numbers of torch.randn(shape) after torch.manual_seed(seed), on "cpu" or "cuda"."""
    tensor, array = result(out, shape)
    call(lib.usp_random_torch, encoded(device), seed, ctypes.byref(tensor))
    return array
