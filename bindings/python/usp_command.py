"""The command `usp` of a wheel. It does not import the package, whose numpy takes a while."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Becomes the command line tool that came with the package."""
    found = find_spec("usp")
    if found is None or found.origin is None:
        sys.exit("usp: the package usp is not installed in this Python")
    tool = Path(found.origin).parent / "lib" / "usp"
    if not tool.exists():
        sys.exit(f"usp: {tool} is missing: this package was installed without the tool")
    os.execv(tool, ["usp", *sys.argv[1:]])
