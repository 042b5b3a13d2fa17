/* exp and the sigmoid in plain arithmetic, so that loops over them vectorise. */
#ifndef USPI_FAST_EXP_H
#define USPI_FAST_EXP_H
#include <stdint.h>

#define USPI_INLINE static inline __attribute__((always_inline))

/* exp(x), relative error below 2e-7 where the result is normal; x is clamped to +-87.
 * x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor sum to r^7. */
USPI_INLINE float fast_exp(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float shifted = x * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union { float f; uint32_t u; } power = {.f = shifted};
    power.u = (power.u << 23) + 0x3f800000u; /* the low bits of `shifted` are n */
    return p * power.f;
}

USPI_INLINE float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

/* d/dx of x * sigmoid(x) */
USPI_INLINE float silu_slope(float x) {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

/* Round to nearest even; NaN stays NaN. */
USPI_INLINE uint16_t rounded_bf16(float x) {
    union { float f; uint32_t u; } bits = {.f = x};
    const uint32_t rounded = (bits.u + 0x7fffu + ((bits.u >> 16) & 1u)) >> 16;
    return (uint16_t)(x != x ? 0x7fc0u : rounded);
}

#endif
