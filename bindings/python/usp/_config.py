"""Configurations of models as text, the form that files and the library keep them in."""

from __future__ import annotations

import shlex
from dataclasses import asdict, make_dataclass
from functools import lru_cache
from operator import index
from typing import TYPE_CHECKING, Any, Mapping, Tuple

import numpy as np

from ._errors import ArgumentError


def config_text(sizes: Mapping[str, Any]) -> str:
    """`classes=10 grid=16x16 affine=yes` for names and values."""
    return " ".join(f"{name}={value_text(name, value)}" for name, value in sizes.items())


def value_text(name: str, value: Any) -> str:
    """A value as the library reads it; a grid, or several numbers, is a sequence."""
    if value is None:
        return "none"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, str):
        return worded(name, value) or '""'
    if np.ndim(value) == 1:
        items = [value_text(name, item) for item in value]
        if name == "grid" and len(items) != 2:
            raise ArgumentError(f"grid: {value}, expected one side, or rows and columns")
        return ("x" if name == "grid" else ",").join(items) or '""'
    try:
        return str(index(value))
    except TypeError:
        pass
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{name}: {type(value).__name__}, expected a number or a text") from None


def widths(name: str, value: Any) -> Tuple[int, ...]:
    """Widths of teachers' tokens: none, one or several."""
    given = () if value is None else (value,) if np.ndim(value) == 0 else tuple(value)
    try:
        return tuple(index(width) for width in given)
    except TypeError:
        raise ArgumentError(f"{name}: {value!r}, expected a width, or several") from None


def worded(name: str, value: Any) -> str:
    """The value, if it is a text that can stand in a configuration."""
    if not isinstance(value, str):
        raise ArgumentError(f"{name}: {value!r}, expected a text")
    if any(c.isspace() or c == '"' for c in value):
        raise ArgumentError(f"{name}: {value!r}, expected a text without blanks")
    return value


class Config:
    """A model's configuration: a frozen dataclass of the names and values that `create` takes.

    A grid is (rows, columns), lists are tuples. `dataclasses.asdict` works, and `str(config)` is the
    text that files keep.
    """

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...

    @property
    def grid_height(self) -> int:
        return int(self.grid[0])

    @property
    def grid_width(self) -> int:
        return int(self.grid[1])

    @property
    def levels(self) -> int:
        """Resolutions of an autoencoder."""
        return len(self.multipliers)

    def __str__(self) -> str:
        return config_text(asdict(self))  # type: ignore[call-overload]


def read_config(family: str, text: str) -> Config:
    """The configuration that a text of the library says."""
    pairs = (item.split("=", 1) for item in shlex.split(text))
    fields = {name: parsed(name, value) for name, value in pairs}
    made: Config = config_class(family, tuple(fields))(**fields)
    return made


@lru_cache(maxsize=None)
def config_class(family: str, names: Tuple[str, ...]) -> Any:
    return make_dataclass(f"{family}Config", names, bases=(Config,), frozen=True)


#: fields whose value is a list, also of one item
LISTS = {"multipliers", "encoder_attention", "decoder_attention", "out_indices",
         "projections"}


def parsed(name: str, text: str) -> Any:
    """The value of a field from its text."""
    if name == "grid":
        height, width = text.split("x")
        return int(height), int(width)
    if name in LISTS or "," in text:
        return tuple(number(item) for item in text.split(",") if item)
    return {"yes": True, "no": False, "none": None}.get(text, number(text))


def number(text: str) -> Any:
    """A whole number, another number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
