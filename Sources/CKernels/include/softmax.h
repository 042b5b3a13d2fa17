/* Row softmax in f32, and what its gradient needs. */
#ifndef USPI_SOFTMAX_H
#define USPI_SOFTMAX_H
#include <stddef.h>
#include <stdint.h>

/* Each row becomes exp(x - max) / sum; `logsumexp` [rows] receives max + log(sum), or is NULL. */
void uspi_softmax_rows(float *x, ptrdiff_t rows, ptrdiff_t columns, float *logsumexp);

/* Each row becomes exp(x - logsumexp[row]): the softmax again from the same scores. */
void uspi_softmax_again(float *x, ptrdiff_t rows, ptrdiff_t columns, const float *logsumexp);

/* dp becomes p (dp - delta[row]) factor */
void uspi_softmax_backward(
    const float *p, float *dp, ptrdiff_t rows, ptrdiff_t columns, const float *delta, float factor);

/* sum of a b; b is a uspi_type */
float uspi_dot(const float *a, const void *b, int32_t type, ptrdiff_t n);

#endif
