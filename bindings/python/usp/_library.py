"""Finds and loads libusp.so, checks that it is of the version that the prototypes were made for."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from . import _abi


def candidates() -> list[Path]:
    """Where the library may be: `USP_LIBRARY`, beside this package, the repository's build."""
    here = Path(__file__).resolve().parent
    named = os.environ.get("USP_LIBRARY")
    if named:
        return [Path(named)]
    paths = [here / "lib" / "libusp.so"]
    if here.parent.parent.name == "bindings":
        paths.append(here.parents[2] / ".build" / "release" / "libusp.so")
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
        "usp: libusp.so was not found; build it with `make build` or set USP_LIBRARY. Tried:\n"
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
    for name, (result, arguments) in _abi.PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"usp: {path} has no {name}; build it again") from None
        function.restype, function.argtypes = result, arguments
    return library


lib = load()
