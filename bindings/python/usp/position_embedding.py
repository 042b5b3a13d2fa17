"""Tables of two-dimensional positions."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ._arrays import as_tensor, result
from ._call import call
from ._library import lib
from ._model import Grid, grid_sides


def sincos(dim: int, grid: Grid) -> np.ndarray:
    """Sines and cosines of MAE and DiT: [rows * columns, dim] float32."""
    height, width = grid_sides(grid)
    tensor, array = result(None, (height * width, dim))
    call(lib.usp_position_sincos, height, width, ctypes.byref(tensor))
    return array


def rope(width: int, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of two-dimensional rotary positions: each [rows * columns, width] float32.

    `width` is a head's, a multiple of 4: its first half turns by the row, the second by the column.
    """
    height, columns = grid_sides(grid)
    cos, cosines = result(None, (height * columns, width))
    sin, sines = result(None, (height * columns, width))
    call(lib.usp_position_rope, height, columns, ctypes.byref(cos), ctypes.byref(sin))
    return cosines, sines


def resize(table: Any, old: Grid, new: Grid, *, antialias: bool = False) -> np.ndarray:
    """A table for another grid, bicubic as torch's interpolate (align_corners=False).

    `table` is [T, D] or [1, T, D]; rows in front of the grid's (class tokens) are kept.
    `antialias` resamples as timm does.
    """
    (old_height, old_width), (new_height, new_width) = grid_sides(old), grid_sides(new)
    tensor, array = as_tensor(table, "table")
    is_batched = array.ndim == 3 and array.shape[0] == 1
    if is_batched:
        tensor, array = as_tensor(array[0], "table", shape=["T", "D"])
    else:
        tensor, array = as_tensor(array, "table", shape=["T", "D"])
    rows = max(array.shape[0] - old_height * old_width, 0) + new_height * new_width
    out, resized = result(None, (rows, array.shape[1]))
    call(
        lib.usp_position_resize, ctypes.byref(tensor), old_height, old_width, new_height,
        new_width, int(antialias), ctypes.byref(out))
    return resized[None] if is_batched else resized
