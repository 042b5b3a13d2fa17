#!/usr/bin/env python3
"""Runs what the documentation shows: fenced blocks of each page, in order, in a folder of its own.

`python` blocks of a page share one namespace; `sh` blocks run with -e, with `usp` on the path. Blocks in
other languages (`console` for what needs a network, a mirror or weights that are not at hand) are not
run; examples that pages include are built and run by examples/run.sh.

    snippets.py PAGE...        needs USP_TOOL, the path of the tool
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)


def where(page, text, start):
    return f"{page}:{text.count(chr(10), 0, start) + 1}"


def run_shell(code, place):
    done = subprocess.run(["sh", "-eu"], input=code, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{place}: ended with {done.returncode}\n{done.stdout}{done.stderr}")


def run_page(page):
    text = Path(page).read_text()
    namespace, count = {"__name__": "__main__"}, 0
    for block in FENCE.finditer(text):
        place = where(page, text, block.start(2))
        if block[1] == "python":
            # the line numbers of errors are the page's
            code = "\n" * text.count("\n", 0, block.start(2)) + block[2]
            exec(compile(code, page, "exec"), namespace)
        elif block[1] == "sh":
            run_shell(block[2], place)
        else:
            continue
        count += 1
    return count


def main(pages):
    tool, pages = Path(os.environ["USP_TOOL"]).resolve(), [os.path.abspath(page) for page in pages]
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(tool, Path(folder, "usp"))
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        total = 0
        for number, page in enumerate(pages):
            work = Path(folder, str(number))
            work.mkdir()
            os.chdir(work)
            with open(os.devnull, "w") as silence:
                shown, sys.stdout = sys.stdout, silence
                try:
                    total += run_page(page)
                finally:
                    sys.stdout = shown
    if not total:
        sys.exit("documentation: no blocks were run")
    print(f"documentation: {total} blocks of {len(pages)} pages")


main(sys.argv[1:])
