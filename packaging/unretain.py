#!/usr/bin/env python3
"""Copies static archives of the Swift runtime so that the linker can leave out what nobody calls.

The toolchain marks every public function of its standard library to be kept (SHF_GNU_RETAIN). Here the
mark is taken from code and plain data. The records by which the runtime finds types and conformances (the
sections swift5_*) keep it, and with it whatever they refer to. What REPLACED names becomes weak, so that
packaging/replaced.c takes its place.

    unretain.py FOLDER ARCHIVE...
"""

import re
import struct
import sys
from pathlib import Path

RETAIN = 0x200000
SYMBOLS, RELOCATIONS, WEAK = 2, 4, 2  # SHT_SYMTAB, SHT_RELA, STB_WEAK
CONFORMANCES = b".relaswift5_protocol_conformances\0"
#: Conformances of vectors and of numbers of other widths, and to what playgrounds show: nothing here casts to
#: them. One record a section.
NEVER_CAST = re.compile(
    rb"\$ss(\d+SIMD\d+V|7Float80V|6Int128V|7UInt128V|12StaticBigIntV)[^\0]*Mc\0|[^\0]*Playground[^\0]*Mc\0")
REPLACED = b"_swift_stdlib_getScalarName\0"
PLAIN = (b".text", b".data", b".rodata", b".bss", b".tbss", b".tdata",
         # what debuggers alone read of another process
         b"swift5_assocty", b"swift5_builtin", b"swift5_capture", b"swift5_mpenum")


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
        if kind == RELOCATIONS and archive.startswith(CONFORMANCES, texts + name):
            first, _, symbols, record = struct.unpack_from("<QQII", archive, header + 24)
            entry = place(symbols) + 24 * (struct.unpack_from("<Q", archive, start + first + 8)[0] >> 32)
            strings = place(struct.unpack_from("<I", archive, headers + symbols * size + 40)[0])
            told = strings + struct.unpack_from("<I", archive, entry)[0]
            if NEVER_CAST.match(archive, told):
                flags, = struct.unpack_from("<Q", archive, headers + record * size + 8)
                struct.pack_into("<Q", archive, headers + record * size + 8, flags & ~RETAIN)
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
