"""Diffusion transformers: DiT, and SiT, the same network with another process around it."""

from __future__ import annotations

import ctypes
from typing import Any, List, Optional, Sequence, Tuple, TypeVar, Union

import numpy as np

from . import _abi
from ._arrays import as_tensor, dtype_name, result, vector
from ._call import call
from ._config import widths
from ._errors import ArgumentError
from ._layers import layer_arrays
from ._library import lib
from ._model import Grid, Model, Names, Source
from .checkpoint import Checkpoint

Self = TypeVar("Self", bound="DiT")


class DiT(Model):
    """A diffusion transformer that gives the variances out, where it predicts them.

    Examples
    --------
    >>> model = usp.DiT.create(grid=4, width=32, depth=2, heads=2, classes=10, seed=0)
    >>> model(np.zeros((2, 4, 8, 8), np.float32), np.array([10, 500], np.float32), [3, 7]).shape
    (2, 8, 8, 8)
    """

    _family: Optional[str] = "DiT"

    @classmethod
    def load(
        cls: "type[Self]", source: Source, num_heads: Optional[int] = None, *, dtype: Any = None,
        exact: bool = False, table: Optional[str] = None,
        grid: Grid = None, null_class: Optional[bool] = None, encoder_depth: Optional[int] = None,
        ignore: Names = None, strict: bool = True,
    ) -> Self:
        """Loads a file or checkpoint; the heads are the published ones of the width unless given.

        `dtype` and `exact`: see `Model`. `grid`, as for `create`, is needed where
        positions are no square, and for files without a position table (diffusers') of an unusual
        size. `null_class` says whether the label table's last row is the null class, which its
        number of rows does not always tell (see `report`). `encoder_depth` is the block, counted
        from 1, behind which projectors (REPA's) read the tokens; None goes by the names or the
        arguments of training in the file, else it is 8. `ignore`, `strict`: see `Model`.
        """
        return cls._load(
            source, grid, heads=num_heads, compute=dtype_name(dtype), exact=int(exact), table=table,
            null_class=None if null_class is None else int(null_class),
            encoder_depth=encoder_depth, ignore=ignore, strict=strict)

    @classmethod
    def create(
        cls: "type[Self]", *, grid: Grid = 16, channels: int = 4,
        patch: int = 2, width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000,
        affine: bool = False, learn_sigma: bool = True, rms_norm: bool = False,
        swiglu: bool = False, rope: bool = False, qk_norm: bool = False, shift: bool = True,
        layer_scale: bool = False, registers: int = 0, seed: Optional[int] = 0,
    ) -> Self:
        """A new model; affine norms (USP's variant) can take a pretrained ViT's.

        The blocks' switches and `registers`: as of a `MaskedAutoencoder`. Without `shift` the
        modulation of blocks has scales and gates alone.
        """
        return cls._create("DiT", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            classes=classes, affine=affine, learn_sigma=learn_sigma, rms_norm=rms_norm,
            swiglu=swiglu, rope=rope, qk_norm=qk_norm, shift=shift, layer_scale=layer_scale,
            registers=registers))

    @property
    def out_channels(self) -> int:
        """Channels of the prediction: C, or 2C with variances."""
        return int(lib.usp_dit_out_channels(self.handle))

    @property
    def null_class(self) -> int:
        """The label that stands for no label."""
        return int(self.config.classes)

    def _inputs(self, x: Any, t: Any, y: Any) -> Tuple[List[Any], int, List[Any]]:
        tensor, array = as_tensor(x, "x", shape=["B", *self.input_shape(1)[1:]])
        times = vector(t, "t", np.float32, len(array))
        structs, keep = [tensor, as_tensor(times, "t")[0]], [array, times]
        if y is None:
            return [*map(ctypes.byref, structs), None], len(array), [structs, keep]
        labels = vector(y, "y", np.int64, len(array))
        structs.append(as_tensor(labels, "y", dtype=np.int64)[0])
        return [*map(ctypes.byref, structs)], len(array), [structs, keep, labels]

    def _output(self, out: Any, batch: int) -> Tuple[Any, np.ndarray]:
        _, _, height, width = self.input_shape(1)
        return result(out, (batch, self.out_channels, height, width))

    def forward(self, x: Any, t: Any, y: Any = None, *, out: Any = None) -> np.ndarray:
        """The prediction [B, O, H, W] for latents x [B, C, H, W] float32 at times t with labels y.

        t is 0 … 999 for DiT, 0 … 1 for SiT; y None is the null class for all.
        """
        inputs, batch, _keep = self._inputs(x, t, y)
        target, array = self._output(out, batch)
        call(lib.usp_dit_forward, self.handle, *inputs, ctypes.byref(target))
        return array

    __call__ = forward

    def forward_with_cfg(
        self, x: Any, t: Any, y: Any, cfg_scale: float, channels: int = 3, *,
        cfg_interval: Optional[Tuple[Optional[float], Optional[float]]] = None, out: Any = None,
    ) -> np.ndarray:
        """The originals' guided pass over samples given twice: [2n, O, H, W].

        First with their labels, then with null labels; both halves see the first half's latents.
        `channels` leading channels are guided: 3 is the originals' rule, C or more is all. With an
        interval only at times from one to the other, both included, by t[0]; at other times both
        halves get the labelled half's channels.
        """
        inputs, batch, _keep = self._inputs(x, t, y)
        target, array = self._output(out, batch)
        begin, end = (
            float("nan") if time is None else time for time in cfg_interval or (None, None))
        call(
            lib.usp_dit_forward_guided, self.handle, *inputs, cfg_scale, channels, begin, end,
            ctypes.byref(target))
        return array

    def gradients(self, x: Any, t: Any, y: Any = None) -> Tuple[float, Checkpoint]:
        """Mean of the squared prediction, and name -> gradient in the names of the file."""
        inputs, _batch, _keep = self._inputs(x, t, y)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_dit_gradients, self.handle, *inputs, ctypes.byref(loss))
        return loss.value, gradients

    def features(
        self, x: Any, t: Any, y: Any = None, depth: int = 0, *,
        layers: Optional[Sequence[int]] = None, tokens: bool = False,
    ) -> Any:
        """Tokens after the first `depth` blocks (0: all), averaged: [B, D].

        With `layers`, blocks from 1: a list of what is behind each of them, from one pass, [B, D], or
        with tokens=True all tokens, [B, T, D].
        """
        inputs, batch, _keep = self._inputs(x, t, y)
        if layers is not None:
            config = self.config
            return layer_arrays(
                lib.usp_dit_layers, [self.handle, *inputs], layers, tokens,
                (batch, config.grid_height * config.grid_width, config.width))
        if tokens:
            raise ArgumentError("tokens=True: needs layers")
        target, array = result(None, (batch, self.config.width))
        call(lib.usp_dit_features, self.handle, *inputs, depth, ctypes.byref(target))
        return array

    def attention(self, x: Any, t: Any, y: Any = None, *, layer: int) -> np.ndarray:
        """Attention's probabilities in a block (1 is the first): [B, N, R + T, R + T].

        Row t of a head is what token t takes from each; R registers, if there are some, come first.
        """
        inputs, batch, _keep = self._inputs(x, t, y)
        config = self.config
        count = config.grid_height * config.grid_width + int(getattr(config, "registers", 0))
        out, values = result(None, (batch, config.heads, count, count))
        call(lib.usp_dit_attention, self.handle, *inputs, layer, ctypes.byref(out))
        return values

    def projections(self, x: Any, t: Any, y: Any = None) -> List[np.ndarray]:
        """What each projector (REPA's) makes of the tokens behind block `encoder_depth`.

        A list of [B, T, Z], one for each teacher. t is on the model's scale, as for `forward`: where
        `projections` made the model, or the file is REPA's, 1 is noise. A model without projectors
        raises `UnsupportedError`.
        """
        inputs, batch, _keep = self._inputs(x, t, y)
        config = self.config
        tokens = config.grid_height * config.grid_width
        made = [result(None, (batch, tokens, width)) for width in config.projections]
        targets = (_abi.usp_tensor * max(len(made), 1))(*(target for target, _ in made))
        call(lib.usp_dit_projections, self.handle, *inputs, len(made), targets)
        return [array for _, array in made]


