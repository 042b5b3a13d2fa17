/* Small passes over rows of tokens. */
#include "token.h"
#include "dispatch.h"
#include <math.h>

USPI_DISPATCH(
    void, uspi_scale, (const float *x, float factor, float *y, ptrdiff_t n, int32_t accumulate),
    (x, factor, y, n, accumulate), {
        if (accumulate)
            for (ptrdiff_t i = 0; i < n; i++) y[i] += factor * x[i];
        else
            for (ptrdiff_t i = 0; i < n; i++) y[i] = factor * x[i];
    })

USPI_DISPATCH(
    void, uspi_multiply,
    (const float *a, const float *b, float *y, ptrdiff_t n, int32_t accumulate),
    (a, b, y, n, accumulate), {
        if (accumulate)
            for (ptrdiff_t i = 0; i < n; i++) y[i] += a[i] * b[i];
        else
            for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i] * b[i];
    })

USPI_DISPATCH(
    void, uspi_sum, (const float *a, const float *b, float *y, ptrdiff_t n), (a, b, y, n), {
        for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i] + b[i];
    })

void uspi_timestep_embedding(
    float t, float period, ptrdiff_t width, ptrdiff_t shift, float *row) {
    const ptrdiff_t half = width / 2;
    const float exponent = -logf(period);
    for (ptrdiff_t i = 0; i < half; i++) {
        const float angle = t * expf(exponent * (float)i / (float)(half - shift));
        row[i] = cosf(angle);
        row[half + i] = sinf(angle);
    }
    if (width & 1) row[width - 1] = 0;
}
