"""Models by their published names, and from files of any family."""

from __future__ import annotations

from typing import Any, Tuple

from ._call import view_text
from ._library import lib
from ._model import Model, Source
from .dit import DiT, SiT
from .inception import Inception
from .mae import MaskedAutoencoder
from .vae import VAE
from .vit import ViT

#: the class of each family's models
FAMILIES = {
    "VAE": VAE, "MAE": MaskedAutoencoder, "ViT": ViT, "DiT": DiT, "SiT": SiT,
    "Inception": Inception,
}


def typed(model: Model) -> Any:
    """The model as one of its family's class."""
    model.__class__ = FAMILIES[model.family]
    return model


def create(name: str, *, seed: int = 0, **sizes: Any) -> Any:
    """A new model by its published name ("SiT-B/2", "kl-f8", see `presets`) or its family's.

    What differs is given by the names of `Model.config`: `usp.create("SiT-B/2", classes=10)`.
    """
    return typed(Model._create(name, seed, sizes))


def load(source: Source, **options: Any) -> Any:
    """A model of whatever family the file says, or its names and shapes tell.

    `options` are those of usp_model_options: heads, decoder_heads, grid, table, compute, exact, ...
    """
    return typed(Model._load(source, **options))


def presets() -> Tuple[str, ...]:
    """Published names that `create` takes, in order of family and size."""
    return tuple(view_text(lib.usp_preset_name(index)) for index in range(lib.usp_preset_count()))
