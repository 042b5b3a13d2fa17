// System calls that Swift's Glibc module does not show.
#define _GNU_SOURCE
#include <unistd.h>

#include "include/CFiles.h"

ptrdiff_t uspi_copy_file_range(int source, int64_t source_offset, int target, int64_t target_offset,
                               size_t count) {
    off_t from = source_offset, to = target_offset;
    return copy_file_range(source, &from, target, &to, count, 0);
}
