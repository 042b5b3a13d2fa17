/* Where a pixel comes from: affine maps and resampling. */
#include "pixels.h"
#include "dispatch.h"
#include <string.h>

/* The channels of a pixel, and one lane unused. */
typedef double lanes __attribute__((vector_size(32)));
typedef int32_t int_lanes __attribute__((vector_size(16)));

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS void load_pixel(const uint8_t *x, int_lanes *out) {
    *out = (int_lanes){x[0], x[1], x[2], 0};
}

static inline ptrdiff_t floored(double value) {
    const ptrdiff_t whole = (ptrdiff_t)value;
    return whole - (value < (double)whole);
}

static inline ptrdiff_t clamped(ptrdiff_t place, ptrdiff_t count) {
    return place < 0 ? 0 : place < count ? place : count - 1;
}

/* Keys' kernel with a = -1 between the second and the third of four values. */
ALWAYS void cubic(const lanes v[4], double t, lanes *out) {
    const lanes linear = -v[0] + v[2];
    const lanes square = 2.0 * (v[0] - v[1]) + v[2] - v[3];
    const lanes cube = -v[0] + v[1] - v[2] + v[3];
    *out = v[1] + t * (linear + t * (square + t * cube));
}

ALWAYS void row_cubic(const uint8_t *row, const ptrdiff_t at[4], double t, lanes *out) {
    lanes values[4];
    for (int i = 0; i < 4; i++) {
        int_lanes pixel;
        load_pixel(row + at[i], &pixel);
        values[i] = __builtin_convertvector(pixel, lanes);
    }
    cubic(values, t, out);
}

/* The same where the four pixels lie together, with 16 readable bytes from the first. */
ALWAYS void inner_row_cubic(const uint8_t *row, double t, lanes *out) {
    typedef uint8_t bytes __attribute__((vector_size(16)));
    bytes all;
    memcpy(&all, row, sizeof all);
    lanes values[4];
    values[0] = __builtin_convertvector(__builtin_shufflevector(all, all, 0, 1, 2, 3), lanes);
    values[1] = __builtin_convertvector(__builtin_shufflevector(all, all, 3, 4, 5, 6), lanes);
    values[2] = __builtin_convertvector(__builtin_shufflevector(all, all, 6, 7, 8, 9), lanes);
    values[3] = __builtin_convertvector(__builtin_shufflevector(all, all, 9, 10, 11, 12), lanes);
    cubic(values, t, out);
}

/* At a fraction t behind a column. */
ALWAYS void row_value(const uint8_t *row, ptrdiff_t column, ptrdiff_t width, double t,
                      lanes *out) {
    if (t == 0.0) {
        int_lanes pixel;
        load_pixel(row + 3 * column, &pixel);
        *out = __builtin_convertvector(pixel, lanes);
    } else if (column > 0 && column < width - 4) {
        inner_row_cubic(row + 3 * (column - 1), t, out);
    } else {
        ptrdiff_t at[4];
        for (ptrdiff_t i = 0; i < 4; i++) at[i] = 3 * clamped(column - 1 + i, width);
        row_cubic(row, at, t, out);
    }
}

/* As Pillow has it: the first of the four rows is the nearest inside, the others repeat the one
 * before where they lie outside. Where a fraction is 0 the others weigh nothing. */
ALWAYS void affine_pixel(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, double across,
                         double down, uint8_t *y) {
    across -= 0.5;
    down -= 0.5;
    const ptrdiff_t column = floored(across), row = floored(down);
    const double t = across - (double)column, u = down - (double)row;
    const ptrdiff_t stride = 3 * width;
    lanes value;
    if (u == 0.0) {
        row_value(x + row * stride, column, width, t, &value);
    } else {
        lanes values[4];
        row_value(x + clamped(row - 1, height) * stride, column, width, t, &values[0]);
        for (ptrdiff_t i = 1; i < 4; i++) {
            const ptrdiff_t place = row - 1 + i;
            if (place >= 0 && place < height) {
                row_value(x + place * stride, column, width, t, &values[i]);
            } else {
                values[i] = values[i - 1];
            }
        }
        cubic(values, u, &value);
    }
    value = __builtin_elementwise_max(value, (lanes){0.0, 0.0, 0.0, 0.0});
    value = __builtin_elementwise_min(value, (lanes){255.0, 255.0, 255.0, 255.0});
    const int_lanes pixel = __builtin_convertvector(value, int_lanes);
    for (int c = 0; c < 3; c++) y[c] = (uint8_t)pixel[c];
}

