/* Images, channels-last: pooling of f32, resizing of bytes. */
#ifndef USPI_IMAGE_H
#define USPI_IMAGE_H
#include <stddef.h>
#include <stdint.h>

/* Windows of size x size pixels at a stride over images with `padding` empty pixels around them. A
 * result sees only what of its window is in the image; that is one pixel at least. */
typedef struct uspi_pool {
    const float *x;                 /* [images, height, width, channels] */
    ptrdiff_t height, width, channels;
    ptrdiff_t size, stride, padding;
    float *y;                       /* [images, out_height, out_width, y_row], channels of it */
    ptrdiff_t out_height, out_width;
    ptrdiff_t y_row;                /* elements from one pixel of y to the next */
} uspi_pool;

/* Rows begin ..< end (of images * out_height) of y: the largest, or the mean. */
void uspi_pool_maximum(const uspi_pool *pool, ptrdiff_t begin, ptrdiff_t end);
void uspi_pool_mean(const uspi_pool *pool, ptrdiff_t begin, ptrdiff_t end);

/* dx += the gradient, where windows do not overlap: dy of rows begin ..< end goes to the first
 * largest value of each window. dx is like x, dy dense, y is not read. */
void uspi_pool_maximum_backward(const uspi_pool *pool, const float *dy, ptrdiff_t begin,
                                ptrdiff_t end, float *dx);

/* Along one axis: element i lies `fraction[i]` of the way from source pixel low[i] to high[i]. */
typedef struct uspi_positions {
    const int32_t *low, *high;
    const float *fraction;
    ptrdiff_t count;
} uspi_positions;

/* One row [columns.count, channels] between the rows `upper` and `lower` of f32 pixels, `fraction`
 * of the way. */
void uspi_interpolate_row(const float *upper, const float *lower, float fraction,
                          const uspi_positions *columns, ptrdiff_t channels, float *out);

/* dx += what a row dy of the result, of which it gave this share, brings to a row of the source. */
void uspi_interpolate_row_backward(const float *dy, float share, const uspi_positions *columns,
                                   ptrdiff_t channels, float *dx);

/* Rows begin ..< end of out [rows.count, columns.count, 3] = interpolated * scale + shift, from an
 * image [.., row, 3] of bytes: first along columns, then along rows. */
void uspi_resize_bilinear(const uint8_t *image, ptrdiff_t row, const uspi_positions *rows,
                          const uspi_positions *columns, float scale, float shift,
                          ptrdiff_t begin, ptrdiff_t end, float *out);

#endif
