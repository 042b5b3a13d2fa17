/* Losses over rows: f64 sums in row order. */
#ifndef USPI_LOSS_H
#define USPI_LOSS_H
#include <stddef.h>
#include <stdint.h>

/* -sum_k target[k] log softmax(logits)[k]; `gradient`[k] = softmax[k] * sum(target) - target[k]. */
double uspi_cross_entropy_row(
    const float *logits, const float *target, ptrdiff_t classes, float *gradient);

/* Of rows of logits with one label each: the sum of -log softmax(logits)[label], without rows whose
 * label is `ignored`. */
double uspi_label_entropy(const float *logits, const int32_t *labels, ptrdiff_t rows,
                          ptrdiff_t classes, int32_t ignored);

/* d (+)= factor (softmax(logits) - 1 at the label), 0 where it is ignored */
void uspi_label_entropy_backward(const float *logits, const int32_t *labels, ptrdiff_t rows,
                                 ptrdiff_t classes, int32_t ignored, float factor, float *d,
                                 int32_t accumulate);

/* sum of (a - b)^2, or of |a - b| */
double uspi_squared_difference(const float *a, const float *b, ptrdiff_t n);
double uspi_absolute_difference(const float *a, const float *b, ptrdiff_t n);

/* d (+)= factor (a - b), or factor sign(a - b) */
void uspi_squared_difference_backward(
    const float *a, const float *b, float factor, float *d, ptrdiff_t n, int32_t accumulate);
void uspi_absolute_difference_backward(
    const float *a, const float *b, float factor, float *d, ptrdiff_t n, int32_t accumulate);

/* y[i] = a b / (max(|a|, epsilon) max(|b|, epsilon)) of rows [rows, width] */
void uspi_cosine_rows(const float *a, const float *b, ptrdiff_t rows, ptrdiff_t width,
                      float epsilon, float *y);

/* da (+)= dy[i] times its gradient in a; a row shorter than epsilon has a constant divisor */
void uspi_cosine_rows_backward(const float *a, const float *b, const float *dy, ptrdiff_t rows,
                               ptrdiff_t width, float epsilon, float *da, int32_t accumulate);

/* y = (x - mean) / sqrt(unbiased variance + epsilon) over all n elements */
void uspi_standardise(const float *x, float *y, ptrdiff_t n, double epsilon);

#endif
