#!/usr/bin/env python3
"""Copies static archives of the Swift runtime so that the linker can leave out what nobody calls.

The toolchain marks every public function of its standard library to be kept (SHF_GNU_RETAIN). Here the
mark is taken from code and plain data. The records by which the runtime finds types and conformances (the
sections swift5_*) keep it, and with it whatever they refer to. What REPLACED names becomes weak, so that
packaging/replaced.c takes its place.

    unretain.py FOLDER ARCHIVE...
"""

import struct
import sys
from pathlib import Path

RETAIN = 0x200000
SYMBOLS, WEAK = 2, 2  # SHT_SYMTAB, STB_WEAK
REPLACED = b"_swift_stdlib_getScalarName\0"
PLAIN = (b".text", b".data", b".rodata", b".bss", b".tbss", b".tdata")


def members(archive):
    """Where the files of an `ar` archive lie in it."""
    at = 8
    while at + 60 <= len(archive):
        size = int(archive[at + 48:at + 58])
        yield at + 60
        at += 60 + size + size % 2


def slim(archive, start):
    """Clears the mark of the plain sections of a 64-bit little-endian ELF file; weakens REPLACED."""
    table, = struct.unpack_from("<Q", archive, start + 0x28)
    size, count, names = struct.unpack_from("<HHH", archive, start + 0x3A)
    headers = start + table
    if count == 0:  # too many to count there: ELF's first section says
        count, = struct.unpack_from("<Q", archive, headers + 32)
    if names == 0xFFFF:
        names, = struct.unpack_from("<I", archive, headers + 40)

    def place(section):
        return start + struct.unpack_from("<Q", archive, headers + section * size + 24)[0]

    texts = place(names)
    for header in range(headers, headers + count * size, size):
        name, kind, flags = struct.unpack_from("<IIQ", archive, header)
        if flags & RETAIN and archive.startswith(PLAIN, texts + name):
            struct.pack_into("<Q", archive, header + 8, flags & ~RETAIN)
        if kind == SYMBOLS:
            first, length, strings = struct.unpack_from("<QQI", archive, header + 24)
            strings = place(strings)
            for at in range(start + first, start + first + length, 24):
                name, information = struct.unpack_from("<IB", archive, at)
                if archive.startswith(REPLACED, strings + name):
                    archive[at + 4] = WEAK << 4 | information & 0xF


def main(folder, *paths):
    for path in map(Path, paths):
        archive = bytearray(path.read_bytes())
        for start in members(archive):
            if archive[start:start + 6] == b"\x7fELF\x02\x01":
                slim(archive, start)
        Path(folder, path.name).write_bytes(archive)


main(*sys.argv[1:])
