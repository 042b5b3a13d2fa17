// libtiff, opened when it is needed. Its functions as version 4.5 and later has them, which
// libtiff.so.6 stands for.
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/CFiles.h"

typedef struct tiff_file tiff_file;
typedef struct tiff_options tiff_options;
typedef int (*tiff_tell)(tiff_file *, void *user, const char *, const char *, va_list);
typedef ptrdiff_t (*tiff_transfer)(void *, void *, ptrdiff_t);

enum {
    tag_width = 256, tag_height = 257, tag_bits = 258, tag_compression = 259,
    tag_photometric = 262, tag_orientation = 274, tag_samples = 277, tag_planes = 284,
    tag_palette = 320, tag_tile_width = 322, tag_tile_height = 323, tag_extra = 338,
    tag_format = 339, tag_jpeg_colours = 65538,
    compression_jpeg = 7, most_samples = 5, largest_block = 1 << 30,
};

static struct {
    tiff_options *(*options)(void);
    void (*free_options)(tiff_options *);
    void (*limit)(tiff_options *, ptrdiff_t);
    void (*on_error)(tiff_options *, tiff_tell, void *);
    void (*on_warning)(tiff_options *, tiff_tell, void *);
    tiff_file *(*open)(const char *, const char *, void *, tiff_transfer, tiff_transfer,
                       uint64_t (*)(void *, uint64_t, int), int (*)(void *),
                       uint64_t (*)(void *), int (*)(void *, void **, uint64_t *),
                       void (*)(void *, void *, uint64_t), tiff_options *);
    void (*close)(tiff_file *);
    int (*get)(tiff_file *, uint32_t, ...);
    int (*get_defaulted)(tiff_file *, uint32_t, ...);
    int (*set)(tiff_file *, uint32_t, ...);
    int (*is_tiled)(tiff_file *);
    int64_t (*line_size)(tiff_file *);
    int64_t (*tile_size)(tiff_file *);
    int64_t (*tile_row_size)(tiff_file *);
    int (*line)(tiff_file *, void *, uint32_t, uint16_t);
    ptrdiff_t (*tile)(tiff_file *, void *, uint32_t, uint32_t, uint32_t, uint16_t);
    int (*render)(tiff_file *, uint32_t, uint32_t, uint32_t *, int, int);
    int (*can_render)(tiff_file *, char *);
} tiff;
static int is_here;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void) {
    void *library = dlopen("libtiff.so.6", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    const struct {
        void *function;
        const char *name;
    } wanted[] = {
        {&tiff.options, "TIFFOpenOptionsAlloc"},
        {&tiff.free_options, "TIFFOpenOptionsFree"},
        {&tiff.limit, "TIFFOpenOptionsSetMaxSingleMemAlloc"},
        {&tiff.on_error, "TIFFOpenOptionsSetErrorHandlerExtR"},
        {&tiff.on_warning, "TIFFOpenOptionsSetWarningHandlerExtR"},
        {&tiff.open, "TIFFClientOpenExt"},
        {&tiff.close, "TIFFClose"},
        {&tiff.get, "TIFFGetField"},
        {&tiff.get_defaulted, "TIFFGetFieldDefaulted"},
        {&tiff.set, "TIFFSetField"},
        {&tiff.is_tiled, "TIFFIsTiled"},
        {&tiff.line_size, "TIFFScanlineSize64"},
        {&tiff.tile_size, "TIFFTileSize64"},
        {&tiff.tile_row_size, "TIFFTileRowSize64"},
        {&tiff.line, "TIFFReadScanline"},
        {&tiff.tile, "TIFFReadTile"},
        {&tiff.render, "TIFFReadRGBAImageOriented"},
        {&tiff.can_render, "TIFFRGBAImageOK"},
    };
    is_here = 1;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(library, wanted[i].name);
        memcpy(wanted[i].function, &found, sizeof found);
        is_here = is_here && found;
    }
}

int uspi_tiff_is_here(void) {
    pthread_once(&looked, look);
    return is_here;
}

// ---- the file in memory

struct source {
    const uint8_t *bytes;
    uint64_t count, at;
    char *message;
};

static ptrdiff_t read_bytes(void *user, void *to, ptrdiff_t count) {
    struct source *source = user;
    uint64_t left = source->at < source->count ? source->count - source->at : 0;
    uint64_t taken = count > 0 && (uint64_t)count < left ? (uint64_t)count : count > 0 ? left : 0;
    memcpy(to, source->bytes + (taken ? source->at : 0), taken);
    source->at += taken;
    return (ptrdiff_t)taken;
}

static ptrdiff_t write_bytes(void *user, void *from, ptrdiff_t count) {
    (void)user, (void)from, (void)count;
    return -1;
}

