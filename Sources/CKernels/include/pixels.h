/* 8-bit images, rows from the top, channels together: what augmentation does to them. Where Pillow
 * computes in floating point the order of its operations is kept and no product is fused into a
 * sum, so that results are its own to the bit. */
#ifndef USPI_PIXELS_H
#define USPI_PIXELS_H
#include <stddef.h>
#include <stdint.h>

/* counts[c][v] (+)= how many of the pixels [pixels, channels] have the value v in channel c. */
void uspi_histogram(const uint8_t *x, ptrdiff_t pixels, ptrdiff_t channels, int64_t *counts);

/* y = tables[c][x], c the channel; tables [channels, 256]. */
void uspi_lookup(const uint8_t *x, ptrdiff_t pixels, ptrdiff_t channels, const uint8_t *tables,
                 uint8_t *y);

/* y[c * plane + j * row + i] = tables[c][x[j][i][c]]: an image [height, width, channels] as planes;
 * tables [channels, 256]. */
void uspi_lookup_planes(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                        const float *tables, float *y, ptrdiff_t row, ptrdiff_t plane);

/* y [pixels]: luminance of RGB, 0.299 0.587 0.114 in 16-bit fixed point. */
void uspi_luminance(const uint8_t *x, ptrdiff_t pixels, uint8_t *y);

/* y = from + factor * (to - from), cut to 0 ... 255, towards zero; n bytes. y may be `from`. */
void uspi_blend(const uint8_t *from, const uint8_t *to, float factor, ptrdiff_t n, uint8_t *y);

/* The same from one level. */
void uspi_blend_level(const uint8_t *x, uint8_t level, float factor, ptrdiff_t n, uint8_t *y);

/* The same from each RGB pixel's luminance. */
void uspi_blend_luminance(const uint8_t *x, float factor, ptrdiff_t pixels, uint8_t *y);

/* y: the 3x3 mean of RGB in which the middle counts five times; pixels at the edges as in x. */
void uspi_smooth(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, uint8_t *y);

/* y: left and right exchanged. */
void uspi_mirror(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                 uint8_t *y);

/* Rows begin ..< end of y [height, width, 3]: the pixel in column i, row j is x [the same size],
 * bicubically (Keys' kernel with a = -1), at
 *     (matrix[0] (i + 1/2) + matrix[1] (j + 1/2) + matrix[2],
 *      matrix[3] (i + 1/2) + matrix[4] (j + 1/2) + matrix[5]),
 * or `fill` where that lies outside. */
void uspi_affine_bicubic(const uint8_t *x, ptrdiff_t height, ptrdiff_t width,
                         const double matrix[6], uint8_t fill, ptrdiff_t begin, ptrdiff_t end,
                         uint8_t *y);

/* For each result pixel along one axis: from which source pixel on, how many, and their weights in
 * 22-bit fixed point, `most` to a result pixel. */
typedef struct uspi_taps {
    const int32_t *first, *count, *weights;
    ptrdiff_t most;
} uspi_taps;

/* y [rows, target, channels] from x [rows, source, channels]; up to 4 channels. */
void uspi_resample_columns(const uint8_t *x, const uspi_taps *taps, ptrdiff_t rows,
                           ptrdiff_t source, ptrdiff_t target, ptrdiff_t channels, uint8_t *y);

/* y [target, row] from x [.., row] */
void uspi_resample_rows(const uint8_t *x, const uspi_taps *taps, ptrdiff_t target, ptrdiff_t row,
                        uint8_t *y);

#endif
