/* Group normalisation: loops over the channels of one pixel, vectorised by the compiler. */
#include "groupnorm.h"
#include "dispatch.h"
#include "fast_exp.h"

USPI_DISPATCH(
    void, uspi_channel_moments,
    (const float *restrict x, ptrdiff_t rows, ptrdiff_t channels, float *restrict mean,
     float *restrict deviation),
    (x, rows, channels, mean, deviation), {
        for (ptrdiff_t c = 0; c < channels; c++) mean[c] = deviation[c] = 0;
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t c = 0; c < channels; c++) mean[c] += x[i * channels + c];
        const float inverse = 1.0f / (float)rows;
        for (ptrdiff_t c = 0; c < channels; c++) mean[c] *= inverse;
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t c = 0; c < channels; c++) {
                const float d = x[i * channels + c] - mean[c];
                deviation[c] += d * d;
            }
    })

USPI_DISPATCH(
    void, uspi_normalize_f32,
    (const float *restrict x, const float *restrict scale, const float *restrict shift,
     ptrdiff_t rows, ptrdiff_t channels, int32_t silu, float *restrict y),
    (x, scale, shift, rows, channels, silu, y), {
        for (ptrdiff_t i = 0; i < rows; i++, x += channels, y += channels) {
            if (silu)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    const float z = x[c] * scale[c] + shift[c];
                    y[c] = z * sigmoid(z);
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++) y[c] = x[c] * scale[c] + shift[c];
        }
    })

USPI_DISPATCH(
    void, uspi_normalize_bf16,
    (const float *restrict x, const float *restrict scale, const float *restrict shift,
     ptrdiff_t rows, ptrdiff_t channels, int32_t silu, uint16_t *restrict y),
    (x, scale, shift, rows, channels, silu, y), {
        for (ptrdiff_t i = 0; i < rows; i++, x += channels, y += channels) {
            if (silu)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    const float z = x[c] * scale[c] + shift[c];
                    y[c] = rounded_bf16(z * sigmoid(z));
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++)
                    y[c] = rounded_bf16(x[c] * scale[c] + shift[c]);
        }
    })

void uspi_normalize(const float *x, const float *scale, const float *shift, ptrdiff_t rows,
                    ptrdiff_t channels, int32_t silu, int32_t type, void *y) {
    if (type == USPI_BF16)
        uspi_normalize_bf16(x, scale, shift, rows, channels, silu, y);
    else
        uspi_normalize_f32(x, scale, shift, rows, channels, silu, y);
}

USPI_DISPATCH(
    void, uspi_normalize_sums,
    (const float *restrict x, const float *restrict dy, const float *restrict scale,
     const float *restrict shift, const float *restrict inverse, const float *restrict offset,
     ptrdiff_t rows, ptrdiff_t channels, int32_t silu, float *restrict sum,
     float *restrict product),
    (x, dy, scale, shift, inverse, offset, rows, channels, silu, sum, product), {
        for (ptrdiff_t c = 0; c < channels; c++) sum[c] = product[c] = 0;
        for (ptrdiff_t i = 0; i < rows; i++, x += channels, dy += channels) {
            if (silu)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    const float dz = dy[c] * silu_slope(x[c] * scale[c] + shift[c]);
                    sum[c] += dz;
                    product[c] += dz * (x[c] * inverse[c] - offset[c]);
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++) {
                    sum[c] += dy[c];
                    product[c] += dy[c] * (x[c] * inverse[c] - offset[c]);
                }
        }
    })

USPI_DISPATCH(
    void, uspi_normalize_backward,
    (const float *restrict x, const float *restrict dy, const float *restrict scale,
     const float *restrict shift, const float *restrict a, const float *restrict b, ptrdiff_t rows,
     ptrdiff_t channels, int32_t silu, int32_t accumulate, float *restrict dx),
    (x, dy, scale, shift, a, b, rows, channels, silu, accumulate, dx), {
        const float keep = accumulate ? 1.0f : 0.0f;
        for (ptrdiff_t i = 0; i < rows; i++, x += channels, dy += channels, dx += channels) {
            if (!accumulate)
                for (ptrdiff_t c = 0; c < channels; c++) dx[c] = 0;
            if (silu)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    const float dz = dy[c] * silu_slope(x[c] * scale[c] + shift[c]);
                    dx[c] = keep * dx[c] + (dz * scale[c] - a[c] - x[c] * b[c]);
                }
            else
                for (ptrdiff_t c = 0; c < channels; c++)
                    dx[c] = keep * dx[c] + (dy[c] * scale[c] - a[c] - x[c] * b[c]);
        }
    })
