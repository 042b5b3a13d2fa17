/* zlib as Swift sees it, images behind functions that return instead of jumping, mapped files
 * whose pages may go, and system calls that need _GNU_SOURCE. */
#ifndef USPI_CFILES_H
#define USPI_CFILES_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

/* copy_file_range(2): copies up to `count` bytes between files inside the kernel, at explicit
 * offsets. Returns the bytes copied, 0 at the end of the source, -1 if it cannot. */
ptrdiff_t uspi_copy_file_range(int source, int64_t source_offset, int target, int64_t target_offset,
                               size_t count);

/* A new file in `folder` that has no name, so that nothing stays of it if the process ends; -1 if
 * the file system or the kernel cannot. */
int uspi_open_unnamed(const char *folder);

/* Names such a file: 0, or -1 with errno, EEXIST if the name is taken. */
int uspi_give_name(int descriptor, const char *path);

/* Guards a mapped file: where its pages are gone (it was cut short, or its disk fails), reading
 * gives zeros from there on and is noted, in place of SIGBUS. Takes the process's handler of
 * SIGBUS, which passes on what happens elsewhere to the one that was there. Returns a slot, -1 if
 * there is none left. */
int uspi_guard(const void *base, size_t count);

/* Whether pages of it were missing. */
int uspi_guard_damaged(int slot);

/* Before the range is unmapped. */
void uspi_unguard(int slot);

/* How often pages were missing, in all ranges so far. */
unsigned uspi_guard_damages(void);

/* The path of the file that this code was loaded from, the library or a program that it is linked
 * into. Returns its length, 0 where the system does not say or `size` is too small. */
size_t uspi_own_file(char *path, size_t size);

/* CRC-32 of the bytes, continuing `start`; NULL gives `start`. */
uint32_t uspi_crc32(uint32_t start, const uint8_t *bytes, size_t count);

/* to[i] = table[bytes[i]], a table of 256. */
void uspi_widen_bytes(const uint8_t *bytes, size_t count, const uint16_t *table, uint16_t *to);

#include "images.h"

#endif
