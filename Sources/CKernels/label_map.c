/* Images and label maps of segmentation: resizing, HSV, counting, windows. */
#include "label_map.h"
#include "dispatch.h"
#include <string.h>

static inline void resize_row(const uint8_t *x, const uspi_fixed_positions *columns,
                              ptrdiff_t channels, int32_t *y) {
    for (ptrdiff_t i = 0; i < columns->count; i++, y += channels) {
        const uint8_t *low = x + columns->low[i] * channels;
        const uint8_t *high = x + columns->high[i] * channels;
        const int32_t a = columns->weights[2 * i], b = columns->weights[2 * i + 1];
        if (channels == 3) {
            y[0] = low[0] * a + high[0] * b;
            y[1] = low[1] * a + high[1] * b;
            y[2] = low[2] * a + high[2] * b;
        } else {
            for (ptrdiff_t c = 0; c < channels; c++) y[c] = low[c] * a + high[c] * b;
        }
    }
}

static inline void mix_rows(const int32_t *low, const int32_t *high, const int16_t *weights,
                            ptrdiff_t n, uint8_t *y) {
    const int32_t a = weights[0], b = weights[1];
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t upper = ((low[i] >> 4) * a) >> 16;
        const int32_t lower = ((high[i] >> 4) * b) >> 16;
        y[i] = (uint8_t)((upper + lower + 2) >> 2);
    }
}

USPI_DISPATCH(
    void, uspi_resize_fixed,
    (const uint8_t *x, ptrdiff_t width, ptrdiff_t channels, const uspi_fixed_positions *rows,
     const uspi_fixed_positions *columns, int32_t *scratch, uint8_t *y),
    (x, width, channels, rows, columns, scratch, y), {
        const ptrdiff_t n = columns->count * channels, stride = width * channels;
        int32_t *upper = scratch;
        int32_t *lower = scratch + n;
        int32_t upper_place = -1;
        int32_t lower_place = -1;
        for (ptrdiff_t i = 0; i < rows->count; i++, y += n) {
            const int32_t low = rows->low[i];
            const int32_t high = rows->high[i];
            if (lower_place == low) { /* the lower row of the last result is the upper of this */
                int32_t *free_row = upper;
                upper = lower;
                lower = free_row;
                lower_place = upper_place;
                upper_place = low;
            }
            if (upper_place != low) resize_row(x + low * stride, columns, channels, upper);
            if (lower_place != high) resize_row(x + high * stride, columns, channels, lower);
            upper_place = low;
            lower_place = high;
            mix_rows(upper, lower, rows->weights + 2 * i, n, y);
        }
    })

#define RESIZE_NEAREST(type)                                                                       \
    static void nearest_##type(const type *x, ptrdiff_t height, ptrdiff_t width,                   \
                               ptrdiff_t new_height, ptrdiff_t new_width, type *y) {               \
        for (ptrdiff_t j = 0; j < new_height; j++) {                                               \
            const type *row = x + j * height / new_height * width;                                 \
            for (ptrdiff_t i = 0; i < new_width; i++) *y++ = row[i * width / new_width];           \
        }                                                                                          \
    }
RESIZE_NEAREST(uint8_t)
RESIZE_NEAREST(int64_t)

void uspi_resize_nearest(const void *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t size,
                         ptrdiff_t new_height, ptrdiff_t new_width, void *y) {
    if (size == 1) nearest_uint8_t(x, height, width, new_height, new_width, y);
    else nearest_int64_t(x, height, width, new_height, new_width, y);
}

/* To the nearest; 0 for d = 0. */
static inline int32_t rounded_ratio(int32_t numerator, int32_t d) {
    return d == 0 ? 0 : (2 * numerator / d + 1) >> 1;
}

/* Bytes of a block of pixels by channel, so that the compiler's vectors run along the pixels. */
enum { block = 64 };
typedef struct planes {
    int32_t c[3][block];
} planes;

/* RGB to H, S, V. */
static inline void to_hsv(planes *p, const int32_t *by_value, const int32_t *by_spread) {
    for (int i = 0; i < block; i++) {
        const int32_t r = p->c[0][i], g = p->c[1][i], b = p->c[2][i];
        const int32_t upper = g > b ? g : b, lower = g < b ? g : b;
        const int32_t v = r > upper ? r : upper, d = v - (r < lower ? r : lower);
        const int32_t s = (d * by_value[v] + (1 << 11)) >> 12;
        int32_t h = v == r ? g - b : v == g ? b - r + 2 * d : r - g + 4 * d;
        h = (h * by_spread[d] + (1 << 11)) >> 12;
        p->c[0][i] = h + (h < 0 ? 180 : 0);
        p->c[1][i] = s;
        p->c[2][i] = v;
    }
}

