/* Small elementwise loops of the diagonal Gaussian, and layout changes. */
#include "gaussian.h"
#include <math.h>
#include <string.h>

void uspi_gaussian_sample(const float *mean, const float *log_variance, const float *noise,
                          ptrdiff_t n, float *z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = mean[i] + expf(0.5f * log_variance[i]) * noise[i];
}

void uspi_gaussian_sample_backward(const float *dz, const float *log_variance, const float *noise,
                                   ptrdiff_t n, int32_t accumulate, float *d_log_variance) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const float g = 0.5f * dz[i] * expf(0.5f * log_variance[i]) * noise[i];
        d_log_variance[i] = accumulate ? d_log_variance[i] + g : g;
    }
}

double uspi_gaussian_divergence(const float *mean, const float *log_variance, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double m = mean[i], l = log_variance[i];
        sum += 0.5 * (m * m + exp(l) - 1 - l);
    }
    return sum;
}

void uspi_gaussian_divergence_backward(float factor, const float *mean, const float *log_variance,
                                       ptrdiff_t n, int32_t accumulate_mean, float *d_mean,
                                       int32_t accumulate_variance, float *d_log_variance) {
    for (ptrdiff_t i = 0; d_mean && i < n; i++)
        d_mean[i] = factor * mean[i] + (accumulate_mean ? d_mean[i] : 0);
    for (ptrdiff_t i = 0; d_log_variance && i < n; i++)
        d_log_variance[i] =
            factor * 0.5f * expm1f(log_variance[i]) + (accumulate_variance ? d_log_variance[i] : 0);
}

void uspi_clamp(const float *x, float low, float high, ptrdiff_t n, float *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

void uspi_clamp_backward(const float *x, const float *dy, float low, float high, ptrdiff_t n,
                         int32_t accumulate, float *dx) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const float g = x[i] >= low && x[i] <= high ? dy[i] : 0;
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

enum { BLOCK = 16 };

void uspi_transpose(const float *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t i_begin,
                    ptrdiff_t i_end, int32_t accumulate, float *y) {
    for (ptrdiff_t i0 = i_begin; i0 < i_end; i0 += BLOCK)
        for (ptrdiff_t j0 = 0; j0 < columns; j0 += BLOCK) {
            const ptrdiff_t i1 = i0 + BLOCK < i_end ? i0 + BLOCK : i_end;
            const ptrdiff_t j1 = j0 + BLOCK < columns ? j0 + BLOCK : columns;
            for (ptrdiff_t j = j0; j < j1; j++)
                for (ptrdiff_t i = i0; i < i1; i++)
                    y[j * rows + i] = x[i * columns + j] + (accumulate ? y[j * rows + i] : 0);
        }
}

void uspi_copy_rows(const float *x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t columns,
                    int32_t accumulate, float *y, ptrdiff_t y_row) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++)
            y[i * y_row + j] = x[i * x_row + j] + (accumulate ? y[i * y_row + j] : 0);
}
