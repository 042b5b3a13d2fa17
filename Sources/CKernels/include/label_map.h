/* Images and label maps of segmentation, in OpenCV's arithmetic: resizing, HSV, counting. */
#ifndef USPI_LABEL_MAP_H
#define USPI_LABEL_MAP_H
#include <stddef.h>
#include <stdint.h>

/* Along one axis: result i lies between source places low[i] and high[i], which weigh
 * weights[2 i] and weights[2 i + 1] in 11-bit fixed point. */
typedef struct uspi_fixed_positions {
    const int32_t *low, *high;
    const int16_t *weights;
    ptrdiff_t count;
} uspi_fixed_positions;

/* y [rows.count, columns.count, channels] from x [.., width, channels]: OpenCV's bilinear resizing
 * of bytes, in fixed point, without antialiasing. Scratch: 2 * columns.count * channels numbers. */
void uspi_resize_fixed(const uint8_t *x, ptrdiff_t width, ptrdiff_t channels,
                       const uspi_fixed_positions *rows, const uspi_fixed_positions *columns,
                       int32_t *scratch, uint8_t *y);

/* y [new_height, new_width] = x [floor(row * height / new_height), and so for columns]; elements of
 * `size` bytes, 1 or 8. */
void uspi_resize_nearest(const void *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t size,
                         ptrdiff_t new_height, ptrdiff_t new_width, void *y);

/* y: RGB to HSV (H 0 ... 179), H and S through tables of 256, and back; n pixels. */
void uspi_hsv_lookup(const uint8_t *x, ptrdiff_t pixels, const uint8_t *hue,
                     const uint8_t *saturation, uint8_t *y);

/* counts[v] += how many of x [height, width], a part of rows of `row` elements, have the value v. */
void uspi_count_labels(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t row,
                       int64_t *counts);

/* matrix[target][predicted] += 1 for n places whose target is not `ignored`; elements of 1 byte,
 * or of 8 with a sign. Returns the first place that is counted with a class outside of
 * 0 ..< classes, -1 if there is none. */
ptrdiff_t uspi_confusion(const void *predicted, ptrdiff_t predicted_size, const void *target,
                         ptrdiff_t target_size, ptrdiff_t n, int64_t classes, int64_t ignored,
                         int64_t *matrix);

/* sum [channels, height, width] += x [channels, rows, columns] with its corner at (top, left), and
 * counts [height, width] += 1 there. */
void uspi_add_window(const float *x, ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns,
                     ptrdiff_t top, ptrdiff_t left, ptrdiff_t height, ptrdiff_t width, float *sum,
                     float *counts);

/* Elements first ..< last of y [size]: the first of the planes of x [planes, size] that has the
 * largest value there; labels of 1 byte, or of 8. largest [size] is workspace. */
void uspi_largest_plane(const float *x, ptrdiff_t planes, ptrdiff_t size, ptrdiff_t first,
                        ptrdiff_t last, float *largest, void *y, ptrdiff_t label_size);

/* The least of n numbers; n of at least 1. */
float uspi_least(const float *x, ptrdiff_t n);

/* sum [channels, pixels] /= counts [pixels] */
void uspi_divide_windows(const float *counts, ptrdiff_t channels, ptrdiff_t pixels, float *sum);

#endif
