/* The diagonal Gaussian of an autoencoder, and layout changes. All f32. */
#ifndef USPI_GAUSSIAN_H
#define USPI_GAUSSIAN_H
#include <stddef.h>
#include <stdint.h>

/* z = mean + exp(log_variance / 2) * noise */
void uspi_gaussian_sample(const float *mean, const float *log_variance, const float *noise,
                          ptrdiff_t n, float *z);

/* d log_variance (+)= dz * (z's deviation from the mean) / 2 */
void uspi_gaussian_sample_backward(const float *dz, const float *log_variance, const float *noise,
                                   ptrdiff_t n, int32_t accumulate, float *d_log_variance);

/* The sum over n elements of (mean^2 + exp(log_variance) - 1 - log_variance) / 2. */
double uspi_gaussian_divergence(const float *mean, const float *log_variance, ptrdiff_t n);

/* d mean (+)= factor * mean; d log_variance (+)= factor * (exp(log_variance) - 1) / 2; either
 * NULL */
void uspi_gaussian_divergence_backward(float factor, const float *mean, const float *log_variance,
                                       ptrdiff_t n, int32_t accumulate_mean, float *d_mean,
                                       int32_t accumulate_variance, float *d_log_variance);

/* y = low if x < low, high if x > high, else x */
void uspi_clamp(const float *x, float low, float high, ptrdiff_t n, float *y);

/* dx (+)= dy where low <= x <= high */
void uspi_clamp_backward(const float *x, const float *dy, float low, float high, ptrdiff_t n,
                         int32_t accumulate, float *dx);

/* y[j, i] (+)= x[i, j] for rows i of x in i_begin ..< i_end; x [rows, columns] */
void uspi_transpose(const float *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t i_begin,
                    ptrdiff_t i_end, int32_t accumulate, float *y);

/* y[i * y_row + j] (+)= x[i * x_row + j], j < columns */
void uspi_copy_rows(const float *x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t columns,
                    int32_t accumulate, float *y, ptrdiff_t y_row);

#endif
