"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import as_numpy, as_tensor, dtype_name, result
from ._call import call, options
from ._config import value_text, worded
from ._errors import ArgumentError
from ._handles import handle_of
from ._library import lib
from ._model import Grid, Model, Names, Source, grid_sides
from .checkpoint import Checkpoint
from .vae import VAE

#: rows and columns, or one number for both
Sides = Union[int, Tuple[int, int], None]


class Segmenter(Model):
    """A vision transformer whose tokens are maps, and a head that gives each pixel a class.

    Examples
    --------
    >>> model = usp.Segmenter.create(
    ...     grid=4, channels=3, patch=4, width=16, depth=1, heads=2, classes=5, head="linear")
    >>> model.logits(np.zeros((1, 3, 16, 16), np.float32), size=(16, 16)).shape
    (1, 5, 16, 16)
    """

    _family = "Segmenter"

    @classmethod
    def load(
        cls, source: Source, num_heads: Optional[int] = None,
        out_indices: Optional[Sequence[int]] = None, *, dtype: Any = None, exact: bool = False,
        table: Optional[str] = None, grid: Grid = None, ignore: Names = None, strict: bool = True,
    ) -> "Segmenter":
        """Loads a file or checkpoint, in mmsegmentation's names, BEiT's (implus') or our own.

        `out_indices`, the blocks (from 0) that the head reads, and `grid` go by the file where it
        tells them, else the blocks are d//3-1, d//2-1, 2d//3-1, d-1 (a linear head's the last), and
        patches a square. The head goes by its names: decode_head.bn is a linear one. `dtype`,
        `exact`, `ignore`, `strict`: see `Model`.
        """
        return cls._load(
            source, grid, heads=num_heads, compute=dtype_name(dtype), exact=int(exact), table=table,
            ignore=ignore, strict=strict,
            out_indices=None if out_indices is None else value_text("out_indices", out_indices))

    @classmethod
    def create(
        cls, *, grid: Grid = 32, channels: int = 4, patch: int = 2, width: int = 768,
        depth: int = 12, heads: int = 12, classes: int = 150, head: str = "upernet",
        head_channels: Optional[int] = None, auxiliary_channels: int = 256,
        out_indices: Optional[Sequence[int]] = None, relative_positions: bool = False,
        seed: int = 0,
    ) -> "Segmenter":
        """A new model; head is "upernet" or "linear" (batch norm and a linear layer).

        head_channels None is the width; auxiliary_channels 0 has no auxiliary head;
        out_indices None as for `load`.
        """
        return cls._create("Segmenter", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            classes=classes, head=worded("head", head), head_channels=head_channels,
            auxiliary_channels=auxiliary_channels,
            out_indices=[] if out_indices is None else out_indices,
            relative_positions=bool(relative_positions)))

    def _scale(self) -> int:
        """The head's rows for one of the tokens'."""
        return 4 if self.config.head == "upernet" else 1

    def logits(self, images: Any, size: Sides = None) -> np.ndarray:
        """Class scores [B, K, 4h, 4w] (UperNet) or [B, K, h, w] (linear) of h x w tokens, or
        bilinear [B, K, *size].

        Images [B, C, H, W] are what the network reads, of any sides that are multiples of the
        patch: for another grid than the model's its position table is resampled, which a model with
        relative positions refuses.
        """
        tensor, array = as_tensor(images, "images", shape=["B", "C", "H", "W"])
        config, scale = self.config, self._scale()
        if size is None:
            height, width = (max(side // config.patch, 1) * scale for side in array.shape[2:])
        else:
            height, width = grid_sides(size)
        out, values = result(None, (len(array), config.classes, height, width))
        call(lib.usp_segmenter_logits, self.handle, ctypes.byref(tensor), ctypes.byref(out))
        return values

    __call__ = logits

    def _windows(
        self, images: Any, vae: Optional[VAE], crop: Sides, stride: Sides, size: Sides
    ) -> Tuple[Any, Any, Any, Any, Tuple[int, int]]:
        tensor, array = as_tensor(images, "images", shape=["B", "C", "H", "W"])
        (crop_height, crop_width), (stride_height, stride_width) = (
            grid_sides(sides) for sides in (crop, stride))
        given = options(
            _abi.usp_window_options, crop_height=crop_height, crop_width=crop_width,
            stride_height=stride_height, stride_width=stride_width)
        sides = array.shape[2:] if size is None else grid_sides(size)
        encoder = handle_of(vae, "vae", VAE)
        return tensor, array, given, encoder, (int(sides[0]), int(sides[1]))

    def scores(
        self, images: Any, *, vae: Optional[VAE] = None, crop: Sides = None, stride: Sides = None,
        size: Sides = None,
    ) -> np.ndarray:
        """Class scores [B, K, H, W] at the images' size, or bilinear [B, K, *size].

        In one pass, or the mean over windows of `crop` pixels every `stride` (None: two thirds of
        the crop). With a VAE images are in -1 ... 1 and each window is encoded (the mean) by itself.
        A window whose sides are no multiples of a patch gets zeros at its right and bottom.
        """
        tensor, array, given, encoder, sides = self._windows(images, vae, crop, stride, size)
        out, values = result(None, (len(array), self.config.classes, *sides))
        call(
            lib.usp_segmenter_scores, self.handle, encoder, ctypes.byref(tensor),
            ctypes.byref(given), ctypes.byref(out))
        return values

    def predict(
        self, images: Any, *, vae: Optional[VAE] = None, crop: Sides = None, stride: Sides = None,
        size: Sides = None,
    ) -> np.ndarray:
        """The class of the largest of `scores` [B, H, W]: uint8 for 256 classes or fewer, else
        int64."""
        tensor, array, given, encoder, sides = self._windows(images, vae, crop, stride, size)
        kind = np.uint8 if self.config.classes <= 256 else np.int64
        out, labels = result(None, (len(array), *sides), dtype=kind)
        call(
            lib.usp_segmenter_predict, self.handle, encoder, ctypes.byref(tensor),
            ctypes.byref(given), ctypes.byref(out))
        return labels

    def decode(self, features: Any) -> np.ndarray:
        """Scores [B, K, h', w'] of an encoder's maps alone: one [B, D, h, w] for each of
        config.out_indices, normed ones for a linear head."""
        maps = [features] if np.ndim(features) == 4 else list(features)
        if not maps:
            raise ArgumentError("features: no maps")
        kept = [as_tensor(value, f"features[{index}]", shape=["B", self.config.width, "h", "w"])
                for index, value in enumerate(maps)]
        structs = (_abi.usp_tensor * len(kept))(*(tensor for tensor, _array in kept))
        batch, _width, rows, columns = kept[0][1].shape
        scale = self._scale()
        out, values = result(
            None, (batch, self.config.classes, scale * rows, scale * columns))
        call(lib.usp_segmenter_decode, self.handle, structs, len(kept), ctypes.byref(out))
        return values

    def gradients(
        self, images: Any, labels: Any, *, batch_statistics: bool = False, average: str = "all",
        ignored: int = 255,
    ) -> Tuple[float, Checkpoint]:
        """Loss and name -> gradient, in the names of the file; nothing changes, no dropout.

        The loss is cross entropy at the size of labels [B, H, W] (uint8 or int64), plus 0.4 times
        the auxiliary head's; its sum is divided by "all" pixels, ignored ones too, as
        mmsegmentation does, or by the "valid" ones.
        """
        tensor, _array = as_tensor(images, "images", shape=["B", "C", "H", "W"])
        array = as_numpy(labels, "labels")[0]
        kind = np.uint8 if array.dtype == np.uint8 else np.int64
        wanted, _labels = as_tensor(labels, "labels", dtype=kind, shape=["B", "H", "W"])
        given = options(
            _abi.usp_segmenter_options, batch_statistics=int(batch_statistics), average=average,
            ignored=ignored)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_segmenter_gradients, self.handle, ctypes.byref(tensor), ctypes.byref(wanted),
            ctypes.byref(given), ctypes.byref(loss))
        return loss.value, gradients
