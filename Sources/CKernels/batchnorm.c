/* Batch normalisation: vectors run along the columns, so every column's sums are in row order. */
#include "batchnorm.h"
#include "dispatch.h"

USPI_DISPATCH(
    void, uspi_batch_sums,
    (const float *x, ptrdiff_t rows, ptrdiff_t width, const float *shift, double *restrict sum,
     double *restrict squares),
    (x, rows, width, shift, sum, squares), {
        for (ptrdiff_t i = 0; i < rows; i++, x += width)
            for (ptrdiff_t j = 0; j < width; j++) {
                const double d = (double)x[j] - (double)shift[j];
                sum[j] += d;
                squares[j] += d * d;
            }
    })

USPI_DISPATCH(
    void, uspi_batch_norm_forward,
    (const uspi_batch_norm *norm, const float *x, ptrdiff_t rows, float *restrict y),
    (norm, x, rows, y), {
        const uspi_batch_norm n = *norm;
        const float least = n.rectifies ? 0.0f : -__builtin_inff();
        for (ptrdiff_t i = 0; i < rows; i++, x += n.width, y += n.width)
            for (ptrdiff_t j = 0; j < n.width; j++) {
                const float value = (x[j] - n.mean[j]) * n.factor[j] + n.offset[j];
                y[j] = value < least ? least : value;
            }
    })

/* Whether the result of x[j] was positive, or everything passes. */
#define PASSES(j) (!n.rectifies || (x[j] - n.mean[j]) * n.factor[j] + n.offset[j] > 0.0f)

USPI_DISPATCH(
    void, uspi_batch_norm_sums,
    (const uspi_batch_norm *norm, const float *x, const float *dy, ptrdiff_t rows,
     double *restrict plain, double *restrict along),
    (norm, x, dy, rows, plain, along), {
        const uspi_batch_norm n = *norm;
        for (ptrdiff_t i = 0; i < rows; i++, x += n.width, dy += n.width)
            for (ptrdiff_t j = 0; j < n.width; j++) {
                const float d = PASSES(j) ? dy[j] : 0.0f;
                plain[j] += (double)d;
                along[j] += (double)d * (double)(x[j] - n.mean[j]);
            }
    })

USPI_DISPATCH(
    void, uspi_batch_norm_backward,
    (const uspi_batch_norm *norm, const float *x, const float *dy, const float *plain,
     const float *along, ptrdiff_t rows, float *restrict dx, int32_t accumulate),
    (norm, x, dy, plain, along, rows, dx, accumulate), {
        const uspi_batch_norm n = *norm;
        for (ptrdiff_t i = 0; i < rows; i++, x += n.width, dy += n.width, dx += n.width)
            for (ptrdiff_t j = 0; j < n.width; j++) {
                const float d = PASSES(j) ? dy[j] : 0.0f;
                const float value =
                    n.factor[j] * (d - plain[j] - along[j] * (x[j] - n.mean[j]));
                dx[j] = accumulate ? dx[j] + value : value;
            }
    })
