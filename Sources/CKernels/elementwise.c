/* Pointwise kernels: plain loops over one cache-sized range, vectorised by the compiler for each
 * instruction set. */
#include "elementwise.h"
#include "dispatch.h"

USPI_DISPATCH(
    void, uspi_add, (float *restrict y, const float *restrict x, ptrdiff_t n), (y, x, n), {
        for (ptrdiff_t i = 0; i < n; i++) y[i] += x[i];
    })

USPI_DISPATCH(
    void, uspi_maximum, (float *restrict y, const float *restrict x, ptrdiff_t n), (y, x, n), {
        for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] > y[i] ? x[i] : y[i];
    })

USPI_DISPATCH(
    void, uspi_sum_rows,
    (const float *restrict x, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t n, float *restrict y,
     int32_t accumulate),
    (x, stride, rows, n, y, accumulate), {
        if (!accumulate)
            for (ptrdiff_t j = 0; j < n; j++) y[j] = 0;
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < n; j++) y[j] += x[i * stride + j];
    })

USPI_DISPATCH(
    void, uspi_gate_forward,
    (const float *x, const float *gate, const float *residual, float *restrict y, ptrdiff_t n),
    (x, gate, residual, y, n), {
        if (residual)
            for (ptrdiff_t i = 0; i < n; i++) y[i] = residual[i] + gate[i] * x[i];
        else
            for (ptrdiff_t i = 0; i < n; i++) y[i] = gate[i] * x[i];
    })

USPI_DISPATCH(
    void, uspi_gate_backward,
    (const float *dy, const float *gate, const float *x, float *restrict dx, float *restrict dgate,
     ptrdiff_t n),
    (dy, gate, x, dx, dgate, n), {
        for (ptrdiff_t i = 0; i < n; i++) dx[i] = dy[i] * gate[i];
        if (dgate && x)
            for (ptrdiff_t i = 0; i < n; i++) dgate[i] += dy[i] * x[i];
    })
