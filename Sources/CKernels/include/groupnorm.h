/* Group normalisation of channels-last images, in blocks of pixels: statistics a channel, and the
 * normalising pass with its activation. */
#ifndef USPI_GROUPNORM_H
#define USPI_GROUPNORM_H
#include <stddef.h>
#include <stdint.h>

/* Mean and sum of squared deviations of each channel over `rows` pixels [rows, channels]. */
void uspi_channel_moments(const float *x, ptrdiff_t rows, ptrdiff_t channels, float *mean,
                          float *deviation);

/* y = activation(x * scale[c] + shift[c]); silu: 0 or 1; y is f32 or bf16 (`type`). */
void uspi_normalize(const float *x, const float *scale, const float *shift, ptrdiff_t rows,
                    ptrdiff_t channels, int32_t silu, int32_t type, void *y);

/* dz = dy * activation'(z), z = x * scale + shift; sum[c] = sum of dz,
 * product[c] = sum of dz * (x * inverse[c] - offset[c]), the normalised x. */
void uspi_normalize_sums(const float *x, const float *dy, const float *scale, const float *shift,
                         const float *inverse, const float *offset, ptrdiff_t rows,
                         ptrdiff_t channels, int32_t silu, float *sum, float *product);

/* dx (+)= dz * scale[c] - a[c] - x * b[c] */
void uspi_normalize_backward(const float *x, const float *dy, const float *scale,
                             const float *shift, const float *a, const float *b, ptrdiff_t rows,
                             ptrdiff_t channels, int32_t silu, int32_t accumulate, float *dx);

#endif
