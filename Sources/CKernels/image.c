/* Pooling and resizing: a pixel's channels lie together, so the compiler's vectors run along them. */
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
