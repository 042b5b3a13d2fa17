/* Queries or keys of one head on their way into attention: normed over the head, then rotated. */
#ifndef USPI_HEADS_H
#define USPI_HEADS_H
#include <stddef.h>
#include <stdint.h>

/* z = norm(x) * weight + bias over head_dim elements, as uspi_layer_norm; then each pair of
 * elements turned by an angle of its own,
 * y[2i] = z[2i] cos[2i] - z[2i+1] sin[2i], y[2i+1] = z[2i+1] cos[2i+1] + z[2i] sin[2i+1]. */
typedef struct uspi_head_rows {
    int64_t head_dim;
    const void *x;                    /* [.., head_dim], rows x_row elements apart */
    int64_t x_row;
    int32_t type;                     /* uspi_type of x and y */
    int32_t normed, rms;              /* 1: the norm is taken; it is an RMS norm */
    float epsilon;
    const float *weight, *bias;       /* [head_dim] or NULL */
    const float *cos, *sin;           /* [.., head_dim], or NULL: no rotation; head_dim is even */
    int64_t leading;                  /* rows in front that are not rotated */
    const int32_t *places;            /* row of the tables for row leading + i; NULL: i */
} uspi_head_rows;

/* Rows begin ..< end of y, head_dim elements apart. */
void uspi_head_rows_forward(const uspi_head_rows *rows, int64_t begin, int64_t end, void *y);

/* dx of the first `count` rows, dx_row elements apart; += if `accumulate`, nothing if dx is NULL.
 * dy [count, head_dim] is written over. `sums` [2, head_dim]: += the gradients of weight and bias;
 * NULL if nobody needs them. */
void uspi_head_rows_backward(const uspi_head_rows *rows, int64_t count, float *dy, float *dx,
                             int64_t dx_row, int32_t accumulate, float *sums);

#endif
