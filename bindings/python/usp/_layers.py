"""Arrays of what is behind the blocks of a transformer."""

from __future__ import annotations

import ctypes
import operator
from typing import Any, List, Sequence, Tuple

import numpy as np

from . import _abi
from ._arrays import result
from ._call import call
from ._errors import ArgumentError


def layer_arrays(
    function: Any, inputs: Sequence[Any], layers: Sequence[int], tokens: bool,
    shape: Tuple[int, int, int],
) -> List[np.ndarray]:
    """[B, T, D] of each block, or [B, D]."""
    several: Any = layers if np.ndim(layers) else [layers]
    numbers = [operator.index(layer) for layer in several]
    if not numbers:
        raise ArgumentError("layers: none, expected one or more")
    extents = shape if tokens else (shape[0], shape[2])
    made = [result(None, extents) for _ in numbers]
    outs = (_abi.usp_tensor * len(made))(*(target for target, _ in made))
    call(
        function, *inputs, (ctypes.c_int64 * len(numbers))(*numbers), len(numbers), int(tokens),
        outs)
    return [array for _, array in made]
