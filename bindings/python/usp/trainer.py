"""Training step by step with one's own batches."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, List, Optional, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import dtype_name
from ._call import call, encoded, exactly, options, sizes, view_text
from ._callbacks import Callbacks
from ._errors import ArgumentError
from ._handles import Handle
from ._library import lib
from ._model import Model
from ._sampling import Run
from .checkpoint import Checkpoint
from .diffusion import Diffusion
from .dit import DiT, SiT
from .mae import MaskedAutoencoder
from .transport import Transport
from .vae import VAE
from .vit import ViT

FAMILIES = {"VAE": VAE, "MAE": MaskedAutoencoder, "ViT": ViT, "DiT": DiT, "SiT": SiT}

RECOMPUTATIONS = {
    False: _abi.usp_recompute.USP_RECOMPUTE_NOTHING,
    True: _abi.usp_recompute.USP_RECOMPUTE_BLOCKS,
    "blocks": _abi.usp_recompute.USP_RECOMPUTE_BLOCKS,
    "hidden": _abi.usp_recompute.USP_RECOMPUTE_HIDDEN,
}


class Trainer(Handle):
    """A private copy of a model with optimiser and average. One thread at a time.

    What is minimised goes by the family: reconstruction and divergence (VAE), masked patches
    (MaskedAutoencoder), cross entropy (ViT), the Gaussian process's loss (DiT) or the
    transport's (SiT). Everything random depends on seed, step and the sample's place in the batch
    alone.

    Parameters
    ----------
    rate, minimum_rate, warmup, steps : linear warm-up, then half a cosine; steps 0 is constant
    average_decay : of the exponential moving average; 0 keeps none
    average_warms_up : let that decay grow with the steps n, min(average_decay, (1 + n)/(10 + n))
    accumulation : equal parts that a batch is cut into
    recompute : what a transformer's step computes again for its gradients instead of keeping it, to
        the same bits: "hidden", the hidden layer of each block (MAE-B, batch 16: 0.86 of the memory
        in 1.09 of the time; bf16 0.92 in 1.08); "blocks" or True, each block (0.69 in 1.20; bf16
        0.81 in 1.18)
    exact : sum every product plainly (see `Model`)
    allreduce : function(array) that sums a flat float32 array over world_size ranks in place
    """

    kind = "usp_trainer"

    def __init__(
        self, model: Model, *, rate: Optional[float] = None, minimum_rate: float = 0.0,
        warmup: int = 0, steps: int = 0, optimizer: Optional[str] = None,
        weight_decay: float = 0.0, beta1: Optional[float] = None, beta2: Optional[float] = None,
        average_decay: float = 0.0, average_warms_up: bool = False, clip_norm: float = 0.0,
        layer_decay: Optional[float] = None,
        accumulation: int = 1, dtype: Any = None, exact: bool = False, seed: int = 0,
        mask_ratio: Optional[float] = None, norm_pix_loss: bool = True,
        kl_weight: Optional[float] = None, reconstruction: Optional[str] = None,
        label_smoothing: float = 0.0, drop_path: float = 0.0, label_dropout: float = 0.0,
        head_only: bool = False, recompute: Union[bool, str] = False,
        diffusion: Optional[Diffusion] = None, transport: Optional[Transport] = None,
        allreduce: "Optional[Callable[[np.ndarray], Any]]" = None, world_size: int = 1,
    ):
        self._callbacks, self._head_only = Callbacks(), head_only
        choice = _abi.usp_choice
        given = options(
            _abi.usp_trainer_options, optimizer=optimizer, rate=exactly(rate),
            minimum_rate=minimum_rate, warmup=warmup, steps=steps, weight_decay=weight_decay,
            beta1=exactly(beta1), beta2=exactly(beta2), average_decay=average_decay,
            average_warms_up=int(average_warms_up), clip_norm=clip_norm,
            layer_decay=exactly(layer_decay), compute=dtype_name(dtype), exact=int(exact),
            seed=seed, kl_weight=exactly(kl_weight), reconstruction=reconstruction,
            norm_pix_loss=int(choice.USP_YES if norm_pix_loss else choice.USP_NO),
            label_smoothing=label_smoothing, drop_path=drop_path, head_only=int(head_only),
            label_dropout=label_dropout, recompute=recomputation(recompute), world_size=world_size,
            **sizes(accumulation=accumulation, mask_ratio=mask_ratio))
        if diffusion is not None:
            given.diffusion = diffusion.handle
        if transport is not None:
            given.transport = transport.handle
        if allreduce is not None:
            given.allreduce = self._callbacks.wrap(_abi.usp_allreduce_fn, flat(allreduce))
        self._adopt(lib.usp_trainer_create, model.handle, ctypes.byref(given))

    def step(
        self, inputs: Any, labels: Any = None, *, times: Any = None, noise: Any = None
    ) -> float:
        """One update from [B, C, H, W] images or latents; returns the loss.

        labels [B] for ViT, DiT and SiT (others do not read them), or [B, K] float32 shares of a
        ViT's classes (mixup); times [B] and noise are drawn where they are not given. With
        `head_only` features [B, D] will do as well: they do not change while only the head is
        trained, so they can be computed once.
        """
        batch, _keep = self._batch(inputs, labels, times, noise)
        loss = ctypes.c_float()
        self._callbacks.call(lib.usp_trainer_step, self.handle, *batch, ctypes.byref(loss))
        return loss.value

    def gradients(
        self, inputs: Any, labels: Any = None, *, times: Any = None, noise: Any = None
    ) -> Tuple[float, Checkpoint]:
        """The loss of the next step, and name -> gradient in the names of the model's file.

        Of the whole batch at once, before clipping; nothing changes. Inputs as for `step`.
        """
        batch, _keep = self._batch(inputs, labels, times, noise)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_trainer_gradients, self.handle, *batch, ctypes.byref(loss))
        return loss.value, gradients

    def _batch(self, inputs: Any, labels: Any, times: Any, noise: Any) -> Tuple[List[Any], Run]:
        """A batch as arguments, and what keeps them alive."""
        run = Run()
        axes = ["B", "D"] if self._head_only and np.ndim(inputs) == 2 else ["B", "C", "H", "W"]
        tensor = run.array(inputs, "inputs", shape=axes)
        count = tensor.contents.shape[0]
        if np.ndim(labels) == 2:
            labels = run.array(labels, "labels", shape=[count, "K"])
        else:
            labels = run.numbers(labels, "labels", np.int64, count)
        times = run.numbers(times, "times", np.float32, count)
        return [tensor, labels, times, run.array(noise, "noise")], run

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(lib.usp_trainer_steps(self.handle))

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return float(lib.usp_trainer_rate(self.handle))

    @property
    def gradient_norm(self) -> float:
        """Norm of all gradients of the last step, before clipping; 0 without clipping."""
        return float(lib.usp_trainer_gradient_norm(self.handle))

    def model(self, averaged: bool = False) -> Any:
        """A copy of the model as it is now, or with the moving average's values."""
        made = Model._made(lib.usp_trainer_model, self.handle, int(averaged))
        made.__class__ = FAMILIES[view_text(lib.usp_model_family(made.handle))]
        return made

    def save(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Writes everything that `restore` needs to go on as if training had never stopped."""
        call(lib.usp_trainer_save, self.handle, encoded(path))

    def restore(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Continues from what `save` wrote."""
        call(lib.usp_trainer_restore, self.handle, encoded(path))

    def cancel(self) -> None:
        """Stops the step under way, or else the next one; any thread may call it."""
        lib.usp_trainer_cancel(self.handle)


def recomputation(level: Union[bool, str]) -> int:
    """The C value of what is computed again."""
    try:
        return int(RECOMPUTATIONS[level])
    except (KeyError, TypeError):
        raise ArgumentError(
            f"recompute: {level!r}, expected False, 'hidden', 'blocks' or True") from None


def flat(function: "Callable[[np.ndarray], Any]") -> Callable[..., None]:
    """The C form of an all-reduce."""

    def reduce(data: Any, count: int, _user: Any) -> None:
        function(np.ctypeslib.as_array(data, (count,)))

    return reduce
