/* Layer and RMS normalisation: rows are tokens, statistics and sums are f32. */
#ifndef USPI_NORM_H
#define USPI_NORM_H
#include <stddef.h>
#include <stdint.h>

/* y = ((x - mean) / sqrt(variance + epsilon) * weight + bias) * (1 + scale) + shift; as RMS norm
 * with x in place of x - mean: then the mean is 0 and the variance that of x^2 */
typedef struct uspi_layer_norm {
    ptrdiff_t width;
    int32_t rms;                                /* 1: RMS norm */
    float epsilon;
    const float *weight, *bias, *shift, *scale; /* [width] or NULL */
    int32_t output;                             /* uspi_type of y */
} uspi_layer_norm;

/* Such rows of x. `period` rows share a shift and a scale; those of the next lie so many elements
 * behind them. */
typedef struct uspi_normed_rows {
    uspi_layer_norm norm;
    const float *x;
    int64_t period, shift_row, scale_row;
} uspi_normed_rows;

/* y: rows row..<row + count of them. `statistics` receives mean and 1 / sqrt(variance + epsilon) of
 * each, unless it is NULL. */
void uspi_norm_rows(const uspi_normed_rows *rows, int64_t row, int64_t count, void *y,
                    float *statistics);

/* dx = gradient for rows that share one scale, plus `addend` (NULL, or dx itself). Of the norm its
 * width, rms, weight and scale are read.
 * `sums` [2, width]: += sum of dy, += sum of dy * normalised x; NULL if nobody needs them. */
void uspi_layer_norm_backward(
    const uspi_layer_norm *norm, const float *x, const float *dy, const float *statistics,
    ptrdiff_t rows, const float *addend, float *dx, float *sums);

#endif
