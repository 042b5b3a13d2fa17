// System calls that Swift's Glibc module does not show.
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

// Not dladdr's name: that one is as the host wrote it, relative to a folder that it may have left.
size_t uspi_own_file(char *path, size_t size) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0, length = 0;
    while (maps && getline(&line, &room, maps) >= 0) {
        uintptr_t from, to;
        int name = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &name) < 2 ||
            !name || (uintptr_t)uspi_own_file < from || (uintptr_t)uspi_own_file >= to) {
            continue;
        }
        length = strcspn(line + name, "\n");
        if (length < size) {
            memcpy(path, line + name, length);
            path[length] = 0;
        } else {
            length = 0;
        }
        break;
    }
    free(line);
    if (maps) fclose(maps);
    return length;
}
