#!/usr/bin/env python3
"""Writes the tool's manual pages from its own help: usp.1, and one usp-COMMAND.1 for each command.

    manual.py path/of/usp folder
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ENDS = """\
.TP
.B 0
Done.
.TP
.B 1
An error; one sentence on standard error says what and where.
.TP
.B 2
A call that cannot be understood.
.TP
.BR 130 ", " 143 ", " 129 ", " 152
Ended by Ctrl-C, SIGTERM, SIGHUP or SIGXCPU, after what was done has been saved. A second signal within
a second is the same request; a later one, or a third, ends at once. SIGUSR1 and SIGUSR2 save and go
on."""


def escaped(text):
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text):
    return "\n.PP\n".join(escaped(part.strip()) for part in re.split(r"\n\s*\n", text))


def dashed(name):
    return ("-" if name["kind"] == "short" else "--") + name["name"]


def heading(argument):
    """How an argument is written: names in bold, the value in italics."""
    value = argument.get("valueName", "value")
    if argument["kind"] == "positional":
        return rf"\fI{escaped(value)}\fR"
    names = ", ".join(rf"\fB{escaped(dashed(name))}\fR" for name in argument["names"])
    return names if argument["kind"] == "flag" else rf"{names} \fI{escaped(value)}\fR"


def described(argument):
    words = [argument.get("abstract", ""), argument.get("discussion", "")]
    if argument.get("defaultValue") and argument["kind"] != "flag":
        words.append(f"Default: {argument['defaultValue']}.")
    return escaped(" ".join(word for word in words if word)) or r"\&"


def shown(command, kind="arguments"):
    return [each for each in command.get(kind, []) if each["shouldDisplay"]]


def synopsis(path, command):
    parts = [rf"\fB{escaped(path)}\fR"]
    if shown(command, "subcommands"):
        parts.append(r"\fIcommand\fR ...")
    elif any(a["isOptional"] and a["kind"] != "positional" for a in shown(command)):
        parts.append(r"[\fIoptions\fR]")
    for argument in shown(command):
        if argument["kind"] == "positional":
            text = heading(argument) + (" ..." if argument["isRepeating"] else "")
            parts.append(f"[{text}]" if argument["isOptional"] else text)
        elif not argument["isOptional"]:
            parts.append(rf"\fB{escaped(dashed(argument['preferredName']))}\fR "
                         rf"\fI{escaped(argument['valueName'])}\fR")
    return " ".join(parts)


def options(command):
    """A section for each group of options, in the order of the help."""
    groups = {}
    for argument in shown(command):
        title = "ARGUMENTS" if argument["kind"] == "positional" else "OPTIONS"
        groups.setdefault(argument.get("sectionTitle", title).upper(), []).append(argument)
    for title in sorted(groups, key=["ARGUMENTS"].count, reverse=True):
        yield f'.SH "{escaped(title)}"'
        for argument in groups[title]:
            yield f".TP\n{heading(argument)}\n{described(argument)}"


def page(command, root, version):
    name = command["commandName"]
    path = name if command is root else f"{root['commandName']} {name}"
    lines = [
        f'.TH "{escaped(path.replace(" ", "-").upper())}" "1" "" "usp {version}" "usp manual"',
        ".SH NAME",
        escaped(path.replace(" ", "-")) + r" \- " + escaped(command["abstract"].rstrip(".")),
        ".SH SYNOPSIS", synopsis(path, command),
    ]
    if command.get("discussion"):
        lines += [".SH DESCRIPTION", paragraphs(command["discussion"])]
    if command is root:
        lines.append(".SH COMMANDS")
        for each in shown(command, "subcommands"):
            lines.append(rf".TP" "\n" rf"\fB{escaped(each['commandName'])}\fR" "\n"
                         + escaped(each.get("abstract", "")))
    lines += options(command)
    lines += [".SH EXIT STATUS", ENDS, ".SH SEE ALSO"]
    others = [each["commandName"] for each in shown(root, "subcommands") if each is not command]
    pages = [f"usp-{other}" for other in others] if command is root else ["usp"]
    lines.append(",\n".join(rf".BR {escaped(each)} (1)" for each in pages).replace("(1),", "(1),"))
    return "\n".join(lines) + "\n"


def main(tool, folder):
    dumped = subprocess.run([tool, "--experimental-dump-help"], check=True, capture_output=True)
    root = json.loads(dumped.stdout)["command"]
    version = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True)
    root["subcommands"] = [c for c in root["subcommands"] if c["commandName"] != "help"]
    for command in [root, *shown(root, "subcommands")]:
        name = "usp" if command is root else f"usp-{command['commandName']}"
        Path(folder, f"{name}.1").write_text(page(command, root, version.stdout.strip()))


main(sys.argv[1], sys.argv[2])
