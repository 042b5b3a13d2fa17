"""Noise, one random stream a sample."""

from __future__ import annotations

import ctypes
import os
from operator import index
from typing import Any, Optional, Sequence

import numpy as np

from ._arrays import result
from ._call import call, encoded
from ._errors import ArgumentError
from ._library import lib


def drawn(seed: Optional[int]) -> int:
    """The seed, or for None one that nobody has had."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    try:
        return index(seed)
    except TypeError:
        raise ArgumentError(f"seed: {seed!r}, expected a whole number, or None") from None


def normal(shape: Sequence[int], seed: Optional[int] = 0, out: Optional[Any] = None) -> np.ndarray:
    """Standard normal noise, float32.

    The first axis counts samples, each with a stream of its own: the first samples of a larger
    batch are those of a smaller one. Seed None draws afresh.

    Examples
    --------
    >>> few, many = usp.random.normal((2, 3), seed=7), usp.random.normal((5, 3), seed=7)
    >>> bool((few == many[:2]).all())
    True
    """
    tensor, array = result(out, shape)
    call(lib.usp_random_normal, drawn(seed), ctypes.byref(tensor))
    return array


def torch_normal(
    shape: Sequence[int], seed: Optional[int] = 0, device: str = "cpu", out: Optional[Any] = None
) -> np.ndarray:
    """The numbers of torch.randn(shape) after torch.manual_seed(seed), on "cpu" or "cuda".

    Examples
    --------
    >>> [round(float(value), 4) for value in usp.random.torch_normal((3,), seed=0)]
    [1.541, -0.2934, -2.1788]
    """
    tensor, array = result(out, shape)
    call(lib.usp_random_torch, encoded(device), drawn(seed), ctypes.byref(tensor))
    return array
