#!/usr/bin/env python3
"""Writes usp/_abi.py from include/usp.h and what it includes, by way of clang's syntax tree.

    generate_abi.py            write usp/_abi.py, Tests/ABI/symbols.txt and Tests/ABI/layout.c
    generate_abi.py --check    fail if one of them differs from what the header says
"""

import ctypes
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "usp.h"
HEADERS = [HEADER, *sorted((ROOT / "include" / "usp").glob("*.h"))]
OUTPUT = Path(__file__).resolve().parent / "usp" / "_abi.py"
SYMBOLS = ROOT / "Tests" / "ABI" / "symbols.txt"
LAYOUT = ROOT / "Tests" / "ABI" / "layout.c"

SCALARS = {
    "void": "None", "char": "c_char", "float": "c_float", "double": "c_double", "int": "c_int",
    "size_t": "c_size_t", "int64_t": "c_int64", "uint64_t": "c_uint64", "int32_t": "c_int32",
    "uint32_t": "c_uint32", "uint8_t": "c_uint8",
}


def declarations():
    """Top-level declarations of the header, in order."""
    command = ["clang", "-Xclang", "-ast-dump=json", "-fsyntax-only", str(HEADER)]
    tree = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    pending = list(tree["inner"])
    while pending:
        node = pending.pop(0)
        if node["kind"] == "LinkageSpecDecl":
            pending = node.get("inner", []) + pending
        elif node.get("name", "").startswith("usp_"):
            yield node


class Types:
    """C types in ctypes' words."""

    def __init__(self):
        self.enums, self.structs, self.callbacks = set(), set(), set()

    def name(self, spelled):
        spelled = re.sub(r"\b(const|struct|enum)\b", "", spelled).strip()
        array = re.fullmatch(r"(.+?)\s*\[(\d+)\]", spelled)
        if array:
            return f"{self.name(array[1])} * {array[2]}"
        if spelled.endswith("*"):
            return self.pointer(spelled[:-1].strip())
        if spelled in self.enums:
            return "c_int"
        if spelled in self.structs or spelled in self.callbacks:
            return spelled
        return SCALARS[spelled]

    def pointer(self, target):
        if target == "void":
            return "c_void_p"
        if target == "char":
            return "c_char_p"
        return f"POINTER({self.name(target)})"


def children(node, kind):
    return [child for child in node.get("inner", []) if child["kind"] == kind]


def constant(node):
    """The value of an enumeration's constant."""
    value = node["inner"][0]
    return int(value["value"])


def emit(nodes):
    types, lines, functions = Types(), [], []
    complete = {n["name"] for n in nodes if n["kind"] == "RecordDecl" and n.get("inner")}
    for node in nodes:
        name, kind = node["name"], node["kind"]
        if kind == "EnumDecl":
            types.enums.add(name)
            lines += ["", "", f"class {name}(IntEnum):"]
            lines += [f"    {c['name']} = {constant(c)}" for c in children(node, "EnumConstantDecl")]
        elif kind == "RecordDecl" and name not in types.structs:
            types.structs.add(name)
            lines += ["", "", f"class {name}(Structure):"]
            lines += ["    pass"] if name in complete else ['    """Opaque."""']
        if kind == "RecordDecl" and node.get("inner"):
            fields = children(node, "FieldDecl")
            lines += ["", "", f"{name}._fields_ = ["]
            lines += [f'    ("{f["name"]}", {types.name(f["type"]["qualType"])}),' for f in fields]
            lines += ["]"]
        elif kind == "TypedefDecl" and "(*)" in node["type"]["qualType"]:
            types.callbacks.add(name)
            result, arguments = node["type"]["qualType"].split(" (*)")
            parts = [result] + arguments.strip("()").split(",")
            words = ", ".join(types.name(part) for part in parts)
            lines += ["", "", f"{name} = CFUNCTYPE({words})"]
        elif kind == "FunctionDecl":
            functions.append(prototype(types, node))
    return lines, functions


def prototype(types, node):
    result = node["type"]["qualType"].split("(")[0]
    arguments = [types.name(p["type"]["qualType"]) for p in children(node, "ParmVarDecl")]
    return node["name"], types.name(result), arguments


def macros():
    """The header's integer constants."""
    pattern = r"^#define (USP_[A-Z0-9_]+) (\d+)$"
    return re.findall(pattern, "".join(h.read_text() for h in HEADERS), re.MULTILINE)


def module():
    lines, functions = emit(list(declarations()))
    digest = hashlib.sha256(b"".join(h.read_bytes() for h in HEADERS)).hexdigest()
    head = [
        '"""Generated from include/usp.h by generate_abi.py: do not edit."""', "",
        "from ctypes import (", "    CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float,",
        "    c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_uint8, c_void_p,", ")",
        "from enum import IntEnum", "", f'HEADER_SHA256 = "{digest}"',
    ]
    head += [f"{name} = {value}" for name, value in macros()]
    tail = ["", "", "#: name -> (result, arguments)", "PROTOTYPES = {"]
    for name, result, arguments in functions:
        tail += [f'    "{name}": (', f"        {result},", f"        [{', '.join(arguments)}],", "    ),"]
    tail += ["}", ""]
    return "\n".join(head + lines + tail), "\n".join(sorted(f[0] for f in functions)) + "\n"


def layout(text):
    """A C file that asserts sizes and offsets of all structs, as ctypes lays them out."""
    types = {}
    exec(text, types)
    lines = [
        "/* Generated by generate_abi.py: the layouts that programs were compiled with. A field that is",
        " * not at a struct's end, removed or of another size here is a new USP_ABI_VERSION. */",
        '#include "usp.h"', "", "#include <assert.h>", "",
        "#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)",
        "#define AT(type, field, offset) \\",
        '    static_assert(offsetof(type, field) == (offset), #type "." #field)',
    ]
    for name in sorted(types):
        kind = types[name]
        if not (isinstance(kind, type) and issubclass(kind, ctypes.Structure)):
            continue
        if not getattr(kind, "_fields_", None):
            continue
        lines += ["", f"SIZE({name}, {ctypes.sizeof(kind)});"]
        lines += [f"AT({name}, {f[0]}, {getattr(kind, f[0]).offset});" for f in kind._fields_]
    return "\n".join(lines) + "\n"


def main():
    text, symbols = module()
    outputs = ((OUTPUT, text), (SYMBOLS, symbols), (LAYOUT, layout(text)))
    if "--check" in sys.argv[1:]:
        for path, expected in outputs:
            if not path.exists() or path.read_text() != expected:
                sys.exit(f"{path.relative_to(ROOT)} is not what the header says: run `make abi`")
        return
    for path, written in outputs:
        path.write_text(written)


if __name__ == "__main__":
    main()
