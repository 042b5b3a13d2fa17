#!/usr/bin/env python3
"""Writes what each door says of an option from the tables of fields (`.build/$CONFIGURATION/usp-tables`).

    generate_doors.py            write the files
    generate_doors.py --check    fail if one of them differs from what the tables say

- include/usp/<noun>.h: the struct and its INIT macro, between `/* <struct>: written by make abi */`
  and `/* end of <struct> */`
- bindings/python/usp/_options.py: the defaults of every struct
- bindings/python/usp/*.py: keywords, between `# options: <struct>[, but <name> ..][, for <part>]`
  and `# end of options`, and the section "Other Parameters" of the docstring that follows
- Sources/usp/Generated/<Name>.swift: options of a command
"""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / ".build" / os.environ.get("CONFIGURATION", "release") / "usp-tables"
PACKAGE = ROOT / "bindings" / "python" / "usp"


def words(field):
    """Sentence, range, choices, default and parts, for people."""
    text = [field["sentence"]]
    if field["choices"]:
        text.append("One of " + ", ".join(field["choices"]) + ".")
    if field["range"]:
        text.append(field["range"][0].upper() + field["range"][1:] + ".")
    if field["default"] is not None:
        text.append(f"Default: {field['default'] or 'none'}.")
    if field["parts"]:
        text.append("Part in: " + ", ".join(field["parts"]) + ".")
    return " ".join(text)