/* H, S, V to RGB, towards zero as OpenCV's vector code. */
static inline void from_hsv(planes *planes) {
    for (int i = 0; i < block; i++) {
        const float place = (float)planes->c[0][i] * (6.0f / 180.0f);
        const int32_t sector = (int32_t)place;
        const float f = place - (float)sector;
        const float s = (float)planes->c[1][i] * (1.0f / 255.0f);
        const float v = (float)planes->c[2][i] * (1.0f / 255.0f);
        const float p = v * (1.0f - s), q = v * (1.0f - s * f), t = v * (1.0f - s * (1.0f - f));
        const int32_t k = sector == 6 ? 0 : sector;
        const float r = k == 0 || k == 5 ? v : k == 1 ? q : k == 4 ? t : p;
        const float g = k == 1 || k == 2 ? v : k == 3 ? q : k == 0 ? t : p;
        const float b = k == 3 || k == 4 ? v : k == 5 ? q : k == 2 ? t : p;
        planes->c[0][i] = (int32_t)(r * 255.0f);
        planes->c[1][i] = (int32_t)(g * 255.0f);
        planes->c[2][i] = (int32_t)(b * 255.0f);
    }
}

USPI_DISPATCH_UNFUSED(
    void, uspi_hsv_lookup,
    (const uint8_t *x, ptrdiff_t pixels, const uint8_t *hue, const uint8_t *saturation,
     uint8_t *y),
    (x, pixels, hue, saturation, y), {
        int32_t by_value[256];
        int32_t by_spread[256];
        for (int32_t i = 0; i < 256; i++) {
            by_value[i] = rounded_ratio(255 << 12, i);
            by_spread[i] = rounded_ratio(30 << 12, i);
        }
        planes p = {0};
        for (ptrdiff_t i = 0; i < pixels; i += block, x += 3 * block, y += 3 * block) {
            const ptrdiff_t count = pixels - i < block ? pixels - i : block;
            for (ptrdiff_t j = 0; j < count; j++) {
                for (int c = 0; c < 3; c++) p.c[c][j] = x[3 * j + c];
            }
            to_hsv(&p, by_value, by_spread);
            for (int j = 0; j < block; j++) {
                p.c[0][j] = hue[p.c[0][j]];
                p.c[1][j] = saturation[p.c[1][j]];
            }
            from_hsv(&p);
            for (ptrdiff_t j = 0; j < count; j++) {
                for (int c = 0; c < 3; c++) y[3 * j + c] = (uint8_t)p.c[c][j];
            }
        }
    })

void uspi_count_labels(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t row,
                       int64_t *counts) {
    for (ptrdiff_t j = 0; j < height; j++, x += row) {
        for (ptrdiff_t i = 0; i < width; i++) counts[x[i]]++;
    }
}

static inline int64_t element(const void *x, ptrdiff_t size, ptrdiff_t i) {
    return size == 1 ? ((const uint8_t *)x)[i] : ((const int64_t *)x)[i];
}

ptrdiff_t uspi_confusion(const void *predicted, ptrdiff_t predicted_size, const void *target,
                         ptrdiff_t target_size, ptrdiff_t n, int64_t classes, int64_t ignored,
                         int64_t *matrix) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const int64_t label = element(target, target_size, i);
        if (label == ignored) continue;
        const int64_t guess = element(predicted, predicted_size, i);
        if (label < 0 || label >= classes || guess < 0 || guess >= classes) return i;
        matrix[label * classes + guess]++;
    }
    return -1;
}

void uspi_add_window(const float *x, ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns,
                     ptrdiff_t top, ptrdiff_t left, ptrdiff_t height, ptrdiff_t width, float *sum,
                     float *counts) {
    for (ptrdiff_t c = 0; c < channels; c++) {
        float *plane = sum + c * height * width;
        for (ptrdiff_t j = 0; j < rows; j++, x += columns) {
            float *y = plane + (top + j) * width + left;
            for (ptrdiff_t i = 0; i < columns; i++) y[i] += x[i];
        }
    }
    for (ptrdiff_t j = 0; j < rows; j++) {
        float *y = counts + (top + j) * width + left;
        for (ptrdiff_t i = 0; i < columns; i++) y[i] += 1.0f;
    }
}

void uspi_largest_plane(const float *x, ptrdiff_t planes, ptrdiff_t size, ptrdiff_t first,
                        ptrdiff_t last, float *largest, void *y, ptrdiff_t label_size) {
    for (ptrdiff_t i = first; i < last; i++) {
        largest[i] = x[i];
        if (label_size == 1) ((uint8_t *)y)[i] = 0; else ((int64_t *)y)[i] = 0;
    }
    for (ptrdiff_t c = 1; c < planes; c++) {
        const float *plane = x + c * size;
        for (ptrdiff_t i = first; i < last; i++) {
            if (!(plane[i] > largest[i])) continue;
            largest[i] = plane[i];
            if (label_size == 1) ((uint8_t *)y)[i] = (uint8_t)c; else ((int64_t *)y)[i] = c;
        }
    }
}

float uspi_least(const float *x, ptrdiff_t n) {
    float least = x[0];
    for (ptrdiff_t i = 1; i < n; i++) least = x[i] < least ? x[i] : least;
    return least;
}

void uspi_divide_windows(const float *counts, ptrdiff_t channels, ptrdiff_t pixels, float *sum) {
    for (ptrdiff_t c = 0; c < channels; c++, sum += pixels) {
        for (ptrdiff_t i = 0; i < pixels; i++) sum[i] /= counts[i];
    }
}
