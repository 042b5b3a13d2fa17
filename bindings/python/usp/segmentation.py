"""Steps of segmentation's published pipelines: rescaling, colours, windows over large images.

Images are uint8 [H, W, 3], RGB; masks are uint8 [H, W], indices of classes, 255 for none.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from . import _abi
from ._arrays import as_numpy, as_tensor, result
from ._call import call, options
from ._errors import ArgumentError
from ._library import lib
from ._model import Grid, grid_sides
from .random import drawn


def rescaled_size(size: Tuple[int, int], short: int, long: int) -> Tuple[int, int]:
    """The largest (height, width) of the same shape with a shorter side of at most `short` and a
    longer of at most `long`, rounded: (480, 640) in 512 and 2048 is (512, 683)."""
    height, width = ctypes.c_int64(), ctypes.c_int64()
    call(
        lib.usp_segmentation_rescaled_size, size[0], size[1], short, long, ctypes.byref(height),
        ctypes.byref(width))
    return height.value, width.value


def resize(image: Any, mask: Any, size: Tuple[int, int]) -> Tuple[Any, Any]:
    """An image and its mask of another (height, width); either may be None.

    The image [H, W, C] are the bytes of OpenCV's bilinear resize, without antialiasing; the mask's
    label at (i, j) is the old one at (floor(i H / H'), floor(j W / W')).
    """
    resized = None
    if image is not None:
        tensor, array = as_tensor(image, "image", dtype=np.uint8, shape=["H", "W", "C"])
        out, resized = result(None, (*size, array.shape[2]), dtype=np.uint8)
        call(lib.usp_segmentation_resize, ctypes.byref(tensor), ctypes.byref(out))
    if mask is None:
        return resized, None
    tensor, _keep = as_tensor(mask, "mask", dtype=np.uint8, shape=["H", "W"])
    out, labels = result(None, size, dtype=np.uint8)
    call(lib.usp_segmentation_resize_labels, ctypes.byref(tensor), ctypes.byref(out))
    return resized, labels


def reduce_zero_label(mask: Any) -> np.ndarray:
    """ADE20K's rule: 0 becomes 255, the rest moves down by one, 255 stays."""
    tensor, array = as_tensor(mask, "mask", dtype=np.uint8, shape=["H", "W"])
    out, reduced = result(None, array.shape, dtype=np.uint8)
    call(lib.usp_segmentation_reduce_zero_label, ctypes.byref(tensor), ctypes.byref(out))
    return reduced


def distort(
    image_u8_rgb: Any, *,
    # options: usp_distortion_options
    brightness: Optional[float] = None, contrast: Optional[float] = None,
    saturation: Optional[float] = None, hue: Optional[float] = None, contrast_first: bool = True,
    # end of options
) -> np.ndarray:
    """An image with other colours; each step is cut to 0 ... 255 and rounded towards zero.

    mmsegmentation's PhotoMetricDistortion with what it drew; within 1 of OpenCV in each of
    saturation and hue, whose own variants differ as much.

    Other Parameters
    ----------------
    brightness : Optional[float], optional
        Added to every value. -1000000 to 1000000.
    contrast : Optional[float], optional
        Every value is multiplied by it. -1000000 to 1000000.
    saturation : Optional[float], optional
        The saturation (of HSV) is multiplied by it. -1000000 to 1000000.
    hue : Optional[float], optional
        Added to the hue, whose circle is 180; a whole number. -180 to 180.
    contrast_first : bool, default True
        Contrast comes before saturation and hue, else after them. Default: yes.
    """
    given = options(
        _abi.usp_distortion_options, brightness=brightness, contrast=contrast,
        saturation=saturation, hue=hue, contrast_first=contrast_first)
    tensor, array = as_tensor(image_u8_rgb, "image", dtype=np.uint8, shape=["H", "W", 3])
    out, changed = result(None, array.shape, dtype=np.uint8)
    call(
        lib.usp_segmentation_distort, ctypes.byref(tensor), ctypes.byref(given), ctypes.byref(out))
    return changed


class Sample(NamedTuple):
    """A training sample, of at most the crop's sides."""

    #: uint8 [h, w, 3]
    image: np.ndarray
    #: uint8 [h, w]
    mask: np.ndarray


