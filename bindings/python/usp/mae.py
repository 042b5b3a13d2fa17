"""The masked autoencoder: pretraining by prediction of what was masked."""

from __future__ import annotations

import ctypes
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from . import _abi
from ._arrays import as_tensor, dtype_name, result
from ._call import call, options
from ._layers import layer_arrays
from ._library import lib
from ._model import Grid, Model, Names, Source
from .checkpoint import Checkpoint


class MaskedOutput(NamedTuple):
    """Mean loss over the masked patches, predicted patches [B, T, E], mask [B, T] (1 = masked)."""

    loss: float
    pred: np.ndarray
    mask: np.ndarray


class MaskedAutoencoder(Model):
    """A masked autoencoder on latents (as USP pretrains) or pixels.

    Examples
    --------
    >>> model = usp.MaskedAutoencoder.create(
    ...     grid=4, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    >>> loss, predicted, mask = model.forward(np.zeros((2, 4, 8, 8), np.float32), mask_ratio=0.75)
    >>> predicted.shape, float(mask.mean())
    ((2, 16, 16), 0.75)
    """

    _family = "MAE"

    @classmethod
    def load(
        cls, source: Source, num_heads: Optional[int] = None,
        decoder_num_heads: Optional[int] = None, *, dtype: Any = None, exact: bool = False,
        table: Optional[str] = None, grid: Grid = None, ignore: Names = None, strict: bool = True,
    ) -> "MaskedAutoencoder":
        """Loads a file or checkpoint; heads not given are the published ones of the width.

        `dtype` and `exact`: see `Model`. `grid`, as for `create`, is needed where
        patches are no square, unless this library wrote the file: 16 positions of an encoder alone
        are read as 4x4 and none for the class token, even if they are 5x3 and one. `ignore`,
        `strict`: see `Model`.
        """
        return cls._load(
            source, grid, heads=num_heads, decoder_heads=decoder_num_heads,
            compute=dtype_name(dtype), exact=int(exact), table=table, ignore=ignore, strict=strict)

    @classmethod
    def create(
        cls, *, grid: Grid = 14, channels: int = 4, patch: int = 2,
        width: int = 384, depth: int = 12, heads: int = 6, decoder_width: int = 512,
        decoder_depth: int = 8, decoder_heads: int = 16, rms_norm: bool = False,
        swiglu: bool = False, rope: bool = False, qk_norm: bool = False, layer_scale: bool = False,
        registers: int = 0, seed: Optional[int] = 0,
    ) -> "MaskedAutoencoder":
        """A new model; decoder_width 0 has no decoder.

        The switches are of encoder and decoder: RMS norms, SwiGLU in place of MLPs, rotary positions
        beside the table, norms of queries and keys (RMS norms with rms_norm), a factor for each
        channel behind each half of a block; `registers` are tokens without a place. With rms_norm,
        swiglu and rope a LightningDiT can start from it.
        """
        return cls._create("MAE", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            decoder_width=decoder_width, decoder_depth=decoder_depth, decoder_heads=decoder_heads,
            rms_norm=rms_norm, swiglu=swiglu, rope=rope, qk_norm=qk_norm, layer_scale=layer_scale,
            registers=registers))

    @property
    def tokens(self) -> int:
        """T."""
        return int(self.config.grid_height * self.config.grid_width)

    def _pass(
        self, latents: Any, mask_ratio: float, noise: Any, target: Any, norm_pix_loss: bool,
        norm_image: bool, add_noise: bool, seed: Optional[int],
    ) -> Tuple[Any, Any, int, List[Any]]:
        tensor, array = as_tensor(latents, "latents", shape=["B", *self.input_shape(1)[1:]])
        given = options(
            _abi.usp_mae_options, mask_ratio=mask_ratio, seed=seed,
            norm_pix_loss=int(norm_pix_loss), norm_image=int(norm_image), add_noise=int(add_noise))
        keep = [array]
        if noise is not None:
            struct, kept = as_tensor(noise, "noise", shape=[len(array), self.tokens])
            given.noise = ctypes.pointer(struct)
            keep.append(kept)
        if target is not None:
            struct, kept = as_tensor(target, "target", shape=array.shape)
            given.target = ctypes.pointer(struct)
            keep.append(kept)
        return tensor, given, len(array), keep

    def forward(
        self, latents: Any, mask_ratio: float = 0.75, noise: Any = None, target: Any = None,
        norm_pix_loss: bool = False, norm_image: bool = False, *, add_noise: bool = False,
        seed: Optional[int] = 0,
    ) -> MaskedOutput:
        """Masks, encodes, decodes and compares latents [B, C, H, W]. Something has to be masked.

        `noise` [B, T] in 0 … 1: the tokens of least noise are kept; None draws it from seed.
        `target` [B, C, H, W]; None compares with the latents. `add_noise` lets the model see
        sqrt(t) x + sqrt(1 - t) e with t in 0.5 … 1, drawn from seed, beside a clean target.
        """
        tensor, given, batch, _keep = self._pass(
            latents, mask_ratio, noise, target, norm_pix_loss, norm_image, add_noise, seed)
        config = self.config
        pred, pred_array = result(
            None, (batch, self.tokens, config.patch * config.patch * config.channels))
        mask, mask_array = result(None, (batch, self.tokens))
        loss = ctypes.c_float()
        call(
            lib.usp_mae_forward, self.handle, ctypes.byref(tensor), ctypes.byref(given),
            ctypes.byref(loss), ctypes.byref(pred), ctypes.byref(mask))
        return MaskedOutput(loss.value, pred_array, mask_array)

    __call__ = forward

    def gradients(
        self, latents: Any, mask_ratio: float = 0.75, noise: Any = None, target: Any = None,
        norm_pix_loss: bool = False, norm_image: bool = False, *, add_noise: bool = False,
        seed: Optional[int] = 0,
    ) -> Tuple[float, Checkpoint]:
        """The loss of `forward`, and name -> gradient in the names of the file."""
        tensor, given, _batch, _keep = self._pass(
            latents, mask_ratio, noise, target, norm_pix_loss, norm_image, add_noise, seed)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_mae_gradients, self.handle, ctypes.byref(tensor), ctypes.byref(given),
            ctypes.byref(loss))
        return loss.value, gradients

    def features(
        self, latents: Any, *, layers: Optional[Sequence[int]] = None, tokens: bool = False,
    ) -> Any:
        """Features of all tokens after the encoder's norm, class token first, if there is one: [B, L + T, D].

        With `layers`, blocks of the encoder from 1: a list of what is behind each of them, before any
        norm, the mean of the patches' tokens [B, D], or with tokens=True all of them, [B, T, D].
        Nothing is masked.
        """
        tensor, array = as_tensor(latents, "latents", shape=["B", *self.input_shape(1)[1:]])
        config = self.config
        if layers is not None:
            return layer_arrays(
                lib.usp_mae_layers, [self.handle, ctypes.byref(tensor)], layers, tokens,
                (len(array), self.tokens, config.width))
        count = self.tokens + int(config.class_token)
        out, features = result(None, (len(array), count, config.width))
        call(lib.usp_mae_features, self.handle, ctypes.byref(tensor), ctypes.byref(out))
        return features

    def attention(self, latents: Any, layer: int) -> np.ndarray:
        """Attention's probabilities in a block of the encoder (1 is the first): [B, N, L + T, L + T].

        Row t of a head is what token t takes from each; the class token comes first.
        """
        tensor, array = as_tensor(latents, "latents", shape=["B", *self.input_shape(1)[1:]])
        count = self.tokens + int(self.config.class_token)
        out, values = result(None, (len(array), self.config.heads, count, count))
        call(lib.usp_mae_attention, self.handle, ctypes.byref(tensor), layer, ctypes.byref(out))
        return values

    def image(self, pred: Any) -> np.ndarray:
        """Predicted patches [B, T, E] as latents [B, C, H, W]."""
        tensor, array = as_tensor(pred, "pred", shape=["B", self.tokens, "E"])
        out, image = result(None, self.input_shape(len(array)))
        call(lib.usp_mae_image, self.handle, ctypes.byref(tensor), ctypes.byref(out))
        return image
