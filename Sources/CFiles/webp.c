// libwebp, opened when it is needed.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "include/CFiles.h"

static struct {
    int (*info)(const uint8_t *, size_t, int *, int *);
    uint8_t *(*decode)(const uint8_t *, size_t, uint8_t *, size_t, int);
} webp;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void) {
    void *library = dlopen("libwebp.so.7", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    webp.info = (int (*)(const uint8_t *, size_t, int *, int *))dlsym(library, "WebPGetInfo");
    webp.decode = (uint8_t * (*)(const uint8_t *, size_t, uint8_t *, size_t, int))
        dlsym(library, "WebPDecodeRGBInto");
}

int uspi_webp_is_here(void) {
    pthread_once(&looked, look);
    return webp.info && webp.decode;
}

int uspi_webp_header(const uint8_t *bytes, size_t count, int *width, int *height, char *message) {
    if (webp.info(bytes, count, width, height) && *width > 0 && *height > 0)
        return 0;
    snprintf(message, 200, "a damaged header");
    return -1;
}

int uspi_webp_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, int width, int height,
                     char *message) {
    int now_width = 0, now_height = 0;
    size_t row = 3 * (size_t)width;
    if (!webp.info(bytes, count, &now_width, &now_height) || now_width != width ||
        now_height != height) {
        snprintf(message, 200, "was changed while it was read");
        return -1;
    }
    if (webp.decode(bytes, count, pixels, row * (size_t)height, (int)row))
        return 0;
    snprintf(message, 200, "is damaged or ends early (%zu bytes)", count);
    return -1;
}
