/* Pooling and resizing: a pixel's channels lie together, so vectors run along them. */
#include "image.h"
#include "dispatch.h"
#include <string.h>

/* The part of a window along one axis that is in the image. */
typedef struct range {
    ptrdiff_t begin, end;
} range;

static inline range window(const uspi_pool *p, ptrdiff_t place, ptrdiff_t extent) {
    const ptrdiff_t from = place * p->stride - p->padding, to = from + p->size;
    return (range){from < 0 ? 0 : from, to > extent ? extent : to};
}

static void pool_pixel(const uspi_pool *p, const float *image, range rows, range columns,
                       int is_mean, float *y) {
    memcpy(y, image + (rows.begin * p->width + columns.begin) * p->channels,
           (size_t)p->channels * sizeof(float));
    for (ptrdiff_t i = rows.begin; i < rows.end; i++) {
        for (ptrdiff_t j = columns.begin; j < columns.end; j++) {
            if (i == rows.begin && j == columns.begin) continue;
            const float *x = image + (i * p->width + j) * p->channels;
            if (is_mean) uspi_add(y, x, p->channels);
            else uspi_maximum(y, x, p->channels);
        }
    }
    const ptrdiff_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    if (is_mean) uspi_scale(y, 1.0f / (float)count, y, p->channels, 0);
}

static void pool_rows(const uspi_pool *p, ptrdiff_t begin, ptrdiff_t end, int is_mean) {
    for (ptrdiff_t row = begin; row < end; row++) {
        const float *image = p->x + row / p->out_height * p->height * p->width * p->channels;
        const range rows = window(p, row % p->out_height, p->height);
        for (ptrdiff_t j = 0; j < p->out_width; j++) {
            pool_pixel(p, image, rows, window(p, j, p->width), is_mean,
                       p->y + (row * p->out_width + j) * p->y_row);
        }
    }
}

void uspi_pool_maximum(const uspi_pool *pool, ptrdiff_t begin, ptrdiff_t end) {
    pool_rows(pool, begin, end, 0);
}

void uspi_pool_mean(const uspi_pool *pool, ptrdiff_t begin, ptrdiff_t end) {
    pool_rows(pool, begin, end, 1);
}

USPI_DISPATCH(
    void, uspi_pool_maximum_backward,
    (const uspi_pool *p, const float *dy, ptrdiff_t begin, ptrdiff_t end, float *restrict dx),
    (p, dy, begin, end, dx), {
        const ptrdiff_t channels = p->channels, next = p->width * channels;
        for (ptrdiff_t row = begin; row < end; row++) {
            const ptrdiff_t top = row / p->out_height * p->height + row % p->out_height * p->stride;
            for (ptrdiff_t j = 0; j < p->out_width; j++) {
                const ptrdiff_t corner = top * next + j * p->stride * channels;
                const float *d = dy + (row * p->out_width + j) * channels;
                for (ptrdiff_t c = 0; c < channels; c++) {
                    ptrdiff_t largest = corner + c;
                    for (ptrdiff_t y = 0; y < p->size; y++)
                        for (ptrdiff_t x = 0; x < p->size; x++) {
                            const ptrdiff_t at = corner + y * next + x * channels + c;
                            /* as PyTorch, a NaN is larger than all before it */
                            if (p->x[at] > p->x[largest] || p->x[at] != p->x[at]) largest = at;
                        }
                    dx[largest] += d[c];
                }
            }
        }
    })

USPI_DISPATCH(
    void, uspi_interpolate_row,
    (const float *upper, const float *lower, float fraction, const uspi_positions *columns,
     ptrdiff_t channels, float *restrict out),
    (upper, lower, fraction, columns, channels, out), {
        for (ptrdiff_t j = 0; j < columns->count; j++, out += channels) {
            const ptrdiff_t left = columns->low[j] * channels, right = columns->high[j] * channels;
            const float f = columns->fraction[j];
            for (ptrdiff_t c = 0; c < channels; c++) {
                const float above = (1.0f - f) * upper[left + c] + f * upper[right + c];
                const float below = (1.0f - f) * lower[left + c] + f * lower[right + c];
                out[c] = (1.0f - fraction) * above + fraction * below;
            }
        }
    })

USPI_DISPATCH(
    void, uspi_interpolate_row_backward,
    (const float *dy, float share, const uspi_positions *columns, ptrdiff_t channels,
     float *restrict dx),
    (dy, share, columns, channels, dx), {
        for (ptrdiff_t j = 0; j < columns->count; j++, dy += channels) {
            float *left = dx + columns->low[j] * channels;
            float *right = dx + columns->high[j] * channels;
            const float f = columns->fraction[j] * share, rest = share - f;
            for (ptrdiff_t c = 0; c < channels; c++) left[c] += rest * dy[c];
            for (ptrdiff_t c = 0; c < channels; c++) right[c] += f * dy[c];
        }
    })

USPI_DISPATCH(
    void, uspi_resize_bilinear,
    (const uint8_t *image, ptrdiff_t row, const uspi_positions *rows,
     const uspi_positions *columns, float scale, float shift, ptrdiff_t begin, ptrdiff_t end,
     float *out),
    (image, row, rows, columns, scale, shift, begin, end, out), {
        for (ptrdiff_t i = begin; i < end; i++) {
            const uint8_t *top = image + rows->low[i] * row * 3;
            const uint8_t *bottom = image + rows->high[i] * row * 3;
            float *y = out + i * columns->count * 3;
            for (ptrdiff_t j = 0; j < columns->count; j++, y += 3) {
                const ptrdiff_t left = columns->low[j] * 3, right = columns->high[j] * 3;
                for (ptrdiff_t c = 0; c < 3; c++) {
                    const float t = top[left + c], b = bottom[left + c];
                    const float upper = t + (top[right + c] - t) * columns->fraction[j];
                    const float lower = b + (bottom[right + c] - b) * columns->fraction[j];
                    const float value = upper + (lower - upper) * rows->fraction[i];
                    y[c] = value * scale + shift;
                }
            }
        }
    })
