"""Training step by step with one's own batches."""

from __future__ import annotations

import ctypes
import os
from functools import wraps
from inspect import signature
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, TypeVar, Union

import numpy as np

from . import _abi
from ._arrays import as_numpy, dtype_name
from ._call import call, encoded, options
from ._callbacks import Callbacks
from ._errors import ArgumentError
from ._handles import Handle, handle_of
from ._library import lib
from ._model import Model, model_of
from ._sampling import Run
from .checkpoint import Checkpoint
from .diffusion import Diffusion
from .ranks import Ranks
from .transport import Transport

RECOMPUTATIONS = {False: "nothing", True: "blocks", "hidden": "hidden", "blocks": "blocks"}


#: recipes that train a head on a frozen encoder
FROZEN = ("probe", "segment-linear")

Init = TypeVar("Init", bound=Callable[..., None])


def recipe_options(recipe: str, said: Mapping[str, Any]) -> Dict[str, Any]:
    """The options of a trainer that a recipe and what is said beside it come to."""
    from .stage import recipe_values

    if not isinstance(recipe, str):
        raise ArgumentError(f"recipe: {type(recipe).__name__}, expected the name of one")
    said = {name: value for name, value in said.items() if value is not None}
    batch = said.get("batch")
    values = recipe_values(recipe, {} if batch is None else {"batch": batch})
    constant, share = values.get("constant", False), values.get("warmup_share", 0.0)
    length = said.get("steps") or values.get("steps")
    if length is None and (share or not constant):
        raise ArgumentError(
            f"steps: the rate of the recipe {recipe} changes over all steps; give their number")
    own = signature(Trainer).parameters.keys() - {"model"}
    taken = {name: value for name, value in values.items() if name in own}
    result = {"head_only": recipe in FROZEN, **taken, **said}
    result.update(recipe=recipe, steps=0 if constant else length)
    if "rate" not in result:
        single = np.float32(values["blr"]) * np.float32(values.get("batch", 64)) / np.float32(256)
        result["rate"] = float(single)
    if "warmup" not in result and "warmup_epochs" in values:
        raise ArgumentError(
            f"warmup: {values['warmup_epochs']} epochs by the recipe {recipe}; give its steps")
    result.setdefault("warmup", int(share * (length or 0)))
    return result


def by_recipe(init: Init) -> Init:
    """Puts a recipe's options where nothing is said; defaults alone do not tell what was said."""

    @wraps(init)
    def made(self: Any, *arguments: Any, **said: Any) -> None:
        recipe = said.get("recipe")
        init(self, *arguments, **(said if recipe is None else recipe_options(recipe, said)))

    return made  # type: ignore[return-value]


