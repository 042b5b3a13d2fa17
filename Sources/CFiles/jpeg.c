// libjpeg reports errors by a callback that must not return; here it jumps no further than this
// file.
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "include/CFiles.h"

// Files with more scans than this are made to waste time.
enum { most_scans = 500 };

struct failure {
    struct jpeg_error_mgr base;
    jmp_buf place;
    char *message;
    size_t count;
    int premature_end;
    unsigned rows; // that were whole when the data ended
};

static void fail(j_common_ptr info) {
    struct failure *failure = (struct failure *)info->err;
    char text[JMSG_LENGTH_MAX];
    failure->base.format_message(info, text);
    if (failure->premature_end)
        snprintf(failure->message, 200, "ends at byte %zu, before its first scan", failure->count);
    else
        snprintf(failure->message, 200, "%s", text);
    longjmp(failure->place, 1);
}

static void warn(j_common_ptr info, int level) {
    struct failure *failure = (struct failure *)info->err;
    const char *text = failure->base.jpeg_message_table[failure->base.msg_code];
    if (level < 0 && !failure->premature_end && strstr(text, "Premature end")) {
        failure->premature_end = 1;
        failure->rows = ((j_decompress_ptr)info)->output_scanline;
    }
}

static void watch(j_common_ptr info) {
    j_decompress_ptr decoder = (j_decompress_ptr)info;
    struct failure *failure = (struct failure *)info->err;
    if (decoder->input_scan_number > most_scans) {
        snprintf(failure->message, 200, "more than %d scans", most_scans);
        longjmp(failure->place, 1);
    }
}

static void start(struct jpeg_decompress_struct *decoder, struct failure *failure,
                  struct jpeg_progress_mgr *progress, size_t count, char *message) {
    decoder->err = jpeg_std_error(&failure->base);
    failure->base.error_exit = fail;
    failure->base.emit_message = warn;
    failure->message = message;
    failure->count = count;
    failure->premature_end = 0;
    message[0] = 0;
    progress->progress_monitor = watch;
}

int uspi_jpeg_header(const uint8_t *bytes, size_t count, int *width, int *height, int *components,
                     char *message) {
    struct jpeg_decompress_struct decoder;
    struct jpeg_progress_mgr progress;
    struct failure failure;
    memset(&decoder, 0, sizeof decoder);
    start(&decoder, &failure, &progress, count, message);
    if (setjmp(failure.place)) {
        jpeg_destroy_decompress(&decoder);
        return -1;
    }
    jpeg_create_decompress(&decoder);
    jpeg_mem_src(&decoder, bytes, count);
    jpeg_read_header(&decoder, TRUE);
    *width = (int)decoder.image_width;
    *height = (int)decoder.image_height;
    *components = decoder.num_components;
    jpeg_destroy_decompress(&decoder);
    return 0;
}

// CMYK to RGB in Pillow's arithmetic. The file's values count as inverted, as Adobe stores them,
// also where its marker is missing: so do Pillow and browsers.
static void to_rgb(uint8_t *to, const uint8_t *from, unsigned width) {
    for (unsigned x = 0; x < width; x++, from += 4, to += 3) {
        for (int c = 0; c < 3; c++) {
            unsigned product = (255u - from[c]) * from[3] + 128;
            to[c] = (uint8_t)(from[3] - ((product + (product >> 8)) >> 8));
        }
    }
}

static void read_rows(struct jpeg_decompress_struct *decoder, uint8_t *pixels, int channels) {
    size_t width = decoder->output_width, row = width * (size_t)channels;
    JSAMPARRAY wide = NULL;
    if (decoder->out_color_space == JCS_CMYK)
        wide = decoder->mem->alloc_sarray((j_common_ptr)decoder, JPOOL_IMAGE,
                                          decoder->output_width * 4, 1);
    while (decoder->output_scanline < decoder->output_height) {
        uint8_t *to = pixels + row * decoder->output_scanline;
        JSAMPROW target = wide ? wide[0] : to;
        if (jpeg_read_scanlines(decoder, &target, 1) == 1 && wide)
            to_rgb(to, wide[0], decoder->output_width);
    }
}

int uspi_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, int width, int height,
                     int channels, char *message) {
    struct jpeg_decompress_struct decoder;
    struct jpeg_progress_mgr progress;
    struct failure failure;
    memset(&decoder, 0, sizeof decoder);
    start(&decoder, &failure, &progress, count, message);
    if (setjmp(failure.place)) {
        jpeg_destroy_decompress(&decoder);
        return -1;
    }
    jpeg_create_decompress(&decoder);
    decoder.progress = &progress;
    jpeg_mem_src(&decoder, bytes, count);
    jpeg_read_header(&decoder, TRUE);
    if (decoder.num_components == 4)
        decoder.out_color_space = JCS_CMYK;
    else
        decoder.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_calc_output_dimensions(&decoder);
    int is_same = decoder.output_width == (JDIMENSION)width &&
                  decoder.output_height == (JDIMENSION)height &&
                  (decoder.out_color_space == JCS_GRAYSCALE) == (channels == 1);
    if (!is_same) {
        snprintf(message, 200, "was changed while it was read");
        longjmp(failure.place, 1);
    }
    jpeg_start_decompress(&decoder);
    read_rows(&decoder, pixels, channels);
    jpeg_finish_decompress(&decoder);
    jpeg_destroy_decompress(&decoder);
    if (failure.premature_end) {
        snprintf(message, 200, "ends at byte %zu, after %u of %d rows, expected an end of image",
                 count, failure.rows, height);
        return -1;
    }
    return 0;
}
