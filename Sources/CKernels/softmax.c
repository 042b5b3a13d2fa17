/* Row softmax in f32. Sums run over sixteen lanes that are folded in a fixed order. */
#include "softmax.h"
#include "dispatch.h"
#include "gemm.h"
#include <math.h>
#include <string.h>

/* exp(x) for x <= 0 (up to rounding), relative error 2e-7; 0 below -87.3. The exponent is rounded
 * by adding 1.5 * 2^23, so that every instruction set can do it. */
#define EXP(result, argument)                                              \
    do {                                                                   \
        float exp_x = (argument);                                          \
        float exp_bounded = exp_x < -87.3f ? -87.3f : exp_x;               \
        float exp_magic = exp_bounded * 1.44269504f + 12582912.0f;         \
        float exp_n = exp_magic - 12582912.0f;                             \
        float exp_r = exp_bounded - exp_n * 0.693359375f;                  \
        exp_r = exp_r + exp_n * 2.12194440e-4f;                            \
        float exp_p = 0.0013814596459269524f;                              \
        exp_p = exp_p * exp_r + 0.0083687175065279f;                       \
        exp_p = exp_p * exp_r + 0.04166838899254799f;                      \
        exp_p = exp_p * exp_r + 0.1666652113199234f;                       \
        exp_p = exp_p * exp_r + 0.4999999403953552f;                       \
        exp_p = exp_p * (exp_r * exp_r) + exp_r + 1.0f;                    \
        int32_t exp_bits;                                                  \
        memcpy(&exp_bits, &exp_magic, 4);                                  \
        int32_t exp_power = (exp_bits - 0x4b400000 + 127) << 23;           \
        float exp_scale;                                                   \
        memcpy(&exp_scale, &exp_power, 4);                                 \
        (result) = exp_x < -87.3f ? 0.0f : exp_p * exp_scale;              \
    } while (0)

USPI_DISPATCH(
    void, uspi_softmax_rows, (float *x, ptrdiff_t rows, ptrdiff_t columns, float *logsumexp),
    (x, rows, columns, logsumexp), {
        const ptrdiff_t whole = columns & ~(ptrdiff_t)15;
        for (ptrdiff_t i = 0; i < rows; i++) {
            float *row = x + i * columns;
            float largest[16];
            float sums[16];
            for (int l = 0; l < 16; l++) {
                largest[l] = -INFINITY;
                sums[l] = 0;
            }
            for (ptrdiff_t j = 0; j < whole; j += 16)
                for (int l = 0; l < 16; l++)
                    largest[l] = row[j + l] > largest[l] ? row[j + l] : largest[l];
            float top = -INFINITY;
            for (int l = 0; l < 16; l++) top = largest[l] > top ? largest[l] : top;
            for (ptrdiff_t j = whole; j < columns; j++) top = row[j] > top ? row[j] : top;
            for (ptrdiff_t j = 0; j < columns; j++) {
                float e;
                EXP(e, row[j] - top);
                row[j] = e;
            }
            for (ptrdiff_t j = 0; j < whole; j += 16)
                for (int l = 0; l < 16; l++) sums[l] += row[j + l];
            float sum = 0;
            for (int l = 0; l < 16; l++) sum += sums[l];
            for (ptrdiff_t j = whole; j < columns; j++) sum += row[j];
            const float inverse = 1.0f / sum;
            for (ptrdiff_t j = 0; j < columns; j++) row[j] *= inverse;
            if (logsumexp) logsumexp[i] = top + logf(sum);
        }
    })

USPI_DISPATCH(
    void, uspi_softmax_again,
    (float *x, ptrdiff_t rows, ptrdiff_t columns, const float *logsumexp),
    (x, rows, columns, logsumexp), {
        for (ptrdiff_t i = 0; i < rows; i++) {
            float *row = x + i * columns;
            for (ptrdiff_t j = 0; j < columns; j++) {
                float e;
                EXP(e, row[j] - logsumexp[i]);
                row[j] = e;
            }
        }
    })

USPI_DISPATCH(
    void, uspi_softmax_backward,
    (const float *restrict p, float *restrict dp, ptrdiff_t rows, ptrdiff_t columns,
     const float *delta, float factor),
    (p, dp, rows, columns, delta, factor), {
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < columns; j++)
                dp[i * columns + j] =
                    p[i * columns + j] * (dp[i * columns + j] - delta[i]) * factor;
    })

float uspi_dot(const float *a, const void *b, int32_t type, ptrdiff_t n) {
    float lanes[8] = {0};
    const float *full = b;
    const uint16_t *half = b;
    for (ptrdiff_t i = 0; i < n; i++) {
        float value;
        if (type == USPI_F32) {
            value = full[i];
        } else {
            uint32_t bits = (uint32_t)half[i] << 16;
            memcpy(&value, &bits, 4);
        }
        lanes[i & 7] += a[i] * value;
    }
    float sum = 0;
    for (int l = 0; l < 8; l++) sum += lanes[l];
    return sum;
}
