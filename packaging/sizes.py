#!/usr/bin/env python3
"""What the bytes of a linked file are, from the map that the linker wrote beside it.

    sizes.py .build/stage/lib/libusp.so
"""

import os
import re
import sys
from collections import Counter

CONTRIBUTION = re.compile(r"\s*[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ {9}(\S.*):\((.*)\)$")

#: by the first pattern that an input's path matches
PARTS = [
    (r"CKernels", "kernels (C, every instruction set)"),
    (r"USPC\.build", "C interface"),
    (r"USP\w+\.build", "rooms (Swift)"),
    (r"/usp\.build", "commands of the tool"),
    (r"ArgumentParser", "Swift Argument Parser"),
    (r"libswiftCore\.a\((Swift|Unicode\w+\.cpp)\.o\)", "Swift standard library, Unicode tables"),
    (r"libswift_(StringProcessing|RegexParser)", "Swift regular expressions"),
    (r"libswift_Concurrency|libdispatch|BlocksRuntime", "Swift concurrency"),
    (r"libswift", "Swift runtime"),
    (r"<internal>", "linker: relocations, unwinding index, dynamic symbols, merged strings"),
]

NOT_LOADED = re.compile(r"\.(debug|comment|symtab|strtab|shstrtab|note\.GNU|bss|tbss|swift_modhash|lldbsummaries)")


def part(path):
    for pattern, name in PARTS:
        if re.search(pattern, path):
            return name
    return "the rest (files, system calls, C runtime)"


def main(path):
    parts = Counter()
    with open(path + ".map") as lines:
        for line in lines:
            found = CONTRIBUTION.match(line)
            if found and not NOT_LOADED.match(found[3]):
                parts[part(found[2])] += int(found[1], 16)
    total = os.path.getsize(path)
    parts["headers, alignment"] = total - sum(parts.values())
    print(f"{os.path.basename(path)}: {total} bytes")
    for name, size in parts.most_common():
        print(f"{size:10d}  {100 * size / total:4.1f} %  {name}")


main(sys.argv[1])
