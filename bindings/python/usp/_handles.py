"""Handles: objects of the library, freed once: by close(), by `with`, or by the collector."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, ClassVar, Optional, TypeVar

from . import _abi
from ._call import call
from ._callbacks import Callbacks
from ._errors import ArgumentError
from ._library import lib

Self = TypeVar("Self", bound="Handle")


def handle_of(value: Any, name: str, kind: "type[Handle]") -> Any:
    """The C handle of an argument; None stays so."""
    if value is not None and not isinstance(value, kind):
        raise ArgumentError(f"{name}: {type(value).__name__}, expected a usp.{kind.__name__}")
    return None if value is None else value.handle


class Owner:
    """Frees a handle when nothing refers to it any more: neither its object nor an array's view."""

    def __init__(self, pointer: Any, free: Any = None):
        self.pointer = pointer
        if free is not None:
            weakref.finalize(self, free, pointer)


class Handle:
    """Base of everything that holds a handle. Not picklable; a forked child has its own copy."""

    #: the C type's name, such as `usp_model`; `<kind>_free` frees it
    kind: ClassVar[str]

    #: of views: keep it to keep the memory
    _owner: Optional[Owner] = None

    @classmethod
    def _made(cls: "type[Self]", function: Any, *arguments: Any) -> Self:
        """The object that a function stores through its last parameter."""
        self = cls.__new__(cls)
        self._adopt(function, *arguments)
        return self

    def _adopt(self, function: Any, *arguments: Any, through: Optional[Callbacks] = None) -> None:
        """Takes what a function stores; `through`: callbacks that it may call."""
        pointer = ctypes.POINTER(getattr(_abi, self.kind))()
        (call if through is None else through.call)(function, *arguments, ctypes.byref(pointer))
        self._attach(pointer, getattr(lib, f"{self.kind}_free"))

    def _attach(self, pointer: Any, free: Any = None) -> None:
        """Takes a handle, to be freed by `free`, or for good by somebody else."""
        self._owner = Owner(pointer, free)

    @property
    def handle(self) -> Any:
        """The C handle, for further calls; raises once closed."""
        if self._owner is None:
            raise ArgumentError(f"{type(self).__name__}: is closed")
        return self._owner.pointer

    @property
    def closed(self) -> bool:
        return self._owner is None

    def close(self) -> None:
        """Frees the handle; arrays that view its memory keep that alive by themselves."""
        self._owner = None

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<usp.{type(self).__name__}{': closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be pickled; save it to a file")
