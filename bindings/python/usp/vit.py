"""The vision transformer as a classifier and feature extractor."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence, Tuple

import numpy as np

from ._arrays import as_tensor, dtype_name, result
from ._call import call
from ._config import worded
from ._errors import ArgumentError
from ._layers import layer_arrays
from ._library import lib
from ._model import Grid, Model, Names, Source


class ViT(Model):
    """A classifier: an encoder, a pooling, a head.

    Examples
    --------
    >>> model = usp.ViT.create(grid=4, channels=3, patch=4, width=32, depth=2, heads=2, classes=10)
    >>> images = np.zeros((2, 3, 16, 16), np.float32)
    >>> model.features(images).shape, model.logits(images).shape
    ((2, 32), (2, 10))
    >>> model.tokens(images).shape, model.tokens(images[..., :12], leading=True).shape
    ((2, 16, 32), (2, 13, 32))
    >>> [array.shape for array in model.features(images, layers=[1, 2], tokens=True)]
    [(2, 16, 32), (2, 16, 32)]
    >>> model.attention(images, layer=2).shape         # the class token is first
    (2, 2, 17, 17)
    """

    _family = "ViT"

    @classmethod
    def load(
        cls, source: Source, pool: Optional[str] = None, num_heads: Optional[int] = None, *,
        dtype: Any = None, exact: bool = False, table: Optional[str] = None, grid: Grid = None,
        positions: Optional[str] = None, activation: Optional[str] = None, ignore: Names = None,
        strict: bool = True,
    ) -> "ViT":
        """Loads a file or checkpoint; pool is "token" or "avg", None goes by the file.

        `dtype` and `exact`: see `Model`. `grid`, as for `create`, is needed where
        patches are no square, unless this library wrote the file: 16 positions are read as 4x4 and
        none for the class token, even if they are 5x3 and one. `positions` is how the position
        table is resampled for images of another size: "bicubic" (MAE, USP), "offset" (DINOv2
        without registers), "antialias" (timm, REPA, DINOv2 with registers); None goes by the file.
        `activation` is the MLPs', which OpenCLIP's names do not tell ("gelu_erf", or OpenAI's
        "gelu_quick", which is assumed and stands in `report`).
        `ignore`, `strict`: see `Model`.
        """
        return cls._load(
            source, grid, pool=pool, heads=num_heads, compute=dtype_name(dtype), exact=int(exact),
            table=table, positions=positions, activation=activation, ignore=ignore, strict=strict)

    @classmethod
    def create(
        cls, *, grid: Grid = 14, channels: int = 4, patch: int = 2,
        width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000,
        pool: str = "token", head: str = "linear", rms_norm: bool = False, swiglu: bool = False,
        rope: bool = False, qk_norm: bool = False, layer_scale: bool = False, registers: int = 0,
        seed: Optional[int] = 0,
    ) -> "ViT":
        """A new model; head is "linear", "probe" (batch norm, then linear) or "none".

        The blocks' switches and `registers`: as of a `MaskedAutoencoder`.
        """
        return cls._create("ViT", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            classes=classes, pool=worded("pool", pool), head=worded("head", head),
            rms_norm=rms_norm, swiglu=swiglu, rope=rope, qk_norm=qk_norm, layer_scale=layer_scale,
            registers=registers))

    def _images(self, images: Any) -> Tuple[Any, np.ndarray]:
        return as_tensor(images, "images", shape=["B", self.input_shape(1)[1], "H", "W"])

    def _run(self, function: Any, images: Any, width: int) -> np.ndarray:
        tensor, array = self._images(images)
        out, values = result(None, (len(array), width))
        call(function, self.handle, ctypes.byref(tensor), ctypes.byref(out))
        return values

    def tokens(self, images: Any, *, norm: bool = True, leading: bool = False) -> np.ndarray:
        """The patches' tokens [B, T, D] of [B, C, H, W], row by row: DINOv2's x_norm_patchtokens.

        H and W are any multiples of the patch: for another size than the model's own the position
        table is resampled (`load(..., positions=)`). norm=False is before the last norm.
        leading=True puts the class token and the registers in front: [B, L + T, D].
        """
        tensor, array = self._images(images)
        patch = int(self.config.patch)
        count = (array.shape[2] // patch) * (array.shape[3] // patch)
        count += int(lib.usp_vit_leading(self.handle)) if leading else 0
        out, values = result(None, (len(array), count, self.config.width))
        call(
            lib.usp_vit_tokens, self.handle, ctypes.byref(tensor), int(norm), int(leading),
            ctypes.byref(out))
        return values

    def features(
        self, images: Any, *, layers: Optional[Sequence[int]] = None, tokens: bool = False,
    ) -> Any:
        """Pooled and normed features [B, D] of [B, C, H, W]; images as for `tokens`.

        With `layers`, blocks from 1: a list of what is behind each of them, before any norm, the mean
        of the patches' tokens [B, D], or with tokens=True all of them, [B, T, D].
        """
        if layers is None:
            if tokens:
                raise ArgumentError("tokens=True: needs layers; .tokens() gives those of the last norm")
            return self._run(lib.usp_vit_features, images, self.config.width)
        tensor, array = self._images(images)
        patch = int(self.config.patch)
        count = (array.shape[2] // patch) * (array.shape[3] // patch)
        return layer_arrays(
            lib.usp_vit_layers, [self.handle, ctypes.byref(tensor)], layers, tokens,
            (len(array), count, self.config.width))

    def attention(self, images: Any, layer: int) -> np.ndarray:
        """Attention's probabilities in a block (1 is the first): [B, N, L + T, L + T].

        Row t of a head is what token t takes from each; class token and registers come first. Images
        as for `tokens`.
        """
        tensor, array = self._images(images)
        patch = int(self.config.patch)
        count = (array.shape[2] // patch) * (array.shape[3] // patch)
        count += int(lib.usp_vit_leading(self.handle))
        out, values = result(None, (len(array), self.config.heads, count, count))
        call(lib.usp_vit_attention, self.handle, ctypes.byref(tensor), layer, ctypes.byref(out))
        return values

    def logits(self, images: Any) -> np.ndarray:
        """Class scores [B, K] of [B, C, H, W]; images as for `tokens`."""
        return self._run(lib.usp_vit_logits, images, self.config.classes)

    __call__ = logits
