#!/usr/bin/env python3
"""Every option at every door: what Swift's tables say is what a C program gets from the INIT macros,
what Python's keywords default to, and what the tool's help lists. Reads the doors on its own, not
through the generator.

    doors.py TABLES TOOL      usp-tables and usp-cli of the same build
"""

import ast
import json
import math
import os
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bindings" / "python" / "usp"

# Command -> its tables in usp-tables. Where a command says a field in another way: that option, or
# None where it decides the field itself.
COMMANDS = {
    "sample": ("SamplerOptions", {
        "method": "--solver", "steps": "--steps", "seed": "--seed", "generator": "--generator",
        "first_sample": None, "total_samples": None, "preview_interval": "--preview"}),
    "transfer": ("TransferSettings", {}),
}
LENGTH = {
    "rate": "--lr", "minimum_rate": "--min-lr", "warmup": "--warmup-epochs", "steps": "--steps",
    "seed": "--seed"}
COMMANDS["pretrain"] = ("PretrainingSettings", {**LENGTH, "head_only": None})
COMMANDS["finetune"] = ("FinetuningSettings", {**LENGTH, "head_only": "--probe"})
COMMANDS["train"] = ("DiffusionSettings", {**LENGTH, "head_only": None})

# Stored properties of a Swift struct beside the rows of its table, such as constants that the source
# publishes and tensors that C has as members of its own; the denoiser's guidance is one of four rows, so
# is what a sampler uses again; a data set's erasing and mixing are two of nine, and a trainer tells it which
# label is none. Whether a classifier's head starts afresh is a stage's to tell a transfer.
MORE_PROPERTIES = {
    "usp_erasing_options": 2, "usp_denoiser": -3, "usp_model_options": 3, "usp_mae_options": 2,
    "usp_transfer_options": 3, "usp_data_options": -6, "usp_mar_options": 3, "usp_mar_sample_options": 3,
    "usp_sample_options": -3}

faults = []


def expect(what, expected, got):
    if expected != got:
        faults.append(f"{what}: expected {expected!r}, got {got!r}")


