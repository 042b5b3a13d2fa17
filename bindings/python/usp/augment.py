"""Changes to images on their way into training: RandAugment, random erasing, mixup, CutMix.

Images are uint8 [H, W, 3], RGB; what operations make of them are Pillow's bytes.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple, Optional

import numpy as np

from . import _abi
from ._arrays import as_tensor, result, vector
from ._call import call, encoded, options
from ._library import lib
from .random import drawn


def operation(image_u8: Any, name: str, argument: Optional[float] = None) -> np.ndarray:
    """One of RandAugment's operations, by timm's name and with its argument.

    What comes from outside of the image is grey 128, found bicubically; results are the bytes that
    Pillow makes.

    Parameters
    ----------
    image_u8 : uint8 [H, W, 3], RGB
    name, argument :
        ShearX, ShearY (pixels per pixel), TranslateX, TranslateY (share of the side), Rotate
        (degrees, counter-clockwise), Posterize (bits kept; 0 is black), Solarize (values from it on
        are inverted), SolarizeAdd (added to values below 128), Color, Contrast, Brightness,
        Sharpness (factor; 1 changes nothing); AutoContrast, Equalize and Invert without argument.
        Names of timm's increasing set (PosterizeIncreasing, TranslateXRel, ...) mean the same.

    Raises
    ------
    ArgumentError : for an unknown name, or an argument that the operation does not take
    """
    tensor, array = as_tensor(image_u8, "image", dtype=np.uint8, shape=["H", "W", 3])
    out, changed = result(None, array.shape, dtype=np.uint8)
    call(
        lib.usp_augment_operation, encoded(name), math.nan if argument is None else argument,
        ctypes.byref(tensor), ctypes.byref(out))
    return changed


def level(name: str, magnitude: float) -> Optional[float]:
    """The argument that timm gives an operation at a magnitude of 0 to 10.

    Its size: the sign of Rotate, shears and translations is drawn, and for ColorIncreasing and its
    like 1 + x stands for 1 - x, too. None for operations without argument.

    Parameters
    ----------
    name : Rotate, PosterizeIncreasing, SolarizeIncreasing, SolarizeAdd, ColorIncreasing,
        ContrastIncreasing, BrightnessIncreasing, SharpnessIncreasing, ShearX, ShearY,
        TranslateXRel, TranslateYRel, and the plain forms Posterize, Solarize, Color, ...
    """
    value = ctypes.c_double()
    call(lib.usp_augment_level, encoded(name), magnitude, ctypes.byref(value))
    return None if math.isnan(value.value) else value.value


def rand_augment(
    image_u8: Any, *, seed: Optional[int] = 0, sample: int = 0,
    # options: usp_rand_augment_options
    layers: int = 2, probability: float = 0.5, magnitude: float = 9.0, magnitude_std: float = 0.5,
    increasing: bool = True, operations: Optional[str] = None,
    # end of options
) -> np.ndarray:
    """An image after what RandAugment draws for it; by default timm's rand-m9-mstd0.5-inc1.

    Parameters
    ----------
    image_u8 : uint8 [H, W, 3], RGB
    seed, sample : each image of a set has a stream of its own

    Other Parameters
    ----------------
    layers : int, default 2
        Operations drawn for an image. 0 to 100. Default: 2.
    probability : float, default 0.5
        Chance of each drawn operation to be applied. 0 to 1. Default: 0.5.
    magnitude : float, default 9.0
        Mean magnitude of the operations. 0 to 10. Default: 9.
    magnitude_std : float, default 0.5
        Deviation of the magnitude, which is cut to 0 to 10; above 100 it is uniform from 0 to
        `magnitude`. 0 or more. Default: 0.5.
    increasing : bool, default True
        All operations are stronger the greater the magnitude. Default: yes.
    operations : Optional[str], optional
        Operations to draw from, by timm's names with commas between them; none: its 15. Default:
        none.
    """
    given = options(
        _abi.usp_rand_augment_options, layers=layers, probability=probability, magnitude=magnitude,
        magnitude_std=magnitude_std, increasing=increasing, operations=operations)
    tensor, array = as_tensor(image_u8, "image", dtype=np.uint8, shape=["H", "W", 3])
    out, changed = result(None, array.shape, dtype=np.uint8)
    call(
        lib.usp_augment_random, ctypes.byref(tensor), ctypes.byref(given), drawn(seed), sample,
        ctypes.byref(out))
    return changed


def evaluation(image_u8: Any, size: int = 224) -> np.ndarray:
    """What classifiers are evaluated on: uint8 [size, size, 3].

    The shorter side goes to 256 for a size of 224, and in that proportion, bicubically and
    antialiased, then the middle square is cut: torchvision's Resize and CenterCrop, and the bytes of
    Pillow before version 13, which begins with the other axis where the height shrinks by more than
    twice what the width does. `image_u8` is [H, W, C] of 1 to 4 channels: grey is repeated, alpha is
    dropped.
    """
    tensor, _keep = as_tensor(image_u8, "image", dtype=np.uint8, shape=["H", "W", "C"])
    out, changed = result(None, (size, size, 3), dtype=np.uint8)
    call(lib.usp_augment_evaluation, ctypes.byref(tensor), ctypes.byref(out))
    return changed


def erase(
    images: Any, *, seed: Optional[int] = 0,
    # options: usp_erasing_options
    erasing: float = 0.25, erasing_fill: str = "pixel", erasing_count: int = 1,
    # end of options
) -> np.ndarray:
    """Random erasing (Zhong et al. 2017, in timm's form): boxes of images become noise.

    Parameters
    ----------
    images : float32 [B, C, H, W], normalised

    Other Parameters
    ----------------
    erasing : float, default 0.25
        Chance of an image to have a box of it erased. 0 to 1. Default: 0.25.
    erasing_fill : str, default "pixel"
        What is in the box: noise for each value, one random number for each channel, or 0. One of
        pixel, color, constant. Default: pixel.
    erasing_count : int, default 1
        Boxes in such an image. 1 to 100. Default: 1.
    """
    given = options(
        _abi.usp_erasing_options, erasing=erasing, erasing_fill=erasing_fill,
        erasing_count=erasing_count)
    tensor, array = as_tensor(images, "images", shape=["B", "C", "H", "W"])
    out, changed = result(None, array.shape)
    call(lib.usp_augment_erase, ctypes.byref(tensor), ctypes.byref(given), drawn(seed), ctypes.byref(out))
    return changed


class Mixed(NamedTuple):
    """A batch whose samples were mixed with one another."""

    #: float32 [B, C, H, W]
    samples: np.ndarray
    #: float32 [B, K]: the share of each class; rows sum to 1
    targets: np.ndarray


def mix(
    samples: Any, labels: Any, classes: int, *, seed: Optional[int] = 0,
    # options: usp_mixing_options
    mixup: float = 0.0, cutmix: float = 0.0, mixing_probability: float = 1.0,
    switch_probability: float = 0.5, mixing_unit: str = "batch", label_smoothing: float = 0.1,
    # end of options
) -> Mixed:
    """Mixup and CutMix, in timm's form: sample i is mixed with sample B - 1 - i, its label too.

    Parameters
    ----------
    samples : float32 [B, C, H, W], pixels or latents
    labels : [B], 0 to K - 1
    classes : K

    Other Parameters
    ----------------
    mixup : float, default 0.0
        Parameter of mixup's beta distribution (published: 0.8); 0: no mixup. 0 or more. Default: 0.
    cutmix : float, default 0.0
        Parameter of CutMix's beta distribution (published: 1); 0: no CutMix. 0 or more. Default: 0.
    mixing_probability : float, default 1.0
        Chance that anything is mixed. 0 to 1. Default: 1.
    switch_probability : float, default 0.5
        Chance of CutMix, not mixup, where both are on. 0 to 1. Default: 0.5.
    mixing_unit : str, default "batch"
        What has a draw of its own. One of batch, pair, sample. Default: batch.
    label_smoothing : float, default 0.1
        What of each label, where labels are shares, is spread evenly over all classes. 0 to 1.
        Default: 0.1.
    """
    given = options(
        _abi.usp_mixing_options, mixup=mixup, cutmix=cutmix,
        mixing_probability=mixing_probability, switch_probability=switch_probability,
        mixing_unit=mixing_unit, label_smoothing=label_smoothing)
    tensor, array = as_tensor(samples, "samples", shape=["B", "C", "H", "W"])
    numbers, _keep = as_tensor(vector(labels, "labels", np.int64), "labels", dtype=np.int64)
    out, mixed = result(None, array.shape)
    out_targets, targets = result(None, (len(array), classes))
    call(
        lib.usp_augment_mix, ctypes.byref(tensor), ctypes.byref(numbers), ctypes.byref(given), drawn(seed),
        ctypes.byref(out), ctypes.byref(out_targets))
    return Mixed(mixed, targets)