class SiT(DiT):
    """The same network, whose second set of channels is computed and dropped; t in 0 … 1.

    Examples
    --------
    >>> model = usp.SiT.create(grid=4, width=32, depth=2, heads=2, classes=10, seed=0)
    >>> noise = usp.random.normal((2, 4, 8, 8), seed=1)
    >>> usp.Transport().sample_ode(model, noise, [3, 7], method="heun", steps=3).shape
    (2, 4, 8, 8)
    >>> model = usp.SiT.create(
    ...     grid=4, width=32, depth=2, heads=2, classes=10, projections=(48,), projector=64,
    ...     encoder_depth=1, learn_sigma=False)             # REPA's: t = 1 is noise
    >>> model.projections(noise, 0.5, [3, 7])[0].shape
    (2, 16, 48)
    """

    _family = "SiT"

    @classmethod
    def create(
        cls: "type[Self]", *, grid: Grid = 16, channels: int = 4,
        patch: int = 2, width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000,
        affine: bool = False, qk_norm: bool = False, projections: "Union[int, Sequence[int], None]" = (),
        projector: int = 2048, encoder_depth: int = 8, learn_sigma: bool = True,
        rms_norm: bool = False, swiglu: bool = False, rope: bool = False, shift: bool = True,
        layer_scale: bool = False, registers: int = 0, seed: Optional[int] = 0,
    ) -> Self:
        """A new model; affine norms (USP's variant) can take a pretrained ViT's.

        `projections` are the widths of teachers' tokens (REPA): a projector for each, of hidden
        layers `projector` wide, reads the tokens behind block `encoder_depth`, counted from 1 (8 in
        REPA's SiT-L and SiT-XL, 4 in its SiT-B). Such a model is REPA's: its t = 1 is noise, and
        with learn_sigma=False REPA's code loads what `save` writes. qk_norm: layer norms of queries
        and keys. The other switches of blocks, and `registers`: as of a `DiT`.
        """
        return cls._create("SiT", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            classes=classes, affine=affine, qk_norm=qk_norm,
            projections=widths("projections", projections), projector=projector,
            encoder_depth=encoder_depth, learn_sigma=learn_sigma, rms_norm=rms_norm,
            swiglu=swiglu, rope=rope, shift=shift, layer_scale=layer_scale, registers=registers))


