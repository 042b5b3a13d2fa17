"""Models by their published names, and from files of any family."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

from ._arrays import dtype_name
from ._call import view_text
from ._config import value_text
from ._library import lib
from ._model import Grid, Model, Names, Source
from .vae import VAE, opened_statistics


def create(name: str, *, seed: Optional[int] = 0, **sizes: Any) -> Any:
    """A new model by its published name ("SiT-B/2", "kl-f8", see `presets`) or its family's.

    What differs is given by the names of `Model.config`: `usp.create("SiT-B/2", classes=10)`.

    Examples
    --------
    >>> model = usp.create("SiT-B/2", depth=1, width=32, heads=2, classes=10)
    >>> model.config.patch, model.config.classes
    (2, 10)
    """
    return Model._create(name, seed, sizes)


def load(
    source: Source, num_heads: Optional[int] = None, decoder_num_heads: Optional[int] = None, *,
    family: Optional[str] = None, dtype: Any = None, exact: bool = False,
    table: Optional[str] = None, grid: Grid = None, pool: Optional[str] = None,
    scale: Optional[float] = None, shift: Optional[float] = None, groups: Optional[int] = None,
    epsilon: Optional[float] = None, null_class: Optional[bool] = None, ignore: Names = None,
    strict: bool = True, out_indices: Optional[Sequence[int]] = None,
    positions: Optional[str] = None, encoder_depth: Optional[int] = None,
    activation: Optional[str] = None, statistics: Optional[Source] = None,
    multiplier: float = 1.0,
) -> Any:
    """A model of whatever family the file says, or its names and shapes tell.

    Options as in the `load` of the family's class; one that has no part in the family is refused.
    `groups` (of an autoencoder's norms) and `epsilon` (of a transformer's) stand in place of what
    the file says.

    Examples
    --------
    >>> usp.create("ViT", grid=2, width=16, depth=1, heads=2, classes=3).save("vit.safetensors")
    >>> type(usp.load("vit.safetensors")).__name__
    'ViT'
    """
    kept = opened_statistics(statistics)
    model = Model._load(
        source, grid, family=family, heads=num_heads, decoder_heads=decoder_num_heads,
        compute=dtype_name(dtype), exact=int(exact), table=table, pool=pool, scale=scale,
        shift=shift, groups=groups, epsilon=epsilon,
        null_class=None if null_class is None else int(null_class), ignore=ignore, strict=strict,
        out_indices=None if out_indices is None else value_text("out_indices", out_indices),
        positions=positions, encoder_depth=encoder_depth, activation=activation,
        statistics=None if kept is None else kept.handle, multiplier=multiplier)
    if isinstance(model, VAE):
        model._warn_of_statistics()
    return model


def presets() -> Tuple[str, ...]:
    """Published names that `create` takes, in order of family and size.

    Examples
    --------
    >>> "SiT-XL/2" in usp.presets()
    True
    """
    return tuple(view_text(lib.usp_preset_name(index)) for index in range(lib.usp_preset_count()))
