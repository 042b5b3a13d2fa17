/* Activations over contiguous f32 arrays, the same functions that a product's end applies. */
#ifndef USPI_ACTIVATION_H
#define USPI_ACTIVATION_H
#include <stddef.h>
#include <stdint.h>

/* y = f(x); y may be x. `activation` is a uspi_activation. */
void uspi_activation_forward(int32_t activation, const float *x, float *y, int64_t n);

/* dx = f'(x) dy with x the value before the activation; dx may be dy or x. */
void uspi_activation_backward(int32_t activation, const float *x, const float *dy, float *dx,
                              int64_t n);

/* Forward on bf16 arrays, computed in f32. */
void uspi_activation_forward_bf16(int32_t activation, const uint16_t *x, uint16_t *y, int64_t n);

/* A gated unit's end: y = f(first) * second; all of `type`. */
void uspi_gated_forward(int32_t activation, int32_t type, const void *first, const void *second,
                        void *y, int64_t n);

/* Its gradients: dfirst = dy * second * f'(first), dsecond = dy * f(first). */
void uspi_gated_backward(int32_t activation, int32_t type, const void *first, const void *second,
                         const float *dy, float *dfirst, float *dsecond, int64_t n);

#endif