def wrapped(text, width):
    """Lines; names such as adams-bashforth stay whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False)


# ---- C -----------------------------------------------------------------------------------------

C_TYPES = {"flag": "int64_t ", "integer": "int64_t ", "unsigned": "uint64_t ", "real": "double "}


def c_slots(field):
    """(declaration, default) of each 8 bytes of a field."""
    name, kind, default = field["name"], field["kind"], field["default"]
    if kind == "grid":
        sides = default.split("x") if default else ("0", "0")
        return [(f"int64_t {name}_height", sides[0]), (f"int64_t {name}_width", sides[1])]
    if kind.startswith("usp_"):
        return [(f"const {kind} *{name}", "NULL")]
    if kind == "flag":
        value = {"yes": "1", "no": "0", None: "-1"}[default]
    elif kind in ("integer", "unsigned"):
        value = "-1" if default is None else default
    elif kind == "real":
        value = "USP_ABSENT" if default is None else default
    else:
        value = f'"{default}"' if default else "NULL"
    return [(C_TYPES.get(kind, "const char *") + name, value)]


def c_absence(field):
    """How C says that an optional field is absent."""
    if not field["optional"]:
        return ""
    kind = field["kind"]
    word = {"flag": "-1", "integer": "-1", "real": "USP_ABSENT", "grid": "0"}.get(kind, "NULL")
    return f" {word}: absent."


def c_comment(text, indent="    "):
    lines = wrapped(text, 100 - len(indent) - 6)
    if len(lines) == 1:
        return f"{indent}/* {lines[0]} */"
    return f"{indent}/* " + f"\n{indent} * ".join(lines) + " */"


def c_struct(struct):
    table, lines, values = struct["table"], [f"typedef struct {struct['name']} {{"], []
    lines += ["    uint32_t struct_size; /* what the INIT macro wrote */", "    uint32_t reserved;"]
    for member in table["members"]:
        lines.append(c_comment(member["sentence"]))
        gap = "" if member["type"].endswith("*") else " "
        lines.append(f"    {member['type']}{gap}{member['name']};")
        values.append("0" if member["type"].endswith("int64_t") else "NULL")
    for field in table["fields"]:
        lines.append(c_comment(words(field) + c_absence(field)))
        for declaration, value in c_slots(field):
            lines.append(f"    {declaration};")
            values.append(value)
    macro = struct["name"].upper() + "_INIT"
    body = wrapped(", ".join([f"USP_OPTIONS_SIZE({struct['name']})", "0", *values]), 92)
    body = [line + " \\" for line in body[:-1]] + body[-1:]
    lines += [f"}} {struct['name']};", "", f"#define {macro} \\"]
    lines += ["    {" + "\n     ".join(body) + "}"]
    return "\n".join(lines)


def headers(structs):
    for struct in structs:
        path = ROOT / "include" / "usp" / f"{struct['header']}.h"
        start, end = f"/* {struct['name']}: written by make abi */", f"/* end of {struct['name']} */"
        yield path, lambda text, s=start, e=end, b=c_struct(struct): between(text, s, e, b)


def between(text, start, end, body):
    if start not in text or end not in text:
        raise SystemExit(f"no place for what stands between {start} and {end}")
    head, rest = text.split(start, 1)
    return head + start + "\n" + body + "\n" + end + rest.split(end, 1)[1]


# ---- Python ------------------------------------------------------------------------------------

PYTHON_TYPES = {
    "flag": "bool", "integer": "int", "unsigned": "int", "real": "float", "grid": "Grid"}


def python_value(field):
    """The default as Python writes it; None where something else decides."""
    kind, default = field["kind"], field["default"]
    if default is None or field["name"] == "dtype":
        return "None"
    if kind == "flag":
        return "True" if default == "yes" else "False"
    if kind in ("integer", "unsigned"):
        return default
    if kind == "real":
        return repr(float(default))
    if kind == "grid":
        return "(" + default.replace("x", ", ") + ")"
    return f'"{default}"' if default else "None"


def python_type(field):
    kind = field["kind"]
    if field["name"] == "dtype":
        return "Any"
    if kind.startswith("usp_"):
        return f"Optional[{kind[4:].title().replace('_', '')}]"
    name = PYTHON_TYPES.get(kind, "str")
    return f"Optional[{name}]" if python_value(field) == "None" and kind != "grid" else name


def python_options(structs):
    """_options.py: what the INIT macros write."""
    lines = ['"""Generated from the tables of fields by scripts/generate_doors.py: do not edit."""',
             "", "from math import nan", "from typing import Any, Dict", "",
             "#: struct -> field -> default", "DEFAULTS: Dict[str, Dict[str, Any]] = {"]
    for struct in structs:
        lines.append(f'    "{struct["name"]}": {{')
        for field in struct["table"]["fields"]:
            for declaration, value in c_slots(field):
                name = re.split(r"[ *]", declaration)[-1]
                value = {"NULL": "None", "USP_ABSENT": "nan"}.get(value, value)
                lines.append(f'        "{name}": {value},')
        lines.append("    },")
    return "\n".join([*lines, "}", ""])


REGION = re.compile(
    r"(?P<indent> *)# options: (?P<struct>\w+)(?P<more>[^\n]*)\n.*?(?P<end> *# end of options\n)",
    re.DOTALL)
SECTION = re.compile(
    r"(?P<indent> *)Other Parameters\n *-+.*?(?=\n\n|\n *\"\"\")", re.DOTALL)


def python_file(text, structs):
    """The file with its regions, and the sections of docstrings in the same order, written anew."""
    regions = [region_fields(structs[m["struct"]], m["more"]) for m in REGION.finditer(text)]

    def region(match, fields=iter(regions)):
        indent = match["indent"]
        items = [f"{f['name']}: {python_type(f)} = {python_value(f)}" for f in next(fields)]
        body = textwrap.fill(
            ", ".join(i.replace(" ", "\0") for i in items) + ",", 100, initial_indent=indent,
            subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        start = f"{indent}# options: {match['struct']}{match['more']}\n"
        return start + body.replace("\0", " ") + "\n" + match["end"]

    if len(SECTION.findall(text)) != len(regions):
        raise SystemExit(f"{len(regions)} regions, but not as many sections Other Parameters")
    text, fields = REGION.sub(region, text), iter(regions)
    return SECTION.sub(lambda match: python_section(next(fields), match["indent"]), text)


def region_fields(struct, more):
    left_out = re.search(r"but ([\w ]+)", more)
    part = re.search(r"for (\w+)", more)
    names = left_out[1].split() if left_out else []
    return [
        f for f in struct["table"]["fields"]
        if f["name"] not in names and (not part or not f["parts"] or part[1] in f["parts"])]


def python_section(fields, indent):
    lines = [f"{indent}Other Parameters", f"{indent}{'-' * 16}"]
    for field in fields:
        value = python_value(field)
        optional = ", optional" if value == "None" else f", default {value}"
        lines.append(f"{indent}{field['name']} : {python_type(field)}{optional}")
        lines += textwrap.wrap(
            words(field), 100, initial_indent=indent + "    ", subsequent_indent=indent + "    ")
    return "\n".join(lines)


# ---- the tool ----------------------------------------------------------------------------------

def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def swift_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def command_file(command):
    table, type_name = command["table"], command["table"]["type"].split(".", 1)[1]
    parts = set(command["part"].split())
    fields = [
        f for f in table["fields"]
        if f["name"] not in command["leaving"] and not f["kind"].startswith("usp_")
        and (not f["parts"] or not parts or parts & set(f["parts"]))]
    lines = [
        "// Generated from the tables of fields by scripts/generate_doors.py: do not edit.",
        "// swift-format-ignore-file", "", "import ArgumentParser", "import USPBase",
        "import USPKit", "",
        f"/// Options of {type_name} that have a part in {' or '.join(command['part'].split()) or 'some run'}.",
        f"struct {command['name']}: ParsableArguments {{"]
    for field in fields:
        told = parts & set(field["parts"]) if parts else field["parts"]
        told = [] if parts and told == parts else sorted(told) if parts else told
        help_text = swift_string(words({**field, "parts": told}))
        variable, flag = camel(field["name"]), field["name"].replace("_", "-")
        names = ", ".join(
            f'.customLong("{name}")' for name in [flag, *command["also"].get(field["name"], [])])
        names = f"[{names}]" if "," in names else names
        wrapper, kind, more = "Option", "String", ""
        if field["kind"] == "flag":
            wrapper, kind, more = "Flag", "Bool", ", inversion: .prefixedNo"
        lines += [f"    @{wrapper}(", f"        name: {names}{more},",
                  f"        help: {help_text})", f"    var {variable}: {kind}?", ""]
    lines += ["    /// Names of what was said.", "    var said: [String] {", "        ["]
    lines += [f'            {camel(f["name"])} == nil ? nil : "{f["name"]}",' for f in fields]
    lines += ["        ].compactMap(\\.self)", "    }", "", "    /// Changes what was said.",
              f"    func apply(to options: inout {type_name}) throws(USPError) {{"]
    for field in fields:
        variable = camel(field["name"])
        value = f'{variable} ? "yes" : "no"' if field["kind"] == "flag" else variable
        lines += [f'        if let {variable} {{ try options.set("{field["name"]}", {value}) }}']
    return "\n".join([*lines, "    }", "}", ""])


def outputs():
    """Path and text of every file that the tables have a part in."""
    tables = json.loads(subprocess.run([TABLES], check=True, capture_output=True).stdout)
    texts = {}

    def change(path, function):
        texts[path] = function(texts.get(path) or (path.read_text() if path.exists() else ""))

    for path, function in headers(tables["structs"]):
        change(path, function)
    change(PACKAGE / "_options.py", lambda _: python_options(tables["structs"]))
    structs = {struct["name"]: struct for struct in tables["structs"]}
    for path in sorted(PACKAGE.glob("*.py")):
        if "# options: " in path.read_text():
            change(path, lambda text: python_file(text, structs))
    for command in tables["commands"]:
        path = ROOT / "Sources" / "usp" / "Generated" / f"{command['name']}.swift"
        change(path, lambda _, c=command: command_file(c))
    return texts


def main():
    for path, text in outputs().items():
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                sys.exit(f"{path.relative_to(ROOT)} is not what the tables say: run `make abi`")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
