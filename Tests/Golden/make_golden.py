"""Make golden files again: `python make_golden.py [--originals DIR] [topic ...]`, default all."""

import argparse
import importlib
import inspect
import json
from pathlib import Path

from common import HERE, MANIFEST

TOPICS = ("operations", "blocks", "segmentation", "models", "newer", "mar", "segmenter",
          "autoencoders", "vavae", "tiny", "classifiers", "diffusers", "positions", "transfer",
          "containers", "images", "random", "diffusion", "transport", "repa", "seeds", "training",
          "inception", "augment", "odd", "formats")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=Path, help="folder with checkouts of the originals")
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"of {', '.join(TOPICS)}")
    arguments = parser.parse_args()
    for topic in arguments.topics or TOPICS:
        make = importlib.import_module(f"make_{topic}").make
        if inspect.signature(make).parameters:
            if arguments.originals is None:
                print(f"{topic}: skipped, needs --originals")
                continue
            make(arguments.originals)
        else:
            make()
        print(f"{topic}: made")
    lines = json.loads(MANIFEST.read_text())
    missing = [name for name, line in lines.items() if not (HERE / line["file"]).exists()]
    assert not missing, missing


if __name__ == "__main__":
    main()
