#!/usr/bin/env python3
"""The ABI as libabigail sees it, from the header alone: types come from C, not from Swift's debug
information. That the library exports just these functions is tested by Tests/ABI/run.sh.

    abi.py keep [INCLUDE [FOLDER]]     keep the header's ABI, once for each number
    abi.py check [INCLUDE [FOLDER]]    compare the header with the kept ABI of its number
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

KEPT = Path(__file__).resolve().parent
INCLUDE = KEPT.parents[1] / "include"
#: bits of abidiff's exit status: an error, a wrong call, a change, a change that breaks
FAILED, CHANGED = 1 | 2, 4


def header(include):
    files = [include / "usp.h", *sorted((include / "usp").glob("*.h"))]
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", "\n".join(f.read_text() for f in files), flags=re.S)


def number(text):
    return int(re.search(r"^#define USP_ABI_VERSION (\d+)", text, re.M)[1])


def stubs(text):
    """A C file that defines every function of the header."""
    found = re.findall(r"^USP_API\s+(?:USP_CHECK\s+)?([^;{]+?)\s*;", text, re.M)
    assert len(found) > 50, f"only {len(found)} functions found in the header"
    return '#include "usp.h"\n' + "".join(f"{one} {{ __builtin_trap(); }}\n" for one in found)


def growing(text):
    """Names of the structs that say their own size: these may grow at their end."""
    return re.findall(r"typedef struct (\w+) \{\s*uint32_t struct_size;", text)


def suppressions(text):
    grows = "|".join(growing(text))
    return (f"[suppress_type]\n  type_kind = struct\n  name_regexp = ^({grows})$\n"
            "  has_data_member_inserted_at = end\n")


def compiled(include, folder):
    """The stub library, with debug information."""
    source, library = Path(folder, "stub.c"), Path(folder, "libusp.so")
    source.write_text(stubs(header(include)))
    subprocess.run(["cc", "-g", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(library),
                    "-Wl,-soname,libusp.so"], check=True)
    return library


def keep(include, folder):
    file = folder / f"usp-{number(header(include))}.abi"
    if file.exists():
        print(f"abi: {file} is kept already: a released ABI is never written again", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as built:
        subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
                        "--out-file", str(file), str(compiled(include, built))], check=True)
    print(f"abi: {file} is kept")
    return 0


def check(include, folder):
    """Whether programs that were built with the kept dump's header run with this one's."""
    text = header(include)
    released = folder / f"usp-{number(text)}.abi"
    if not released.exists():
        print(f"abi: ABI {number(text)} is not released: nothing is kept to compare with")
        return 0
    with tempfile.TemporaryDirectory() as built:
        rules = Path(built, "rules")
        rules.write_text(suppressions(text))
        done = subprocess.run(["abidiff", "--no-added-syms", "--suppressions", str(rules),
                               str(released), str(compiled(include, built))],
                              capture_output=True, text=True)
    if done.returncode & FAILED:
        print(done.stdout + done.stderr, file=sys.stderr)
        return 1
    if done.returncode & CHANGED:
        print(done.stdout, file=sys.stderr)
        print(f"abi: this breaks programs built with ABI {number(text)}: give USP_ABI_VERSION a new "
              "number (docs/abi.md says what may change without)", file=sys.stderr)
        return 1
    print(f"abi: compatible with the kept ABI {number(text)}")
    return 0


def main(command, include=INCLUDE, folder=KEPT):
    return {"keep": keep, "check": check}[command](Path(include), Path(folder))


sys.exit(main(*sys.argv[1:]))
