// System calls that Swift's Glibc module does not show.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "include/CFiles.h"

ptrdiff_t uspi_copy_file_range(int source, int64_t source_offset, int target, int64_t target_offset,
                               size_t count) {
    off_t from = source_offset, to = target_offset;
    return copy_file_range(source, &from, target, &to, count, 0);
}

/* The kernel's own name of an open file, by which it can be linked. */
static const char *descriptor_path(int descriptor, char text[32]) {
    snprintf(text, 32, "/proc/self/fd/%d", descriptor);
    return text;
}

int uspi_open_unnamed(const char *folder) {
    char text[32];
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (descriptor >= 0 && access(descriptor_path(descriptor, text), F_OK) != 0) {
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

int uspi_give_name(int descriptor, const char *path) {
    char text[32];
    return linkat(AT_FDCWD, descriptor_path(descriptor, text), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

const char *uspi_own_file(void) {
    Dl_info information;
    return dladdr((void *)uspi_own_file, &information) ? information.dli_fname : NULL;
}