class LightningDiT(SiT):
    """A SiT of RMS norms, SwiGLU and rotary positions, on VA-VAE's latents; t in 0 … 1.

    `load` tells each switch from names and shapes, and the heads where a file shows them; files
    with all switches off load too.

    Examples
    --------
    >>> model = usp.LightningDiT.create(grid=4, channels=8, width=32, depth=2, heads=2, classes=10)
    >>> model(np.zeros((2, 8, 4, 4), np.float32), np.array([0, 0.5], np.float32), [3, 7]).shape
    (2, 8, 4, 4)
    """

    _family = "LightningDiT"

    @classmethod
    def create(
        cls: "type[Self]", *, grid: Grid = 16, channels: int = 32, patch: int = 1,
        width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000,
        rms_norm: bool = True, swiglu: bool = True, rope: bool = True, qk_norm: bool = False,
        shift: bool = True, affine: bool = False, projections: "Union[int, Sequence[int], None]" = (),
        projector: int = 2048, encoder_depth: int = 8, learn_sigma: bool = False,
        layer_scale: bool = False, registers: int = 0, seed: Optional[int] = 0,
    ) -> Self:
        """A new model. qk_norm: RMS norms of queries and keys, layer norms without rms_norm.

        Without `shift` the modulation of blocks has scales and gates alone. `affine` gives layer
        norms gamma and beta (USP's variant); RMS norms have their gamma anyway. `projections`,
        `projector`, `encoder_depth`: as of a SiT; such a model's t = 1 is noise. `layer_scale`,
        `registers`: as of a `MaskedAutoencoder`.
        """
        return cls._create("LightningDiT", seed, dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            classes=classes, rms_norm=rms_norm, swiglu=swiglu, rope=rope, qk_norm=qk_norm,
            shift=shift, affine=affine, projections=widths("projections", projections),
            projector=projector, encoder_depth=encoder_depth, learn_sigma=learn_sigma,
            layer_scale=layer_scale, registers=registers))