static uint64_t seek(void *user, uint64_t offset, int whence) {
    struct source *source = user;
    if (whence == SEEK_CUR)
        offset += source->at;
    if (whence == SEEK_END)
        offset += source->count;
    return source->at = offset;
}

static int close_source(void *user) { return (void)user, 0; }

static uint64_t size(void *user) { return ((struct source *)user)->count; }

static int map(void *user, void **base, uint64_t *count) {
    struct source *source = user;
    *base = (void *)(uintptr_t)source->bytes;
    *count = source->count;
    return 1;
}

static void unmap(void *user, void *base, uint64_t count) { (void)user, (void)base, (void)count; }

static int keep_error(tiff_file *file, void *user, const char *module, const char *format,
                      va_list arguments) {
    struct source *source = user;
    (void)file, (void)module;
    if (source->message[0] == 0)
        vsnprintf(source->message, 200, format, arguments);
    return 1;
}

static int drop_warning(tiff_file *file, void *user, const char *module, const char *format,
                        va_list arguments) {
    (void)file, (void)user, (void)module, (void)format, (void)arguments;
    return 1;
}

static tiff_file *open_source(struct source *source) {
    tiff_options *options = tiff.options();
    if (!options)
        return NULL;
    tiff.limit(options, largest_block);
    tiff.on_error(options, keep_error, source);
    tiff.on_warning(options, drop_warning, source);
    tiff_file *file = tiff.open("image", "r", source, read_bytes, write_bytes, seek, close_source,
                                size, map, unmap, options);
    tiff.free_options(options);
    return file;
}

// ---- what is in it

static int number(tiff_file *file, uint32_t tag, int fallback) {
    uint16_t value = 0;
    return tiff.get_defaulted(file, tag, &value) ? value : fallback;
}

static void read_palette(tiff_file *file, uspi_tiff *result) {
    uint16_t *planes[3];
    if (!tiff.get(file, tag_palette, &planes[0], &planes[1], &planes[2]))
        return;
    for (int i = 0; i < 1 << result->bits; i++)
        for (int c = 0; c < 3; c++)
            result->palette[3 * i + c] = (uint8_t)(planes[c][i] >> 8);
}

/* Whether samples are unpacked here; else libtiff renders the image. */
static int is_common(tiff_file *file, const uspi_tiff *t) {
    int fewest[] = {1, 1, 3, 1, 99, 4};
    if (t->photometric > 5 || t->samples < fewest[t->photometric] || t->samples > most_samples)
        return 0;
    if (number(file, tag_format, 1) != 1 || (t->photometric == 3 && t->bits > 8))
        return 0;
    int is_small = t->bits == 1 || t->bits == 2 || t->bits == 4;
    return t->bits == 8 || t->bits == 16 || (is_small && t->samples == 1);
}

static void describe(tiff_file *file, uspi_tiff *result) {
    uint32_t width = 0, height = 0;
    uint16_t extras = 0, *extra = NULL;
    memset(result, 0, sizeof *result);
    tiff.get(file, tag_width, &width);
    tiff.get(file, tag_height, &height);
    result->width = width <= INT32_MAX ? (int)width : 0;
    result->height = height <= INT32_MAX ? (int)height : 0;
    result->samples = number(file, tag_samples, 1);
    result->bits = number(file, tag_bits, 1);
    result->photometric = number(file, tag_photometric, 1);
    result->orientation = number(file, tag_orientation, 1);
    // The decoder of JPEG data gives RGB for YCbCr.
    if (result->photometric == 6 && number(file, tag_compression, 1) == compression_jpeg &&
        result->samples == 3 && tiff.set(file, tag_jpeg_colours, 1))
        result->photometric = 2;
    if (tiff.get(file, tag_extra, &extras, &extra) && extras > 0 && extra)
        result->alpha = extra[0];
    result->is_rendered = !is_common(file, result);
    if (result->is_rendered)
        result->samples = 4;
    else if (result->photometric == 3)
        read_palette(file, result);
}

int uspi_tiff_header(const uint8_t *bytes, size_t count, uspi_tiff *result, char *message) {
    struct source source = {bytes, count, 0, message};
    char reason[1024] = "";
    message[0] = 0;
    tiff_file *file = open_source(&source);
    if (!file)
        goto failed;
    describe(file, result);
    if (result->is_rendered && !tiff.can_render(file, reason))
        snprintf(message, 200, "%s", reason);
    else if (result->width > 0 && result->height > 0)
        message[0] = 0;
    tiff.close(file);
    if (message[0] == 0 && result->width > 0 && result->height > 0)
        return 0;
failed:
    if (message[0] == 0)
        snprintf(message, 200, "a damaged header");
    return -1;
}

// ---- its pixels

