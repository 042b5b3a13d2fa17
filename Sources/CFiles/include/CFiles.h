/* zlib as Swift sees it, libjpeg behind functions that return instead of jumping, and system calls
 * that need _GNU_SOURCE. */
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

/* Size and components (1 grey, 3 colour, 4 CMYK) of a JPEG. 0, or -1 with the reason in `message`
 * (200 bytes). */
int uspi_jpeg_header(const uint8_t *bytes, size_t count, int *width, int *height, int *components,
                     char *message);

/* Decodes a JPEG into `pixels` (width * height * channels bytes, channels 1 or 3). Damaged data
 * gives grey areas as in every viewer, missing data is an error. 0, or -1 with the reason. */
int uspi_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, int channels,
                     char *message);

#endif
