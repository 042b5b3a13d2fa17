// giflib, opened when it is needed. Its types as version 5 has them, which libgif.so.7 stands for.
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "include/CFiles.h"

typedef struct {
    int count, bits;
    bool is_sorted;
    const uint8_t *colours;
} gif_colours;

typedef struct {
    int left, top, width, height;
    bool is_interlaced;
    gif_colours *colours;
} gif_image;

typedef struct gif_file {
    int width, height, resolution, background;
    uint8_t aspect;
    gif_colours *colours;
    int image_count;
    gif_image image;
    void *saved;
    int block_count;
    void *blocks;
    int error;
    void *user;
    void *own;
} gif_file;

enum { kind_image = 2, kind_extension = 3, graphics_control = 0xF9 };

typedef int (*gif_input)(gif_file *, uint8_t *, int);

static struct {
    gif_file *(*open)(void *user, gif_input, int *error);
    int (*close)(gif_file *, int *error);
    int (*kind)(gif_file *, int *);
    int (*describe)(gif_file *);
    int (*line)(gif_file *, uint8_t *, int);
    int (*extension)(gif_file *, int *, uint8_t **);
    int (*next)(gif_file *, uint8_t **);
} gif;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void) {
    void *library = dlopen("libgif.so.7", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    *(void **)&gif.open = dlsym(library, "DGifOpen");
    *(void **)&gif.close = dlsym(library, "DGifCloseFile");
    *(void **)&gif.kind = dlsym(library, "DGifGetRecordType");
    *(void **)&gif.describe = dlsym(library, "DGifGetImageDesc");
    *(void **)&gif.line = dlsym(library, "DGifGetLine");
    *(void **)&gif.extension = dlsym(library, "DGifGetExtension");
    *(void **)&gif.next = dlsym(library, "DGifGetExtensionNext");
}

int uspi_gif_is_here(void) {
    pthread_once(&looked, look);
    return gif.open && gif.close && gif.kind && gif.describe && gif.line && gif.extension &&
           gif.next;
}

struct input {
    const uint8_t *at;
    size_t left;
};

static int input(gif_file *file, uint8_t *to, int count) {
    struct input *from = file->user;
    size_t taken = (size_t)count < from->left ? (size_t)count : from->left;
    memcpy(to, from->at, taken);
    from->at += taken;
    from->left -= taken;
    return (int)taken;
}

/* Goes on to the first image. */
static gif_file *begin(struct input *from, uspi_gif *result) {
    int error = 0, kind = 0, code = 0;
    uint8_t *block = NULL;
    gif_file *file = gif.open(from, input, &error);
    if (!file)
        return NULL;
    result->transparent = -1;
    while (gif.kind(file, &kind) && kind == kind_extension) {
        int is_read = gif.extension(file, &code, &block);
        if (is_read && code == graphics_control && block && block[0] >= 4)
            result->transparent = block[1] & 1 ? block[4] : -1;
        while (is_read && block)
            is_read = gif.next(file, &block);
        if (!is_read)
            break;
    }
    if (kind == kind_image && gif.describe(file))
        return file;
    gif.close(file, &error);
    return NULL;
}

static void describe(const gif_file *file, uspi_gif *result) {
    const gif_colours *colours = file->image.colours ? file->image.colours : file->colours;
    result->width = file->width;
    result->height = file->height;
    result->left = file->image.left;
    result->top = file->image.top;
    result->frame_width = file->image.width;
    result->frame_height = file->image.height;
    result->colours = colours ? colours->count : 0;
    if (result->colours > 256)
        result->colours = 256;
    if (result->colours > 0)
        memcpy(result->palette, colours->colours, 3 * (size_t)result->colours);
}

int uspi_gif_header(const uint8_t *bytes, size_t count, uspi_gif *result, char *message) {
    struct input from = {bytes, count};
    memset(result, 0, sizeof *result);
    gif_file *file = begin(&from, result);
    if (!file) {
        snprintf(message, 200, "is damaged or ends before its first image (%zu bytes)", count);
        return -1;
    }
    int error = 0;
    describe(file, result);
    gif.close(file, &error);
    return 0;
}

static int lines(gif_file *file, const uspi_gif *expected, uint8_t *indices) {
    static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    int passes = file->image.is_interlaced ? 4 : 1;
    for (int pass = 0; pass < passes; pass++) {
        int step = passes == 1 ? 1 : steps[pass];
        for (int y = passes == 1 ? 0 : starts[pass]; y < expected->frame_height; y += step) {
            uint8_t *line = indices + (size_t)y * (size_t)expected->frame_width;
            if (!gif.line(file, line, expected->frame_width))
                return y;
        }
    }
    return -1;
}

int uspi_gif_decode(const uint8_t *bytes, size_t count, const uspi_gif *expected, uint8_t *indices,
                    char *message) {
    struct input from = {bytes, count};
    uspi_gif now = {0};
    gif_file *file = begin(&from, &now);
    if (file)
        describe(file, &now);
    int is_same = file && now.frame_width == expected->frame_width &&
                  now.frame_height == expected->frame_height;
    int failed = is_same ? lines(file, expected, indices) : -1, error = 0;
    if (file)
        gif.close(file, &error);
    if (!is_same)
        snprintf(message, 200, "was changed while it was read");
    else if (failed >= 0)
        snprintf(message, 200, "is damaged or ends early, in row %d of %d", failed,
                 expected->frame_height);
    return is_same && failed < 0 ? 0 : -1;
}