/* Samples of some pixels of a row, to bytes; the samples of a pixel are `step` apart in `to`. */
static void unpack(uint8_t *to, size_t step, const uint8_t *from, size_t samples, size_t in_pixel,
                   int bits) {
    for (size_t i = 0; i < samples; i++) {
        size_t at = i / in_pixel * step + i % in_pixel, bit = i * (size_t)bits;
        if (bits == 8)
            to[at] = from[i];
        else if (bits == 16) {
            uint16_t word;
            memcpy(&word, from + 2 * i, 2);
            to[at] = (uint8_t)(word >> 8);
        } else
            to[at] = (uint8_t)(from[bit / 8] >> (8 - bits - (int)(bit % 8)) & ((1 << bits) - 1));
    }
}

static int read_lines(tiff_file *file, const uspi_tiff *t, uint8_t *pixels, int planes) {
    size_t in_pixel = planes == 1 ? (size_t)t->samples : 1, samples = (size_t)t->samples;
    size_t needed = ((size_t)t->width * in_pixel * (size_t)t->bits + 7) / 8;
    int64_t size = tiff.line_size(file);
    if (size < (int64_t)needed || size > largest_block)
        return -1;
    uint8_t *line = calloc(1, (size_t)size);
    int status = line ? 0 : -1;
    for (int plane = 0; plane < planes && status == 0; plane++)
        for (int y = 0; y < t->height && status == 0; y++) {
            status = tiff.line(file, line, (uint32_t)y, (uint16_t)plane) == 1 ? 0 : -1;
            uint8_t *to = pixels + (size_t)y * (size_t)t->width * samples + plane;
            if (status == 0)
                unpack(to, samples, line, (size_t)t->width * in_pixel, in_pixel, t->bits);
        }
    free(line);
    return status;
}

static int read_tiles(tiff_file *file, const uspi_tiff *t, uint8_t *pixels, int planes) {
    size_t in_pixel = planes == 1 ? (size_t)t->samples : 1, samples = (size_t)t->samples;
    uint32_t width = 0, height = 0;
    tiff.get(file, tag_tile_width, &width);
    tiff.get(file, tag_tile_height, &height);
    int64_t size = tiff.tile_size(file), row = tiff.tile_row_size(file);
    size_t needed = ((size_t)width * in_pixel * (size_t)t->bits + 7) / 8;
    if (width == 0 || height == 0 || row < (int64_t)needed || size > largest_block ||
        size / row < (int64_t)height)
        return -1;
    uint8_t *tile = calloc(1, (size_t)size);
    int status = tile ? 0 : -1;
    for (int plane = 0; plane < planes; plane++)
        for (size_t y = 0; y < (size_t)t->height; y += height)
            for (size_t x = 0; x < (size_t)t->width && status == 0; x += width) {
                if (tiff.tile(file, tile, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane) < 0)
                    status = -1;
                size_t columns = (size_t)t->width - x < width ? (size_t)t->width - x : width;
                for (size_t line = 0; line < height && y + line < (size_t)t->height; line++)
                    unpack(pixels + ((y + line) * (size_t)t->width + x) * samples + plane, samples,
                           tile + line * (size_t)row, columns * in_pixel, in_pixel, t->bits);
            }
    free(tile);
    return status;
}

/* Words of libtiff have red in their lowest byte: on the processors that we know, in front. */
static int render(tiff_file *file, const uspi_tiff *t, uint8_t *pixels) {
    tiff.set(file, tag_orientation, 1);
    uint32_t width = (uint32_t)t->width, height = (uint32_t)t->height;
    return tiff.render(file, width, height, (uint32_t *)pixels, 1, 1) ? 0 : -1;
}

int uspi_tiff_decode(const uint8_t *bytes, size_t count, const uspi_tiff *expected, uint8_t *pixels,
                     char *message) {
    struct source source = {bytes, count, 0, message};
    uspi_tiff now;
    int status = -1;
    message[0] = 0;
    tiff_file *file = open_source(&source);
    if (file) {
        describe(file, &now);
        int planes = number(file, tag_planes, 1) == 2 ? expected->samples : 1;
        if (now.width != expected->width || now.height != expected->height ||
            now.samples != expected->samples || now.bits != expected->bits ||
            now.is_rendered != expected->is_rendered)
            snprintf(message, 200, "was changed while it was read");
        else if (now.is_rendered)
            status = render(file, &now, pixels);
        else if (tiff.is_tiled(file))
            status = read_tiles(file, &now, pixels, planes);
        else
            status = read_lines(file, &now, pixels, planes);
        tiff.close(file);
    }
    if (status != 0 && message[0] == 0)
        snprintf(message, 200, "is damaged or ends early (%zu bytes)", count);
    return status;
}
