/* Small passes over rows of tokens: scaled sums, products, sine-cosine embeddings. */
#ifndef USPI_TOKEN_H
#define USPI_TOKEN_H
#include <stddef.h>
#include <stdint.h>

/* y = factor * x, or y += factor * x */
void uspi_scale(const float *x, float factor, float *y, ptrdiff_t n, int32_t accumulate);

/* y = a * b, or y += a * b */
void uspi_multiply(const float *a, const float *b, float *y, ptrdiff_t n, int32_t accumulate);

/* y = a + b */
void uspi_sum(const float *a, const float *b, float *y, ptrdiff_t n);

/* row[0 ..< half] = cos(t f_i), row[half ..< 2 half] = sin(t f_i),
 * f_i = period^(-i / (half - shift)), in the f32 steps of the original; an odd width ends in 0. */
void uspi_timestep_embedding(float t, float period, ptrdiff_t width, ptrdiff_t shift, float *row);

#endif
