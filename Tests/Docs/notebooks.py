#!/usr/bin/env python3
"""Runs the notebooks, each in a folder of its own; with --write keeps their outputs.

    notebooks.py [--write] NOTEBOOK...
"""

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(arguments):
    write = "--write" in arguments
    for path in (Path(argument) for argument in arguments if argument != "--write"):
        book, start = nbformat.read(path, as_version=4), time.monotonic()
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
