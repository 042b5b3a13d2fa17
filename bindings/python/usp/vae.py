"""The autoencoder of latent diffusion: images to latents and back."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Mapping as MappingType
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from . import _abi
from ._arrays import as_tensor, dtype_name, result
from ._call import call, options
from ._library import lib
from ._model import Model, Names, Source, model_of
from .checkpoint import Checkpoint
from .random import normal


class Posterior:
    """The Gaussian that an encoder gives: `mean` and `logvar`, both [B, z, h, w] float32.

    `mean` and samples are normalised, (z - shift) * scale, unless the encoder was told otherwise;
    `logvar` is of z itself.
    """

    def __init__(self, vae: "VAE", mean: np.ndarray, logvar: np.ndarray, scaled: bool):
        self._vae, self.mean, self.logvar, self._scaled = vae, mean, logvar, scaled

    def sample(self, noise: Any = None, seed: Optional[int] = 0) -> np.ndarray:
        """mean + deviation * noise; without noise it is drawn from seed, one stream an image."""
        if noise is None:
            noise = normal(self.mean.shape, seed)
        mean, _a = as_tensor(self.mean, "mean")
        logvar, _b = as_tensor(self.logvar, "logvar")
        drawn, _c = as_tensor(noise, "noise", shape=self.mean.shape)
        given = options(_abi.usp_vae_options, scaled=int(self._scaled))
        out, array = result(None, self.mean.shape)
        call(
            lib.usp_vae_sample, self._vae.handle, ctypes.byref(mean), ctypes.byref(logvar),
            ctypes.byref(drawn), ctypes.byref(given), ctypes.byref(out))
        return array


def opened_statistics(source: Optional[Source]) -> Optional[Checkpoint]:
    """`mean` and `std` of each channel, from where `VAE.load` takes them."""
    if source is None or isinstance(source, Checkpoint):
        return source
    if isinstance(source, Mapping):
        return Checkpoint({name: np.asarray(value) for name, value in source.items()})
    return Checkpoint.open(source)


class VAE(Model):
    """A KL autoencoder; the normalisation of its latents belongs to it and is always applied.

    Examples
    --------
    >>> vae = usp.VAE.create(base_width=16, multipliers=(1, 2), blocks_per_level=1, groups=8)
    >>> latents = vae.encode(np.zeros((1, 3, 32, 48), np.float32)).mean
    >>> latents.shape, vae.decode(latents).shape
    ((1, 4, 16, 24), (1, 3, 32, 48))
    """

    _family = "VAE"

    @classmethod
    def load(
        cls, source: Source, dtype: Any = None, *, exact: bool = False,
        scale: Optional[float] = None, shift: Optional[float] = None, table: Optional[str] = None,
        ignore: Names = None, strict: bool = True,
        statistics: Optional[Source] = None, multiplier: float = 1.0,
    ) -> "VAE":
        """Loads a file or checkpoint of any published layout; dtype "bf16" multiplies in bf16.

        "small" is an autoencoder of photographs that comes with the library, 4x4 pixels to 4
        channels (NOTICE tells of which).
        `exact` sums plainly in every call; `ignore`, `strict`: see `Model`. Latents are
        (z - shift) * scale: a file that does not tell them is taken for Stable Diffusion's, 0.18215
        (the `report` says so); SDXL's `scale` is 0.13025. `statistics`: a file (latents_stats.pt), a
        Checkpoint or a mapping with `mean` and `std` of each latent channel; latents are then
        (z - mean) / std * multiplier, and the model keeps that. VA-VAE's need them: without, a
        UserWarning tells that latents are z itself, and training on them is refused.
        """
        kept = opened_statistics(statistics)
        vae = cls._load(
            source, compute=dtype_name(dtype), exact=int(exact), table=table, shift=shift,
            scale=scale, multiplier=multiplier, ignore=ignore, strict=strict,
            statistics=None if kept is None else kept.handle)
        vae._warn_of_statistics()
        return vae

    def _warn_of_statistics(self) -> None:
        """For the caller of a function that loads."""
        if self.report.data.get("lacks_statistics"):
            warnings.warn(
                f"{self}: nothing tells mean and deviation of its {self.latent_channels} latent "
                "channels; give statistics (latents_stats.pt), or measure them by encode "
                "--statistics", stacklevel=3)

    @classmethod
    def create(
        cls, *, image_channels: int = 3, base_width: int = 128,
        multipliers: Sequence[int] = (1, 2, 4, 4), blocks_per_level: int = 2,
        latent_channels: int = 4, groups: int = 32, encoder_attention: Sequence[int] = (),
        decoder_attention: Sequence[int] = (), scale: Union[float, Sequence[float]] = 1.0,
        shift: Union[float, Sequence[float]] = 0.0, seed: Optional[int] = 0, mid_attention: bool = True,
        double_z: bool = True, quant_conv: bool = True,
    ) -> "VAE":
        """A new model; attention is at the levels named (0 is full resolution).

        `mid_attention`: self-attention between the middle blocks; `double_z`: the encoder gives a
        log variance too; `quant_conv`: 1x1 convolutions around the latents.
        """
        return cls._create("VAE", seed, dict(
            image_channels=image_channels, base_width=base_width, multipliers=multipliers,
            blocks_per_level=blocks_per_level, latent_channels=latent_channels, groups=groups,
            encoder_attention=sorted(set(encoder_attention)),
            decoder_attention=sorted(set(decoder_attention)), mid_attention=mid_attention,
            double_z=double_z, quant_conv=quant_conv, scale=scale, shift=shift))

    @property
    def factor(self) -> int:
        """Image pixels to a latent one, along each side."""
        return 1 << (int(self.config.levels) - 1)

    @property
    def latent_channels(self) -> int:
        return int(self.config.latent_channels)

    def _normalization(self, shifts: bool) -> "Union[float, np.ndarray]":
        tensor, array = result(None, (self.latent_channels,))
        both = (None, ctypes.byref(tensor)) if shifts else (ctypes.byref(tensor), None)
        call(lib.usp_vae_normalization, self.handle, *both)
        return float(np.format_float_positional(array[0])) if np.all(array == array[0]) else array

    @property
    def scale(self) -> "Union[float, np.ndarray]":
        """Latents are (z - shift) * scale: one number, or one a channel."""
        return self._normalization(shifts=False)

    @property
    def shift(self) -> "Union[float, np.ndarray]":
        return self._normalization(shifts=True)

    def encode(
        self, images: Any, *, scaled: bool = True, tile: int = 0, overlap: Optional[int] = None,
        exact: bool = False,
    ) -> Posterior:
        """Images [B, C, H, W] float32 in -1 … 1 to the posterior of their latents.

        `tile` is the side of a tile in latent pixels (0: the whole image at once), `overlap` what
        neighbours share (None: 16, and a quarter of smaller tiles). `exact` sums 3x3
        convolutions plainly and takes twice as long; the default is within 1e-5 of exact
        arithmetic.
        """
        tensor, array = as_tensor(images, "images", shape=["B", "C", "H", "W"])
        shape = (
            array.shape[0], self.latent_channels, array.shape[2] // self.factor,
            array.shape[3] // self.factor)
        mean, mean_array = result(None, shape)
        logvar, logvar_array = result(None, shape)
        given = options(
            _abi.usp_vae_options, scaled=int(scaled), tile=tile, overlap=overlap, exact=int(exact))
        call(
            lib.usp_vae_encode, self.handle, ctypes.byref(tensor), ctypes.byref(given),
            ctypes.byref(mean), ctypes.byref(logvar))
        return Posterior(self, mean_array, logvar_array, scaled)

    def decode(
        self, latents: Any, *, scaled: bool = True, tile: int = 0, overlap: Optional[int] = None,
        exact: bool = False, out: Any = None,
    ) -> np.ndarray:
        """Latents [B, z, h, w] to images [B, C, H, W], about -1 … 1; options as for `encode`."""
        tensor, array = as_tensor(latents, "latents", shape=["B", "z", "h", "w"])
        images, image_array = result(
            out, (array.shape[0], self.config.image_channels, array.shape[2] * self.factor,
                  array.shape[3] * self.factor))
        given = options(
            _abi.usp_vae_options, scaled=int(scaled), tile=tile, overlap=overlap, exact=int(exact))
        call(
            lib.usp_vae_decode, self.handle, ctypes.byref(tensor), ctypes.byref(given),
            ctypes.byref(images))
        return image_array


#: an autoencoder, or what `VAE.load` takes, as an argument
GivenVAE = Union[VAE, Source, None]


def vae_of(value: GivenVAE, name: str = "vae") -> Optional[VAE]:
    """The autoencoder that an argument is, or that it names."""
    if value is None or isinstance(value, VAE):
        return value
    if isinstance(value, (str, os.PathLike, MappingType)):
        return VAE.load(value)
    model: VAE = model_of(value, name, VAE, other=", or its file")
    return model