USPI_DISPATCH_UNFUSED(
    void, uspi_affine_bicubic,
    (const uint8_t *x, ptrdiff_t height, ptrdiff_t width, const double matrix[6], uint8_t fill,
     ptrdiff_t begin, ptrdiff_t end, uint8_t *y),
    (x, height, width, matrix, fill, begin, end, y), {
        for (ptrdiff_t j = begin; j < end; j++) {
            uint8_t *out = y + 3 * j * width;
            const double v = (double)j + 0.5;
            for (ptrdiff_t i = 0; i < width; i++, out += 3) {
                const double u = (double)i + 0.5;
                const double across = matrix[0] * u + matrix[1] * v + matrix[2];
                const double down = matrix[3] * u + matrix[4] * v + matrix[5];
                if (across >= 0.0 && across < (double)width && down >= 0.0
                    && down < (double)height) {
                    affine_pixel(x, height, width, across, down, out);
                } else {
                    out[0] = out[1] = out[2] = fill;
                }
            }
        }
    })

/* 22-bit fixed point, rounded. */
static inline uint8_t finished(int32_t sum) {
    sum >>= 22;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

USPI_DISPATCH(
    void, uspi_resample_columns,
    (const uint8_t *x, const uspi_taps *taps, ptrdiff_t rows, ptrdiff_t source, ptrdiff_t target,
     ptrdiff_t channels, uint8_t *y),
    (x, taps, rows, source, target, channels, y), {
        for (ptrdiff_t j = 0; j < rows; j++, x += source * channels) {
            for (ptrdiff_t i = 0; i < target; i++, y += channels) {
                const int32_t *weights = taps->weights + i * taps->most;
                const uint8_t *from = x + taps->first[i] * channels;
                const ptrdiff_t count = taps->count[i];
                int_lanes sum = {1 << 21, 1 << 21, 1 << 21, 1 << 21};
                if (channels == 3) {
                    for (ptrdiff_t t = 0; t < count; t++) {
                        int_lanes pixel;
                        load_pixel(from + 3 * t, &pixel);
                        sum += pixel * weights[t];
                    }
                } else {
                    for (ptrdiff_t t = 0; t < count; t++) {
                        for (ptrdiff_t c = 0; c < channels; c++) {
                            sum[c] += from[t * channels + c] * weights[t];
                        }
                    }
                }
                for (ptrdiff_t c = 0; c < channels; c++) y[c] = finished(sum[c]);
            }
        }
    })

USPI_DISPATCH(
    void, uspi_resample_rows,
    (const uint8_t *x, const uspi_taps *taps, ptrdiff_t target, ptrdiff_t row, uint8_t *y),
    (x, taps, target, row, y), {
        enum { block = 64 };
        for (ptrdiff_t i = 0; i < target; i++, y += row) {
            const int32_t *weights = taps->weights + i * taps->most;
            const uint8_t *from = x + taps->first[i] * row;
            const ptrdiff_t count = taps->count[i];
            ptrdiff_t j = 0;
            for (; j + block <= row; j += block) {
                int32_t sums[block];
                for (ptrdiff_t k = 0; k < block; k++) sums[k] = 1 << 21;
                for (ptrdiff_t t = 0; t < count; t++) {
                    const uint8_t *values = from + t * row + j;
                    const int32_t weight = weights[t];
                    for (ptrdiff_t k = 0; k < block; k++) sums[k] += values[k] * weight;
                }
                for (ptrdiff_t k = 0; k < block; k++) y[j + k] = finished(sums[k]);
            }
            for (; j < row; j++) {
                int32_t sum = 1 << 21;
                for (ptrdiff_t t = 0; t < count; t++) sum += from[t * row + j] * weights[t];
                y[j] = finished(sum);
            }
        }
    })
