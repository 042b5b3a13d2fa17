// CRC-32 and tables over bytes.
#include <dlfcn.h>
#include <pthread.h>

#include "include/CFiles.h"

typedef uint32_t (*crc32_fn)(uint32_t start, const void *bytes, size_t count);

static uint32_t crc32_of_zlib(uint32_t start, const void *bytes, size_t count) {
    return (uint32_t)crc32_z(start, bytes, count);
}

static crc32_fn fastest = crc32_of_zlib;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

/* libdeflate's takes a third of the time of zlib's; libtiff brings it along on most systems. */
static void look(void) {
    void *library = dlopen("libdeflate.so.0", RTLD_NOW | RTLD_LOCAL);
    crc32_fn found = library ? (crc32_fn)dlsym(library, "libdeflate_crc32") : NULL;
    if (found)
        fastest = found;
}

uint32_t uspi_crc32(uint32_t start, const uint8_t *bytes, size_t count) {
    if (!bytes)
        return start;
    // Few bytes are not worth opening a library for.
    if (count < 1 << 16)
        return crc32_of_zlib(start, bytes, count);
    pthread_once(&looked, look);
    return fastest(start, bytes, count);
}

void uspi_widen_bytes(const uint8_t *bytes, size_t count, const uint16_t *table, uint16_t *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = table[bytes[i]];
}
