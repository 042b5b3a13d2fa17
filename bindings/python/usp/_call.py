"""Calls into the library: statuses become exceptions, strings str, options structs."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Type, TypeVar

from ._errors import BY_STATUS, USPError
from ._library import lib

Options = TypeVar("Options", bound=ctypes.Structure)


def last_error() -> str:
    """The library's sentence about the last failure on this thread."""
    return (lib.usp_last_error() or b"").decode("utf-8", "replace")


def check(status: int) -> None:
    """Raises the exception of a status that is not USP_OK."""
    if status != 0:
        raise BY_STATUS.get(status, USPError)(last_error())


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function that returns a status."""
    check(function(*arguments))


def encoded(text: "str | bytes | os.PathLike[str] | None") -> "bytes | None":
    """A string or a path for C."""
    return None if text is None else os.fsencode(text)


def options(kind: Type[Options], **values: Any) -> Options:
    """An options struct with its size set; `None` leaves a field at its default, zero."""
    result = kind()
    result.struct_size = ctypes.sizeof(kind)
    for name, value in values.items():
        if value is None:
            continue
        setattr(result, name, encoded(value) if isinstance(value, (str, os.PathLike)) else value)
    return result


def composed(function: Callable[..., int], *arguments: Any) -> str:
    """The text of a function that ends in (char *buffer, size_t capacity, size_t *out_length)."""
    length = ctypes.c_size_t()
    call(function, *arguments, None, 0, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value + 1)
    call(function, *arguments, buffer, len(buffer), ctypes.byref(length))
    return buffer.value.decode("utf-8")


def view_text(value: "bytes | None") -> str:
    """A string that a getter returned; NULL means that it failed."""
    if value is None:
        raise BY_STATUS[-1](last_error())
    return value.decode("utf-8")