def header_fields(struct):
    """Type and name of each field behind struct_size and reserved."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/usp" / f"{struct['header']}.h").read_text(), flags=re.S)
    body = re.search(r"typedef struct %s \{(.*?)\} %s;" % ((struct["name"],) * 2), text, re.S)[1]
    fields = [re.fullmatch(r"(.*?)(\w+)", line.strip(), re.S).groups() for line in body.split(";") if line.strip()]
    expect(f"{struct['name']}: head", ["struct_size", "reserved"], [name for _, name in fields[:2]])
    return [(kind.strip(), name) for kind, name in fields[2:]]


def c_defaults(structs):
    """(struct, field) -> what a C program finds there after the INIT macro."""
    formats = {"int64_t": "(long long)", "uint64_t": "(unsigned long long)", "double": "", "const char *": ""}
    shapes = {"int64_t": "%lld", "uint64_t": "%llu", "double": "%.17g", "const char *": "\\\"%s\\\""}
    lines = ["#include <stdio.h>", "#include <usp.h>", "int main(void) {"]
    for struct in structs:
        name = struct["name"]
        lines.append(f"{{ {name} o = {name.upper()}_INIT;")
        for kind, field in header_fields(struct):
            where = f"{name} {field} "
            if kind == "const char *":
                lines.append(f'printf("{where}%s\\n", o.{field} ? o.{field} : "NULL");')
            elif kind in formats:
                lines.append(f'printf("{where}{shapes[kind]}\\n", {formats[kind]}o.{field});')
            else:
                lines.append(f'printf("{where}%s\\n", o.{field} ? "set" : "NULL");')
        lines.append("}")
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "defaults.c"), Path(folder, "defaults")
        source.write_text("\n".join([*lines, "return 0; }"]))
        subprocess.run(
            [os.environ.get("CC", "cc"), "-std=c11", "-w", f"-I{ROOT / 'include'}", source, "-o", program],
            check=True)
        printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {tuple(line.split(" ", 2)[:2]): line.split(" ", 2)[2] for line in printed.splitlines()}


def expected_slots(field):
    """Name and value of each 8 bytes that a field takes in C."""
    name, kind, default = field["name"], field["kind"], field["default"]
    if kind == "grid":
        height, width = default.split("x") if default else ("0", "0")
        return [(name + "_height", height), (name + "_width", width)]
    if kind == "flag":
        return [(name, {"yes": "1", "no": "0", None: "-1"}[default])]
    if kind in ("integer", "unsigned"):
        return [(name, default or "-1")]
    if kind == "real":
        return [(name, "nan" if default is None else default)]
    return [(name, default or "NULL")]


def same(kind, expected, got):
    if kind == "real" and got not in ("NULL", "set"):
        a, b = float(expected), float(got)
        return a == b or math.isclose(a, b, rel_tol=1e-6) or (math.isnan(a) and math.isnan(b))
    return expected == got


def check_c_and_python_defaults(structs):
    found, python = c_defaults(structs), runpy.run_path(str(PACKAGE / "_options.py"))["DEFAULTS"]
    expect("_options.py", sorted(s["name"] for s in structs), sorted(python))
    for struct in structs:
        name, fields = struct["name"], struct["table"]["fields"]
        slots = [(f["kind"], *slot) for f in fields for slot in expected_slots(f)]
        members = [member["name"] for member in struct["table"]["members"]]
        expect(f"{name}: fields of the header", members + [slot for _, slot, _ in slots],
               [field for _, field in header_fields(struct)])
        expect(f"{name}: properties of the Swift struct",
               len(fields) + MORE_PROPERTIES.get(name, 0), len(struct["table"]["properties"]))
        for kind, slot, value in slots:
            got = found[(name, slot)]
            if not same(kind, value, got):
                expect(f"{name}.{slot} in C", value, got)
            said = python[name][slot]
            said = "NULL" if said is None else str(said)
            if not same(kind, value, said):
                expect(f"{name}.{slot} in Python", value, said)


def python_functions(path):
    """Each function, its keywords with their defaults, and its documentation."""
    tree = ast.parse(path.read_text())
    classes = {f: c for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for f in c.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args.args + node.args.kwonlyargs
            plain = node.args.defaults
            defaults = [None] * (len(node.args.args) - len(plain)) + plain + node.args.kw_defaults
            documentation = "\n".join(
                ast.get_docstring(n) or "" for n in (node, classes.get(node)) if n)
            yield node, dict(zip((a.arg for a in arguments), defaults)), documentation


def check_python_keywords(structs):
    """Every field of a struct is a keyword, with the table's default and a line in the docstring."""
    regions = 0
    for path in sorted(PACKAGE.glob("*.py")):
        for match in re.finditer(r"# options: (\w+)(.*)", path.read_text()):
            regions += 1
            line = path.read_text().count("\n", 0, match.start()) + 1
            function, keywords, documentation = next(
                found for found in python_functions(path)
                if found[0].lineno <= line <= found[0].body[0].lineno)
            left = (re.search(r"but ([\w ]+)", match[2]) or ["", ""])[1].split()
            for field in structs[match[1]]["table"]["fields"]:
                name, where = field["name"], f"{path.name}: {function.name}({field['name']}=)"
                if name not in keywords:
                    expect(where, True, name in left)
                    continue
                if name in left:
                    continue
                value = ast.literal_eval(keywords[name])
                if value is not None and field["kind"] in ("flag", "integer", "unsigned", "real", "choice"):
                    expected = expected_slots(field)[0][1]
                    text = str(int(value)) if isinstance(value, bool) else str(value)
                    if not same(field["kind"], expected, text):
                        expect(where, expected, text)
                expect(f"{where} documented", True, f"{name} : " in documentation)
    expect("functions with options in Python", True, regions > 5)


def check_tool(commands, tool):
    for command, (table_name, otherwise) in COMMANDS.items():
        table = next(c for c in commands if c["name"] == table_name)
        text = subprocess.run([tool, "help", command], check=True, capture_output=True, text=True).stdout
        listed = set(re.findall(r"--[a-z0-9-]+", text))
        expect(f"{command}: what it says otherwise", sorted(otherwise), sorted(table["leaving"]))
        flat = " ".join(text.split())
        for field in table["table"]["fields"]:
            name, parts = field["name"], field["parts"]
            if field["kind"].startswith("usp_") or (parts and table["part"] not in ("", *parts)):
                continue
            if name in otherwise:
                expect(f"{command}: {otherwise[name]}", True, otherwise[name] in {None, *listed})
                continue
            expect(f"{command}: --{name}", True, "--" + name.replace("_", "-") in listed)
            expect(f"{command}: sentence of {name}", True,
                   re.sub(r"\W", "", field["sentence"]) in re.sub(r"\W", "", flat))


def main(tables, tool):
    data = json.loads(subprocess.run([tables], check=True, capture_output=True).stdout)
    structs = {struct["name"]: struct for struct in data["structs"]}
    check_c_and_python_defaults(data["structs"])
    check_python_keywords(structs)
    check_tool(data["commands"], os.path.abspath(tool))
    if faults:
        sys.exit("doors differ:\n" + "\n".join(faults))
    fields = sum(len(struct["table"]["fields"]) for struct in data["structs"])
    print(f"doors: {fields} options of {len(structs)} tables, the same in Swift, C, Python and the tool")


main(*sys.argv[1:])
