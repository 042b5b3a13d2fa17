"""Stages of the pipeline: a recipe on its data, prepared by the library."""

from __future__ import annotations

import shlex
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from ._arrays import dtype_name
from ._call import composed, encoded, view_text
from ._config import parsed, value_text
from ._errors import ArgumentError
from ._handles import Handle, handle_of
from ._library import lib
from ._model import Model
from .data import Data
from .trainer import Trainer


def quoted(name: str, value: Any) -> str:
    """A setting as the library reads it; a text with blanks stands in quotation marks."""
    if name == "dtype":
        value = dtype_name(value)
    if isinstance(value, str) and value:
        if '"' in value or "\n" in value:
            raise ArgumentError(f"{name}: {value!r}, expected a text without quotation marks")
        return f'"{value}"' if any(c.isspace() for c in value) else value
    if isinstance(value, np.generic):
        value = value.item()
    return value_text(name, value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """`steps=100 batch=8`; None is not said."""
    said = {name: value for name, value in settings.items() if value is not None}
    return " ".join(f"{name}={quoted(name, value)}" for name, value in said.items())


class Stage(Handle):
    """A recipe on its data: a trainer with its model and its options, and the data as the trainer
    sees it, for loops of one's own. One thread at a time.

    Parameters
    ----------
    recipe : "autoencoder", "pretrain", "finetune", "probe", "train" or "autoregress"
    start : a model, or a file, to start from; None: a fresh one
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
        self, recipe: str, data: Data, vae: Optional[Model] = None, *, start: Any = None,
        val: Optional[Data] = None, **settings: Any,
    ):
        text = {**data.said, **settings}
        model = None
        if isinstance(start, Model):
            model = start.handle
        elif start is not None:
            text["from"] = encoded(start).decode()  # type: ignore[union-attr]
        self._adopt(
            lib.usp_stage_create, encoded(recipe), handle_of(data, "data", Data),
            handle_of(vae, "vae", Model), model, handle_of(val, "val", Data), encoded(settings_text(text)))

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
        lib.usp_recipe_text, encoded(name), encoded(settings_text(changes)))
    pairs = (item.split("=", 1) for item in shlex.split(text))
    return {key: parsed(key, value) for key, value in pairs}

