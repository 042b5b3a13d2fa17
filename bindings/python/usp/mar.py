"""Masked autoregressive generation: tokens predicted a few at a time, each by a diffusion."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, NamedTuple, Optional, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import as_numpy, dtype_name, result
from ._call import call, options, whole_number
from ._callbacks import Progress
from ._errors import ArgumentError, DTypeError
from ._library import lib
from ._model import Grid, Model, Names, Source
from ._sampling import Run, previewer
from .checkpoint import Checkpoint


class MAROutput(NamedTuple):
    """Mean loss over hidden tokens and copies, that of all tokens [M, B, T], mask [B, T]."""

    loss: float
    token_loss: np.ndarray
    mask: np.ndarray


class MAR(Model):
    """A masked autoregressive model of latents, whose tokens are denoised one by one.

    Tokens are patches of E = C*P*P values, row by row; labels are 0 … K - 1, and `null_class` (K)
    for no label. Masks [B, T] are 1 for hidden tokens, equally many in each row.

    Examples
    --------
    >>> model = usp.MAR.create(
    ...     grid=2, channels=4, width=16, depth=1, heads=2, buffer=2, classes=3, head_width=16,
    ...     head_depth=1)
    >>> model.sample([0, 2], iterations=2, respacing="5").shape
    (2, 4, 2, 2)
    """

    _family = "MAR"

    @classmethod
    def load(
        cls, source: Source, num_heads: Optional[int] = None,
        decoder_num_heads: Optional[int] = None, *, dtype: Any = None, exact: bool = False,
        table: Optional[str] = None, grid: Grid = None, ignore: Names = None, strict: bool = True,
    ) -> "MAR":
        """Loads the original's training files (averaged weights first), flat ones, or our own.

        Heads not given are the published ones of the width, or what the file says; the decoder's
        are as the encoder's. `dtype` and `exact`: see `Model`. `grid`, as for
        `create`, is needed where patches are no square. `ignore`, `strict`: see `Model`.
        """
        return cls._load(
            source, grid, heads=num_heads, decoder_heads=decoder_num_heads,
            compute=dtype_name(dtype), exact=int(exact), table=table, ignore=ignore,
            strict=strict)

    @classmethod
    def create(
        cls, *, grid: Grid = 16, channels: int = 16, patch: int = 1, width: int = 768,
        depth: int = 12, heads: int = 12, decoder_width: Optional[int] = None,
        decoder_depth: Optional[int] = None, decoder_heads: Optional[int] = None, buffer: int = 64,
        classes: int = 1000, head_width: int = 1024, head_depth: int = 6, seed: int = 0,
    ) -> "MAR":
        """A new model; the decoder's sizes are the encoder's where they are not given."""
        sizes = dict(
            grid=grid, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            decoder_width=decoder_width, decoder_depth=decoder_depth, decoder_heads=decoder_heads,
            buffer=buffer, classes=classes, head_width=head_width, head_depth=head_depth)
        return cls._create(
            "MAR", seed, {name: value for name, value in sizes.items() if value is not None})

    @property
    def tokens(self) -> int:
        """T."""
        return int(self.config.grid_height * self.config.grid_width)

    @property
    def null_class(self) -> int:
        """The label that stands for no label."""
        return int(self.config.classes)

    @property
    def _values(self) -> int:
        return int(self.config.channels * self.config.patch ** 2)

    def _pass(
        self, latents: Any, y: Any, mask: Any, mask_ratio: Optional[float], t: Any, noise: Any,
        copies: int, seed: int,
    ) -> "Tuple[Run, list[Any], int, int]":
        run = Run()
        image = self.input_shape(1)[1:]
        inputs = run.array(latents, "latents", shape=["B", *image])
        batch = inputs.contents.shape[0]
        given = options(
            _abi.usp_mar_options, mask_ratio=mask_ratio, copies=whole_number(copies, "copies", 1), seed=seed)
        given.mask = run.array(mask, "mask", shape=[batch, self.tokens])
        steps = whole(t, "t")
        given.times = run.array(steps, "t", dtype=np.int64, shape=["M", batch, self.tokens])
        given.noise = run.array(noise, "noise", shape=["M", batch, *image])
        told = [pointer.contents.shape[0] for pointer in (given.times, given.noise) if pointer]
        labels = run.numbers(y, "y", np.int64, batch)
        return run, [inputs, labels, ctypes.byref(given)], batch, (told or [copies])[0]

    def forward(
        self, latents: Any, y: Any = None, *, mask: Any = None,
        mask_ratio: Optional[float] = None, t: Any = None, noise: Any = None, copies: int = 4,
        seed: int = 0,
    ) -> MAROutput:
        """Hides tokens of latents [B, C, H, W], and compares what the head makes of noised tokens.

        y [B]; None is no label for all. What is None is drawn from seed: `mask` [B, T] an order a
        sample and one ratio for the batch (a normal of mean 1 and deviation 0.25 truncated to
        0.7 … 1), unless `mask_ratio` is given; `t` [M, B, T] steps 0 … 999; `noise`
        [M, B, C, H, W]; M is `copies` where neither tells.
        """
        _run, arguments, batch, count = self._pass(
            latents, y, mask, mask_ratio, t, noise, copies, seed)
        losses, loss_array = result(None, (count, batch, self.tokens))
        hidden, mask_array = result(None, (batch, self.tokens))
        loss = ctypes.c_float()
        call(
            lib.usp_mar_forward, self.handle, *arguments, ctypes.byref(loss),
            ctypes.byref(losses), ctypes.byref(hidden))
        return MAROutput(loss.value, loss_array, mask_array)

    __call__ = forward

    def gradients(
        self, latents: Any, y: Any = None, *, mask: Any = None,
        mask_ratio: Optional[float] = None, t: Any = None, noise: Any = None, copies: int = 4,
        seed: int = 0,
    ) -> Tuple[float, Checkpoint]:
        """The loss of `forward`, and name -> gradient in the names of the file."""
        _run, arguments, _batch, _count = self._pass(
            latents, y, mask, mask_ratio, t, noise, copies, seed)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_mar_gradients, self.handle, *arguments, ctypes.byref(loss))
        return loss.value, gradients

    def condition(self, latents: Any, y: Any = None, *, mask: Any) -> np.ndarray:
        """What conditions the head, [B, T, D]: the decoder's output with the head's positions."""
        run = Run()
        inputs = run.array(latents, "latents", shape=["B", *self.input_shape(1)[1:]])
        batch = inputs.contents.shape[0]
        target, array = run.output(None, (batch, self.tokens, self.config.decoder_width))
        call(
            lib.usp_mar_condition, self.handle, inputs, run.numbers(y, "y", np.int64, batch),
            run.array(mask, "mask", shape=[batch, self.tokens]), target)
        return array

    def denoise(
        self, x: Any, t: Any, condition: Any, cfg_scale: Optional[float] = None
    ) -> np.ndarray:
        """The head, [N, 2E]: the noise in tokens x [N, E] at steps t [N], then the variance values.

        With `cfg_scale` N = 2n: both halves see the first half's x, and both get the noise guided
        from the second half's condition [N, D] to the first's; variances are each half's own.
        """
        run = Run()
        tokens = run.array(x, "x", shape=["N", self._values])
        count = tokens.contents.shape[0]
        target, array = run.output(None, (count, 2 * self._values))
        arguments = [
            tokens, run.numbers(t, "t", np.float32, count),
            run.array(condition, "condition", shape=[count, self.config.decoder_width])]
        if cfg_scale is None:
            call(lib.usp_mar_denoise, self.handle, *arguments, target)
        else:
            call(lib.usp_mar_denoise_guided, self.handle, *arguments, cfg_scale, target)
        return array

    def sample(
        self, y: Any = None, *, count: Optional[int] = None, orders: Any = None, z: Any = None,
        noise: Any = None, out: Any = None,
        progress: "Union[Callable[[Progress], Any], bool, None]" = None,
        preview: Optional[Callable[[Progress, np.ndarray], Any]] = None,
        # options: usp_mar_sample_options
        iterations: int = 64, cfg_scale: float = 1.0, cfg_schedule: str = "linear",
        temperature: float = 1.0, respacing: str = "100", last_steps: Optional[int] = None,
        seed: int = 0, generator: Optional[str] = None, first_sample: int = 0,
        total_samples: Optional[int] = None, preview_interval: int = 10,
        # end of options
    ) -> np.ndarray:
        """Draws latents [B, C, H, W] for labels y [B], or `count` of them without labels.

        orders [B, T]: permutations of the tokens, whose first stay hidden longest; z [B, C, H, W]:
        what each token's diffusion starts from; noise [S, B, C, H, W]: that of each reverse step,
        the noisiest first, used at a token's place. What is None is drawn from seed, in a stream
        of its own for each sample, token and step.

        Other Parameters
        ----------------
        iterations : int, default 64
            Passes of encoder and decoder, 1 to T; each predicts more tokens than the one before. 1
            to 1000000. Default: 64.
        cfg_scale : float, default 1.0
            Guidance between the prediction with and without label; 1 is none. Default: 1.
        cfg_schedule : str, default "linear"
            linear: 1 + (cfg_scale - 1) times the share of tokens that are then predicted. One of
            linear, constant. Default: linear.
        temperature : float, default 1.0
            Factor of the noise between the reverse steps of a token. 0 or more. Default: 1.
        respacing : str, default "100"
            Which of the 1000 steps a token's diffusion uses, as usp_diffusion_options.respacing.
            Default: 100.
        last_steps : Optional[int], optional
            Reverse steps of the last iteration; the number falls to it evenly from respacing's,
            then a plain number (DiSA: later tokens need fewer). Absent: it stays. 1 to 1000.
        seed : int, default 0
            Of orders and noise that are drawn. Default: 0.
        generator : Optional[str], optional
            torch: the noise that the original draws on a CPU after this seed; absent: one counter-
            based stream for each sample, token and step. One of torch.
        first_sample : int, default 0
            Number of the batch's first sample, for runs in parts: what is drawn goes by a sample's
            number. 0 to 281474976710656. Default: 0.
        total_samples : Optional[int], optional
            Samples of all parts together, which torch's generator draws at once; absent: the
            batch's. 1 to 281474976710656.
        preview_interval : int, default 10
            Iterations from preview to preview. 1 or more. Default: 10.

        """
        run = Run()
        if count is None and y is None:
            raise ArgumentError("y: are needed, or count")
        batch = as_numpy(y, "y")[0].size if count is None else whole_number(count, "count", 1)
        image = self.input_shape(1)[1:]
        target, array = run.output(out, (batch, *image))
        given = options(
            _abi.usp_mar_sample_options, iterations=iterations, cfg_scale=cfg_scale,
            cfg_schedule=cfg_schedule, temperature=temperature, respacing=respacing,
            last_steps=last_steps, seed=seed, generator=generator, first_sample=first_sample,
            total_samples=total_samples or None, preview_interval=preview_interval)
        given.orders = run.array(
            whole(orders, "orders"), "orders", dtype=np.int64, shape=[batch, self.tokens])
        given.z = run.array(z, "z", shape=[batch, *image])
        given.noise = run.array(noise, "noise", shape=["S", batch, *image])
        given.progress = run.callbacks.progress(progress)
        if preview is not None:
            given.preview = run.callbacks.wrap(_abi.usp_progress_fn, previewer(preview))
        run.callbacks.call(
            lib.usp_mar_sample, self.handle, run.numbers(y, "y", np.int64, batch),
            ctypes.byref(given), target)
        return array


def whole(value: Any, name: str) -> Optional[np.ndarray]:
    """An array of whole numbers as int64; None stays None."""
    if value is None:
        return None
    array, _ = as_numpy(value, name)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: dtype {array.dtype}, expected whole numbers")
    return np.ascontiguousarray(array, np.int64)