class Trainer(Handle):
    """A private copy of a model with optimiser and average. One thread at a time.

    What is minimised goes by the family: reconstruction and divergence (VAE), masked patches
    (MaskedAutoencoder), cross entropy (ViT), the Gaussian process's loss (DiT) or the
    transport's (SiT). Everything random depends on seed, step and the sample's place in the batch
    alone.

    Parameters
    ----------
    recipe : a stage's, "pretrain", "finetune", "mae-b", "train", ... (see `usp.recipe`): its values stand
        where an option is not given, and rate, warm-up and steps are as in the stage, of which `steps`
        is the length. What it says of sizes and of data is theirs
    batch : of the recipe, samples of a step, in proportion to which its rate may be; the recipe's
        unless given
    recompute : what a transformer's step computes again for its gradients instead of keeping it, to
        the same bits: "hidden", the hidden layer of each block (MAE-B, batch 16: 0.86 of the memory
        in 1.09 of the time; bf16 0.92 in 1.08); "blocks" or True, each block (0.69 in 1.20; bf16
        0.81 in 1.18)
    allreduce : function(array) that sums a flat float32 array over world_size ranks in place;
        rank, 0 to world_size - 1, is this one: in place of `ranks`

    Other Parameters
    ----------------
    optimizer : str, default "adamw"
        The rule that updates parameters: AdamW or LARS. One of adamw, lars. Default: adamw.
    rate : float, default 0.0001
        Peak learning rate. 0 or more. Default: 0.0001.
    minimum_rate : float, default 0.0
        The learning rate at which the schedule ends. 0 or more. Default: 0.
    warmup : int, default 0
        Steps of linear warm-up from 0. 0 or more. Default: 0.
    steps : int, default 0
        Steps in all, over which the rate falls; 0 keeps it constant after the warm-up. 0 or more.
        Default: 0.
    weight_decay : float, default 0.0
        Decay of matrices; vectors, biases, a classifier's class token and its positions do not
        decay. 0 or more. Default: 0.
    beta1 : float, default 0.9
        AdamW's first decay; the momentum of LARS. 0 to below 1. Default: 0.9.
    beta2 : float, default 0.999
        AdamW's second decay. 0 to below 1. Default: 0.999.
    average_decay : float, default 0.0
        Decay of the exponential moving average of the parameters; 0 keeps none. 0 to below 1.
        Default: 0.
    average_warms_up : bool, default False
        Let that decay grow with the steps n, min(average_decay, (1 + n)/(10 + n)), so that the
        average of a short run looks back over its last tenth. Default: no.
    clip_norm : float, default 0.0
        Largest norm of all gradients together; 0 does not clip. 0 or more. Default: 0.
    layer_decay : float, default 1.0
        Factor of the rate for each layer away from the head. 0 or more. Default: 1. Part in: MAE,
        ViT, Segmenter, LightningDiT, DiT, SiT.
    accumulation : int, default 1
        Equal parts that a batch is cut into; their gradients are averaged. 1 or more. Default: 1.
    dtype : Any, optional
        Type of the products' inputs; sums and parameters stay f32. One of f32, bf16. Default: f32.
    exact : bool, default False
        Sum every product plainly, as a model that is loaded so. Default: no.
    seed : int, default 0
        Seed of all that is drawn: noise, times, masks, dropped labels. Default: 0.
    mask_ratio : float, default 0.75
        Share of masked tokens. 0 to below 1. Default: 0.75. Part in: MAE.
    norm_pix_loss : bool, default True
        Normalise each patch of the target. Default: yes. Part in: MAE.
    norm_image : bool, default False
        Normalise each target over all of its patches, in place of each patch. Default: no. Part in:
        MAE.
    add_noise : bool, default False
        Noise the input, sqrt(t) x + sqrt(1 - t) e with t in 0.5 to 1; the target stays clean.
        Default: no. Part in: MAE.
    kl_weight : float, default 1e-06
        Weight of the divergence. 0 or more. Default: 1e-06. Part in: VAE.
    reconstruction : str, default "squared"
        How a reconstruction is compared with its image: squared or absolute error. One of squared,
        absolute. Default: squared. Part in: VAE.
    label_smoothing : float, default 0.0
        Share of the label that is spread over all classes. 0 to 1. Default: 0. Part in: ViT.
    drop_path : float, default 0.0
        Rate of drop path in the last block; it grows linearly from 0. 0 to below 1. Default: 0.
        Part in: ViT, Segmenter.
    head_only : bool, default False
        Train the head alone: a linear probe. Default: no. Part in: ViT, Segmenter.
    label_dropout : float, default 0.0
        Share of labels that become the null class. 0 to 1. Default: 0. Part in: LightningDiT, DiT,
        SiT, MAR.
    diffusion : Optional[Diffusion], optional
        The Gaussian process, kept; absent: 1000 steps, a DiT's linear, a MAR's cosine. Part in:
        DiT, MAR.
    transport : Optional[Transport], optional
        The transport, kept; absent: Linear, velocity. Part in: LightningDiT, SiT.
    ranks : Optional[Ranks], optional
        This process among those that train together, kept; absent: it trains alone.
    schedule : str, default "cosine"
        How the rate falls behind the warm-up: half a cosine, or a line as mmengine's PolyLR of
        power 1, whose warm-up starts at 1e-6 of the rate. One of cosine, poly. Default: cosine.
    dropout : float, default 0.0
        Rate at which a Segmenter's head's channels are zeroed, and a MAR's values behind
        attention's projection and both layers of the MLPs. 0 to below 1. Default: 0. Part in:
        Segmenter, MAR.
    average : str, default "all"
        The pixels' losses are divided by the number of all, ignored ones too, or of the valid ones.
        One of all, valid. Default: all. Part in: Segmenter.
    ignored : int, default 255
        The label that is no class. -32768 to 65535. Default: 255. Part in: Segmenter.
    copies : int, default 4
        How often each hidden token is denoised in a step, each time at another step and with other
        noise. 1 to 4096. Default: 4. Part in: MAR.
    attention_dropout : float, default 0.0
        Share of attention's probabilities that are dropped: not built, so 0. 0 to below 1. Default:
        0. Part in: MAR.
    align : float, default 0.0
        Weight of the alignment with a teacher's features: of a flow minus the mean cosine of its
        projected tokens with them (REPA, 0.5); of an autoencoder how its latents' cosines differ
        from theirs (VA-VAE, 0.1 to 0.5), balanced with the reconstruction. 0 or more. Default: 0.
        Part in: LightningDiT, SiT, VAE.
    parts : Optional[int], optional
        What a batch of all ranks is cut into, a power of two that divides it: gradients are summed
        over parts in pairs, so the number of ranks changes no bit. Absent: with ranks that have
        collectives the largest one up to 64, else the batch is not cut. 1 to 1024.
    teacher_width : int, default 0
        Width of the features that an autoencoder aligns with, to which a 1x1 convolution of the
        training's own takes its latents; needed by align. 0 to 65536. Default: 0. Part in: VAE.
    distmat_margin : float, default 0.0
        Difference of two latents' cosine from their features' that costs nothing (VA-VAE: 0, in the
        end 0.25). 0 or more. Default: 0. Part in: VAE.
    cos_margin : float, default 0.0
        Distance 1 - cosine of a latent from its feature that costs nothing (VA-VAE: 0, in the end
        0.5). 0 or more. Default: 0. Part in: VAE.
    shard : bool, default False
        Keep moments and average in shares, one on each rank: the same bits, files and traffic, and
        the memory of weights, gradients and a share. All ranks save, and ask for the averaged
        model, together; of one rank nothing changes. Default: no.
    overlap : bool, default True
        Sum gradients over ranks while the backward pass goes on, each as soon as it is complete, on
        a thread beside; else behind it, to the same bits. Default: yes.
    reduction : str, default "f32"
        Type in which parts' gradients are handed on where they are added in pairs, in f32: bf16
        halves the traffic of ranks and rounds at every pair, on any number of ranks to the same
        bits. One of f32, bf16. Default: f32.

    Examples
    --------
    >>> model = usp.ViT.create(grid=2, width=16, depth=1, heads=2, classes=2)
    >>> trainer = usp.Trainer(model, rate=1e-2)
    >>> inputs, labels = usp.random.normal((4, 4, 4, 4)), [0, 1, 0, 1]
    >>> losses = [trainer.step(inputs, labels) for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    >>> usp.Trainer(model, recipe="finetune", steps=100, batch=4, rate=1e-3, warmup=0).rate
    0.0010000000474974513
    """

    kind = "usp_trainer"

    @by_recipe
    def __init__(
        self, model: Model, *, recipe: Optional[str] = None, batch: Optional[int] = None,
        recompute: Union[bool, str] = False,
        allreduce: "Optional[Callable[[np.ndarray], Any]]" = None, world_size: int = 1,
        rank: int = 0,
        # options: usp_trainer_options, but recompute
        optimizer: str = "adamw", rate: float = 0.0001, minimum_rate: float = 0.0, warmup: int = 0,
        steps: int = 0, weight_decay: float = 0.0, beta1: float = 0.9, beta2: float = 0.999,
        average_decay: float = 0.0, average_warms_up: bool = False, clip_norm: float = 0.0,
        layer_decay: float = 1.0, accumulation: int = 1, dtype: Any = None, exact: bool = False,
        seed: int = 0, mask_ratio: float = 0.75, norm_pix_loss: bool = True,
        norm_image: bool = False, add_noise: bool = False, kl_weight: float = 1e-06,
        reconstruction: str = "squared", label_smoothing: float = 0.0, drop_path: float = 0.0,
        head_only: bool = False, label_dropout: float = 0.0, diffusion: Optional[Diffusion] = None,
        transport: Optional[Transport] = None, ranks: Optional[Ranks] = None,
        schedule: str = "cosine", dropout: float = 0.0, average: str = "all", ignored: int = 255,
        copies: int = 4, attention_dropout: float = 0.0, align: float = 0.0,
        parts: Optional[int] = None, teacher_width: int = 0, distmat_margin: float = 0.0,
        cos_margin: float = 0.0, shard: bool = False, overlap: bool = True, reduction: str = "f32",
        # end of options
    ):
        model = model_of(model, "model", Model)
        if recipe is None and batch is not None:
            raise ArgumentError("batch: has no part without a recipe")
        self._head_only = head_only
        if ranks is None:
            ranks = self._ranks(allreduce, rank, world_size)
        elif allreduce is not None:
            raise ArgumentError("ranks, allreduce: exclude each other")
        self._callbacks = ranks.callbacks if ranks is not None else Callbacks()
        given = options(
            _abi.usp_trainer_options, optimizer=optimizer, rate=rate, minimum_rate=minimum_rate,
            warmup=warmup, steps=steps, weight_decay=weight_decay, beta1=beta1, beta2=beta2,
            average_decay=average_decay, average_warms_up=average_warms_up, clip_norm=clip_norm,
            layer_decay=layer_decay, accumulation=accumulation, dtype=dtype_name(dtype),
            exact=exact, seed=seed, recompute=recomputation(recompute), mask_ratio=mask_ratio,
            norm_pix_loss=norm_pix_loss, norm_image=norm_image, add_noise=add_noise,
            kl_weight=kl_weight, reconstruction=reconstruction, label_smoothing=label_smoothing,
            drop_path=drop_path, head_only=head_only, label_dropout=label_dropout,
            schedule=schedule, dropout=dropout, average=average, ignored=ignored,
            copies=copies, attention_dropout=attention_dropout, align=align,
            parts=parts, teacher_width=teacher_width, distmat_margin=distmat_margin,
            cos_margin=cos_margin, shard=shard, overlap=overlap, reduction=dtype_name(reduction))
        given.diffusion = handle_of(diffusion, "diffusion", Diffusion)
        given.transport = handle_of(transport, "transport", Transport)
        given.ranks = handle_of(ranks, "ranks", Ranks)
        self._adopt(lib.usp_trainer_create, model.handle, ctypes.byref(given))

    @classmethod
    def _of_stage(cls, stage: Handle) -> "Trainer":
        """The trainer of a stage of the pipeline."""
        self = cls._made(lib.usp_stage_trainer, stage.handle)
        self._head_only, self._callbacks = False, Callbacks()
        return self

    @staticmethod
    def _ranks(
        allreduce: "Optional[Callable[[np.ndarray], Any]]", rank: int, world_size: int
    ) -> Optional[Ranks]:
        if allreduce is None:
            if world_size != 1 or rank != 0:
                raise ArgumentError(f"world_size: {world_size} ranks without an allreduce")
            return None
        return Ranks(rank, world_size, allreduce)

    def step(
        self, inputs: Any, labels: Any = None, *, times: Any = None, noise: Any = None,
        target: Any = None, features: Any = None, mask: Any = None,
    ) -> float:
        """One update from [B, C, H, W] images or latents; returns the loss.

        labels [B] for ViT, DiT and SiT (others do not read them), or [B, K] float32 shares of a
        ViT's classes (mixup); times [B] and noise are drawn where they are not given; target, of
        the inputs' shape, is what a MaskedAutoencoder's reconstruction is compared with; features
        [B, T, Z] of a teacher, or a list. A MAR takes labels [B] (None: no label), mask [B, T], 1
        for hidden tokens, times [M, B, T] and noise [M, B, C, H, W]. With `head_only`
        features [B, D] as inputs will do as well: they do not change while only the head is
        trained, so they can be computed once.
        """
        batch, _keep = self._batch(inputs, labels, times, noise, target, features, mask)
        loss = ctypes.c_float()
        self._callbacks.call(
            lib.usp_trainer_step, self.handle, ctypes.byref(batch), ctypes.byref(loss))
        return loss.value

    def gradients(
        self, inputs: Any, labels: Any = None, *, times: Any = None, noise: Any = None,
        target: Any = None, features: Any = None, mask: Any = None,
    ) -> Tuple[float, Checkpoint]:
        """The loss of the next step, and name -> gradient in the names of the model's file.

        Of the whole batch at once, before clipping; nothing changes. Inputs as for `step`.
        """
        batch, _keep = self._batch(inputs, labels, times, noise, target, features, mask)
        loss = ctypes.c_float()
        gradients = Checkpoint._made(
            lib.usp_trainer_gradients, self.handle, ctypes.byref(batch), ctypes.byref(loss))
        return loss.value, gradients

    def _batch(
        self, inputs: Any, labels: Any, times: Any, noise: Any, target: Any, features: Any,
        mask: Any,
    ) -> Tuple[Any, Run]:
        """A batch as a struct, and what keeps its arrays alive."""
        run = Run()
        axes = ["B", "D"] if self._head_only and np.ndim(inputs) == 2 else ["B", "C", "H", "W"]
        batch = options(_abi.usp_batch)
        batch.inputs = run.array(inputs, "inputs", shape=axes)
        count = batch.inputs.contents.shape[0]
        if np.ndim(labels) == 2:
            batch.labels = run.array(labels, "labels", shape=[count, "K"])
        elif np.ndim(labels) == 3:
            batch.labels = run.array(labels, "labels", dtype=None, shape=[count, "H", "W"])
        else:
            batch.labels = run.numbers(labels, "labels", np.int64, count)
        if np.ndim(times) == 3:
            steps = np.ascontiguousarray(as_numpy(times, "times")[0], np.float32)
            batch.times = run.array(steps, "times", shape=["M", count, "T"])
        else:
            batch.times = run.numbers(times, "times", np.float32, count)
        batch.mask = run.array(mask, "mask", shape=[count, "T"])
        batch.noise, batch.target = run.array(noise, "noise"), run.array(target, "target")
        batch.feature_count, batch.features = run.features(features)
        return batch, run

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(lib.usp_trainer_steps(self.handle))

    @property
    def rate(self) -> float:
        """Learning rate of the last step, or of the first where there was none. Set it, and the steps
        from then on have it in place of the schedule's; None goes back to the schedule. It is not part
        of what `save` writes."""
        return float(lib.usp_trainer_rate(self.handle))

    @rate.setter
    def rate(self, value: Optional[float]) -> None:
        call(
            lib.usp_trainer_set_rate, self.handle,
            float("nan") if value is None else float(value))

    @property
    def gradient_norm(self) -> float:
        """Norm of all gradients of the last step, before clipping; 0 without clipping."""
        return float(lib.usp_trainer_gradient_norm(self.handle))

    def model(self, averaged: bool = False) -> Any:
        """A copy of the model as it is now, or with the moving average's values."""
        return Model._made(lib.usp_trainer_model, self.handle, int(averaged))

    def save(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Writes everything that `restore` needs to go on as if training had never stopped."""
        call(lib.usp_trainer_save, self.handle, encoded(path, "path", "a file's path"))

    def restore(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Continues from what `save` wrote."""
        call(lib.usp_trainer_restore, self.handle, encoded(path, "path", "a file's path"))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.steps} steps, rate {self.rate:.4g}"
        return f"<usp.Trainer: {state}>"

    def cancel(self) -> None:
        """Stops the step under way, or else the next one; any thread may call it."""
        lib.usp_trainer_cancel(self.handle)


def recomputation(level: Union[bool, str]) -> str:
    """The name of what is computed again."""
    try:
        return RECOMPUTATIONS[level]
    except (KeyError, TypeError):
        raise ArgumentError(
            f"recompute: {level!r}, expected False, 'hidden', 'blocks' or True") from None
