/* Pointwise kernels and row sums, f32. Vectors may not overlap unless they are the same. */
#ifndef USPI_ELEMENTWISE_H
#define USPI_ELEMENTWISE_H
#include <stddef.h>
#include <stdint.h>

/* y[i] += x[i] */
/* y = max(x, y) */
void uspi_maximum(float *y, const float *x, ptrdiff_t n);

void uspi_add(float *y, const float *x, ptrdiff_t n);

/* y[j] (+)= sum over rows of x[i * stride + j], in row order */
void uspi_sum_rows(const float *x, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t n, float *y,
                   int32_t accumulate);

/* y = residual + gate * x; residual may be NULL */
void uspi_gate_forward(const float *x, const float *gate, const float *residual, float *y,
                       ptrdiff_t n);

/* dx = dy * gate; dgate += dy * x where dgate and x are given */
void uspi_gate_backward(
    const float *dy, const float *gate, const float *x, float *dx, float *dgate, ptrdiff_t n);

#endif
