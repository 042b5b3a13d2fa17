"""Calls into the library: statuses become exceptions, strings str, options structs."""

from __future__ import annotations

import ctypes
import os
import re
from errno import ENOENT, errorcode
from operator import index
from typing import Any, Callable, Dict, Optional, Type, TypeVar

import numpy as np

from ._errors import BY_STATUS, ArgumentError, FileError, MissingFileError, USPError
from ._library import lib
from ._options import DEFAULTS

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
    status = status_of(function, *arguments)
    if status == FileError.status:
        raise file_error(last_error())
    check(status)


#: errno by the system's words
_REASONS = {os.strerror(number): number for number in errorcode}
#: `usp_model_open: some/path: cannot open: No such file or directory`
_ABOUT_A_FILE = re.compile(r"(?:usp_\w+: )?(.+?): (?:cannot .*|" + "|".join(map(re.escape, _REASONS)) + ")")


def file_error(message: str) -> FileError:
    """The exception of a file, which knows its path."""
    found = _ABOUT_A_FILE.fullmatch(message)
    if found is None:
        return FileError(message)
    number = _REASONS.get(message.rsplit(": ", 1)[-1])
    error = (MissingFileError if number == ENOENT else FileError)(message)
    error.filename = found[1]
    if number is not None:
        error.errno, error.strerror = number, os.strerror(number)
    return error


def status_of(function: Callable[..., int], *arguments: Any) -> int:
    """What a function returns; an argument that C cannot take is an error of ours."""
    try:
        return function(*arguments)
    except ctypes.ArgumentError as error:
        raise ArgumentError(f"{function.__name__}: {error}") from None


def encoded(
    text: "str | bytes | os.PathLike[str] | None", name: str = "argument", expected: str = "a text",
) -> "bytes | None":
    """A string or a path for C."""
    try:
        result = None if text is None else os.fsencode(text)
    except TypeError:
        raise ArgumentError(f"{name}: {type(text).__name__}, expected {expected}") from None
    if result is not None and b"\0" in result:
        raise ArgumentError(f"{text!r}: a text cannot hold the character 0")
    return result


def options(kind: Type[Options], **values: Any) -> Options:
    """An options struct with its size set; `None` leaves a field at its default, but a seed is then
    drawn afresh.

    Defaults are those of the INIT macro; zero in the structs that have none there.
    """
    result = kind()
    result.struct_size = ctypes.sizeof(kind)
    types: Dict[str, Any] = {field[0]: field[1] for field in kind._fields_}
    defaults = DEFAULTS.get(kind.__name__, {})
    if values.get("seed", 0) is None:
        values["seed"] = int.from_bytes(os.urandom(8), "little")
    for name, value in {**defaults, **values}.items():
        if value is not None and name in values and is_absent(name, defaults.get(name), value):
            least = "1" if is_side(name) else "0"
            raise ArgumentError(f"{name}: {value}, expected {least} or more, or None")
        value = defaults.get(name) if value is None else value
        if value is not None:
            setattr(result, name, held(types[name], value, name))
    return result


def whole_number(value: Any, name: str, least: int = 0) -> int:
    """A whole number of so much or more."""
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ArgumentError(f"{name}: {value!r}, expected a whole number of {least} or more")
    return number


def numbers_text(value: Any) -> Optional[str]:
    """A number, or several, as a text with commas; "none" for an empty list."""
    if value is None or isinstance(value, str):
        return value
    numbers = value if np.ndim(value) else [value]
    return ",".join(str(number) for number in numbers) or "none"


def is_side(name: str) -> bool:
    """Whether a field is rows or columns, of which 0 is absence."""
    return name.startswith(("grid_", "crop_", "stride_"))


def is_absent(name: str, default: Any, value: Any) -> bool:
    """Whether a value that was given is what stands for absence in C."""
    if is_side(name):
        return bool(default == 0 and value == 0)
    return bool(default == -1 and value == -1) or (default != default and value != value)


def held(kind: Any, value: Any, name: str) -> Any:
    """The value, if a field of this type can hold it.

    ctypes would take a number for a text's address, and cut whole numbers that are too large.
    Seeds, the only unsigned fields of 64 bits, are taken modulo 2**64, as torch does.
    """
    if kind is ctypes.c_char_p:
        if not isinstance(value, (str, bytes, os.PathLike)):
            raise ArgumentError(f"{name}: {value!r}, expected a text")
        return encoded(value)
    if hasattr(kind, "contents"):
        return value
    try:
        number = kind(value).value
    except TypeError as error:
        raise ArgumentError(f"{name}: {value!r}, expected a number ({error})") from None
    if isinstance(number, int) and number != value and kind is not ctypes.c_uint64:
        raise ArgumentError(f"{name}: {value} is out of range")
    return value


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