def sample(
    image: Any, mask: Any, *, seed: Optional[int] = 0, index: int = 0,
    # options: usp_segmentation_options
    crop: int = 512, short_side: int = 512, long_side: int = 2048, least_scale: float = 0.5,
    most_scale: float = 2.0, category_share: float = 0.75, flip: float = 0.5, distort: bool = True,
    ignored: int = 255, reduce_zero_label: bool = False,
    # end of options
) -> Sample:
    """A training sample: rescaled by a random factor, cut, flipped, with other colours.

    Parameters
    ----------
    image, mask : uint8 [H, W, C] and [H, W]
    seed, index : each image of a set has a stream of its own

    Other Parameters
    ----------------
    crop : int, default 512
        Side of the square samples. 1 to 65536. Default: 512.
    short_side : int, default 512
        Shorter side that an image is rescaled into. 1 to 65536. Default: 512.
    long_side : int, default 2048
        Longer side that an image is rescaled into. 1 to 65536. Default: 2048.
    least_scale : float, default 0.5
        Least of the random factors of both sides. 0.01 to 100. Default: 0.5.
    most_scale : float, default 2.0
        Largest of these factors. 0.01 to 100. Default: 2.
    category_share : float, default 0.75
        A crop in which one class has this share of the labelled pixels is drawn anew, up to ten
        times; 1: any crop will do. 0 to 1. Default: 0.75.
    flip : float, default 0.5
        Chance of left and right being exchanged. 0 to 1. Default: 0.5.
    distort : bool, default True
        Brightness, contrast, saturation and hue change, each with a chance of a half. Default: yes.
    ignored : int, default 255
        The label that is no class. 0 to 255. Default: 255.
    reduce_zero_label : bool, default False
        Label 0 is no class and the others move down by one, as in ADE20K. Default: no.
    """
    given = options(
        _abi.usp_segmentation_options, crop=crop, short_side=short_side, long_side=long_side,
        least_scale=least_scale, most_scale=most_scale, category_share=category_share, flip=flip,
        distort=distort, ignored=ignored, reduce_zero_label=reduce_zero_label)
    picture, _a = as_tensor(image, "image", dtype=np.uint8, shape=["H", "W", "C"])
    labels, _b = as_tensor(mask, "mask", dtype=np.uint8, shape=["H", "W"])
    height, width = ctypes.c_int64(), ctypes.c_int64()
    arguments = (
        ctypes.byref(picture), ctypes.byref(labels), ctypes.byref(given), drawn(seed), index,
        ctypes.byref(height), ctypes.byref(width))
    call(lib.usp_segmentation_sample, *arguments, None, None)
    out, pixels = result(None, (height.value, width.value, 3), dtype=np.uint8)
    out_labels, classes = result(None, (height.value, width.value), dtype=np.uint8)
    call(
        lib.usp_segmentation_sample, *arguments, ctypes.byref(out), ctypes.byref(out_labels))
    return Sample(pixels, classes)


def windows(height: int, width: int, *, crop: Grid, stride: Grid) -> np.ndarray:
    """Where windows of a crop lie at a stride over an image: int64 [N, 4] of (y1, x1, y2, x2).

    Row by row; the last of each axis ends with the image, one that is larger than the image is cut
    to it. `crop` and `stride` are one side, or rows and columns.
    """
    sizes = (height, width, *grid_sides(crop), *grid_sides(stride))
    count = ctypes.c_int64()
    call(lib.usp_segmentation_window_count, *sizes, ctypes.byref(count))
    out, boxes = result(None, (count.value, 4), dtype=np.int64)
    call(lib.usp_segmentation_windows, *sizes, ctypes.byref(out))
    return boxes


def stitch(windows: Any, boxes: Any, height: int, width: int) -> np.ndarray:
    """The mean over windows of what they say of each place: float32 [.., H, W].

    Parameters
    ----------
    windows : float32 [N, .., h, w], or N arrays [.., h, w]
    boxes : int64 [N, 4], as `windows` gives them
    """
    if isinstance(windows, (list, tuple)):
        if not windows:
            raise ArgumentError("windows: none, expected one for each box")
        windows = np.stack([as_numpy(window, "windows")[0] for window in windows])
    tensor, array = as_tensor(windows, "windows")
    table, _keep = as_tensor(boxes, "boxes", dtype=np.int64, shape=["N", 4])
    out, whole = result(None, (*array.shape[1:-2], height, width))
    call(
        lib.usp_segmentation_stitch, ctypes.byref(tensor), ctypes.byref(table), ctypes.byref(out))
    return whole
