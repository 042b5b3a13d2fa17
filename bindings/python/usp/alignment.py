"""Representation alignment (REPA): what its teachers are shown."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence

import numpy as np

from ._arrays import as_tensor, result
from ._call import call, encoded
from ._library import lib


def prepare(images: Any, encoder: str = "dinov2", *, size: Optional[int] = None) -> np.ndarray:
    """Images as a teacher takes them, by REPA's preprocessing: [B, 3, H', W'] float32.

    Parameters
    ----------
    images : uint8 [B, 3, H, W]
    encoder : "dinov2", "jepa", "clip", "mae", "mocov3" or "dinov1"
        ImageNet's mean and deviation, CLIP's for "clip".
    size : side of the square that the images become
        None is REPA's rule: 224 for each whole 256 columns ("dinov2", "jepa", "clip": bicubic without
        antialiasing), or the images as they are.

    Examples
    --------
    >>> images = np.full((1, 3, 256, 256), 128, np.uint8)
    >>> usp.alignment.prepare(images).shape, usp.alignment.prepare(images, "mae").shape
    ((1, 3, 224, 224), (1, 3, 256, 256))
    """
    tensor, array = as_tensor(images, "images", dtype=np.uint8, shape=["B", 3, "H", "W"])
    height, width = ctypes.c_int64(), ctypes.c_int64()
    name, side = encoded(encoder), size or 0
    call(
        lib.usp_alignment_size, name, array.shape[2], array.shape[3], side, ctypes.byref(height),
        ctypes.byref(width))
    out, values = result(None, (len(array), 3, height.value, width.value))
    call(lib.usp_alignment_prepare, ctypes.byref(tensor), name, side, ctypes.byref(out))
    return values


__all__: Sequence[str] = ["prepare"]
