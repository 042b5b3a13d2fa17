#!/usr/bin/env python3
"""Runs the notebooks, each in a folder of its own; with --write keeps their outputs, with --quick trains for a
twentieth of the steps.

    notebooks.py [--write | --quick] NOTEBOOK...
"""

import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(arguments):
    write, quick = "--write" in arguments, "--quick" in arguments
    if write and quick:
        sys.exit("--write keeps what a whole run shows, not a quick one's")
    for path in (Path(argument) for argument in arguments if not argument.startswith("--")):
        book, start = nbformat.read(path, as_version=4), time.monotonic()
        for cell in book.cells if quick else []:
            cell.source = re.sub(
                r"\bsteps=(\d{3,})", lambda found: f"steps={int(found[1]) // 20}", cell.source)
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(book, timeout=3600, resources={"metadata": {"path": folder}}).execute()
        pictures = sum(
            any(kind.startswith("image/") for kind in output.get("data", {}))
            for cell in book.cells for output in cell.get("outputs", []))
        if not pictures:
            sys.exit(f"{path}: shows no picture")
        if write:
            for cell in book.cells:
                cell.metadata.pop("execution", None)
            nbformat.write(book, path)
        print(f"{path.name}: {pictures} pictures, {time.monotonic() - start:.0f} s")


main(sys.argv[1:])
