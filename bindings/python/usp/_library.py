"""Finds and loads libusp.so, checks that it is of the version that the prototypes were made for."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Dict

from . import _abi


def candidates() -> list[Path]:
    """Where the library may be: `USP_LIBRARY`, or in this order the package's own, the build of the
    repository that the package is in, the system's."""
    here = Path(__file__).resolve().parent
    named = os.environ.get("USP_LIBRARY")
    if named:
        return [Path(named)]
    paths = [here / "lib" / "libusp.so"]
    if here.parent.parent.name == "bindings":
        paths.append(here.parents[2] / ".build" / "release" / "libusp.so")
    paths.append(Path(f"libusp.so.{_abi.USP_ABI_VERSION}"))  # no folder: where the loader looks
    return paths


def load() -> ctypes.CDLL:
    """The library with its prototypes set. Calls release the interpreter's lock."""
    tried = []
    for path in candidates():
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            tried.append(f"  {path}: {error}")
            continue
        return prepared(library, path)
    raise ImportError(
        "usp: libusp.so was not found; install it, build it with `make build` or set USP_LIBRARY. "
        "Tried:\n"
        + "\n".join(tried)
    )


def prepared(library: ctypes.CDLL, path: Path) -> ctypes.CDLL:
    """The library, once it is known to be of the right version and to export every function."""
    try:
        library.usp_abi_version.restype = ctypes.c_uint32
        found = library.usp_abi_version()
    except AttributeError:
        raise ImportError(f"usp: {path} is not libusp") from None
    if found != _abi.USP_ABI_VERSION:
        raise ImportError(
            f"usp: {path} has ABI version {found}, this package needs {_abi.USP_ABI_VERSION}")
    prototypes: Dict[str, Any] = _abi.PROTOTYPES
    for name, (result, arguments) in prototypes.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"usp: {path} has no {name}; build it again") from None
        function.restype = result
        function.argtypes = [WHOLE.get(kind, kind) for kind in arguments]
    return library


class Whole:
    """An argument that is a whole number: ctypes would cut one that is too large."""

    def __init__(self, kind: Any):
        self._kind = kind

    def from_param(self, value: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        number = self._kind(value)
        if number.value != value:
            raise ValueError(f"{value} is out of range")
        return number


#: by the C type; seeds (uint64_t) are taken modulo 2**64, as torch does
WHOLE: Dict[Any, Any] = {kind: Whole(kind) for kind in (ctypes.c_int32, ctypes.c_int64)}


lib = load()
