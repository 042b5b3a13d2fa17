"""Stages of the pipeline: a recipe on its data, prepared by the library."""

from __future__ import annotations

import os
import shlex
import tempfile
import warnings
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from ._arrays import dtype_name
from ._call import composed, encoded, view_text
from ._config import parsed, value_text
from ._errors import ArgumentError
from ._handles import Handle, handle_of
from ._library import lib
from ._model import Model, model_of
from .data import Data
from .random import drawn
from .trainer import Trainer
from .vae import VAE, GivenVAE, vae_of


def quoted(name: str, value: Any) -> str:
    """A setting as the library reads it; a text with blanks stands in quotation marks."""
    if name == "dtype":
        value = dtype_name(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and value:
        if '"' in value or "\n" in value:
            raise ArgumentError(f"{name}: {value!r}, expected a text without quotation marks")
        return f'"{value}"' if any(c.isspace() for c in value) else value
    if isinstance(value, np.generic):
        value = value.item()
    return value_text(name, value)


#: options that a stage knows of, and has from elsewhere
ELSEWHERE = {
    **dict.fromkeys(
        ("size", "channels", "cache", "masks", "reduce_zero_label", "teacher"),
        "is said where the data is opened, usp.Data({}=...)"),
    "transport": "a stage is told path, prediction, loss_weight, times and cosine_loss",
    "diffusion": "a stage is told noise_schedule and prediction",
    **dict.fromkeys(
        ("ranks", "allreduce", "rank", "world_size"),
        "a stage trains alone; usp.Trainer and usp.Data take ranks, for a usp.Run"),
    "head_only": 'is what usp.finetune(probe=True) and usp.segment(head="linear") do',
}


def settings_text(settings: Mapping[str, Any]) -> str:
    """`steps=100 batch=8`; None is not said, but a seed is then drawn."""
    if settings.get("seed", 0) is None:
        settings = {**settings, "seed": drawn(None)}
    said = {name: value for name, value in settings.items() if value is not None}
    return " ".join(f"{name}={quoted(name, value)}" for name, value in said.items())


def stage_text(settings: Mapping[str, Any]) -> str:
    """The settings of a stage."""
    for name, value in settings.items():
        if name in ELSEWHERE and value is not None:
            raise ArgumentError(f"{name}: {ELSEWHERE[name].format(name)}")
    return settings_text(settings)


def as_file(settings: Dict[str, Any], name: str, folder: str) -> None:
    """A setting that the library reads from a file may be a model, which is then written there."""
    value = settings.get(name)
    if value is None or isinstance(value, (str, os.PathLike)):
        return
    model = model_of(value, name, Model, other=", or its file")
    settings[name] = path = os.path.join(os.path.abspath(folder), f"{name}.safetensors")
    if not os.path.exists(path) or Model._load(path).fingerprint != model.fingerprint:
        os.makedirs(folder, exist_ok=True)
        model.save(path)


class Stage(Handle):
    """A recipe on its data: a trainer with its model and its options, and the data as the trainer
    sees it, for loops of one's own. One thread at a time.

    Parameters
    ----------
    recipe : "autoencoder", "pretrain", "finetune", "probe", "train" or "autoregress"
    vae : what images go through, or its file; None: what `data` has
    start : a model, what a stage returned, a file or arrays by name to start from; None: a fresh one
    val : data of the same classes, to measure on
    settings : as for `usp.pretrain` and the others

    Examples
    --------
    >>> usp.Checkpoint({"latents": usp.random.normal((8, 4, 4, 4))}).save("latents.npz")
    >>> stage = usp.Stage(
    ...     "pretrain", usp.Data("latents.npz"), batch=4, steps=3, width=16, depth=1, heads=2,
    ...     decoder_width=16, decoder_depth=1, decoder_heads=2)
    >>> for step in range(3):
    ...     loss = stage.trainer.step(*stage.data.batch(step))
    >>> stage.model().config.width
    16
    """

    kind = "usp_stage"

    def __init__(
        self, recipe: str, data: Data, vae: GivenVAE = None, *, start: Any = None,
        val: Optional[Data] = None, **settings: Any,
    ):
        if not isinstance(data, Data):
            raise ArgumentError(f"data: {type(data).__name__}, expected a usp.Data")
        text = {**data.said, **settings}
        if isinstance(start, Mapping):
            start = Model._load(start)
        if isinstance(start, (str, os.PathLike)):
            text["from"], start = start, None
        elif start is not None:
            start = model_of(start, "start", Model, other=", or its file")
        vae = vae_of(vae)
        with tempfile.TemporaryDirectory() as folder:
            as_file(text, "judge", folder)
            self._adopt(
                lib.usp_stage_create, encoded(recipe, "recipe"), data.handle,
                handle_of(vae, "vae", VAE), handle_of(start, "start", Model),
                handle_of(val, "val", Data), encoded(stage_text(text)))
        for index, note in enumerate(self.notes):
            if lib.usp_stage_note_warns(self.handle, index):
                warnings.warn(note, stacklevel=2)

    @property
    def trainer(self) -> Trainer:
        return Trainer._of_stage(self)

    @property
    def data(self) -> Data:
        return Data._of_stage(self)

    @property
    def notes(self) -> List[str]:
        """What was moved, left out or made smaller."""
        count = lib.usp_stage_note_count(self.handle)
        return [view_text(lib.usp_stage_note(self.handle, index)) for index in range(count)]

    @property
    def metrics(self) -> Dict[str, float]:
        """The last numbers that were measured."""
        pairs = composed(lib.usp_stage_metrics, self.handle).split()
        return {name: float(value) for name, value in (pair.split("=") for pair in pairs)}

    def model(self) -> Any:
        """The model as it is now: averaged weights where there are some, an autoencoder with the
        scale of its latents."""
        return Model._made(lib.usp_stage_model, self.handle)


def recipe_values(name: str, changes: Mapping[str, Any]) -> Dict[str, Any]:
    """What a recipe says, by name."""
    text = composed(
        lib.usp_recipe_text, encoded(name, "name"), encoded(stage_text(changes)))
    pairs = (item.split("=", 1) for item in shlex.split(text))
    return {key: parsed(key, value) for key, value in pairs}

