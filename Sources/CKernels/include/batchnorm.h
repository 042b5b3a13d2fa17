/* Batch normalisation of rows [rows, width]: pixels or samples by channels. */
#ifndef USPI_BATCHNORM_H
#define USPI_BATCHNORM_H
#include <stddef.h>
#include <stdint.h>

/* y = (x - mean) factor + offset, and max(y, 0) if `rectifies`. */
typedef struct uspi_batch_norm {
    ptrdiff_t width;
    const float *mean, *factor, *offset; /* [width] */
    int32_t rectifies;
} uspi_batch_norm;

/* Of each column: sum += x - shift, squares += (x - shift)^2. */
void uspi_batch_sums(const float *x, ptrdiff_t rows, ptrdiff_t width, const float *shift,
                     double *sum, double *squares);

void uspi_batch_norm_forward(const uspi_batch_norm *norm, const float *x, ptrdiff_t rows, float *y);

/* With d = dy, or 0 where the result was rectified: plain += d, along += d (x - mean), by column. */
void uspi_batch_norm_sums(const uspi_batch_norm *norm, const float *x, const float *dy,
                          ptrdiff_t rows, double *plain, double *along);

/* dx (+)= factor (d - plain - along (x - mean)); plain and along are [width], per row. */
void uspi_batch_norm_backward(const uspi_batch_norm *norm, const float *x, const float *dy,
                              const float *plain, const float *along, ptrdiff_t rows, float *dx,
                              int32_t accumulate);

#endif
