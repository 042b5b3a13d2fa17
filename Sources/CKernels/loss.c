/* Losses and their gradients, one row or one range at a time. */
#include "loss.h"
#include "dispatch.h"
#include "fast_exp.h"
#include <math.h>

double uspi_cross_entropy_row(
    const float *logits, const float *target, ptrdiff_t classes, float *gradient) {
    double largest = -INFINITY, sum = 0, weight = 0, loss = 0;
    for (ptrdiff_t k = 0; k < classes; k++)
        if (!(logits[k] <= largest)) largest = logits[k];
    for (ptrdiff_t k = 0; k < classes; k++) {
        sum += exp(logits[k] - largest);
        weight += target[k];
    }
    const double logarithm = log(sum) + largest;
    for (ptrdiff_t k = 0; k < classes; k++)
        if (target[k] != 0) loss += target[k] * (logarithm - logits[k]);
    if (gradient)
        for (ptrdiff_t k = 0; k < classes; k++)
            gradient[k] = (float)(exp(logits[k] - logarithm) * weight - target[k]);
    return loss;
}

/* The largest logit and the sum of exp(logit - largest), over sixteen lanes folded in order. */
USPI_INLINE float softmax_sum(const float *x, ptrdiff_t classes, float *largest) {
    float most = -INFINITY, sum[16] = {0}, total = 0;
    for (ptrdiff_t k = 0; k < classes; k++) most = x[k] > most ? x[k] : most;
    ptrdiff_t k = 0;
    for (; k + 16 <= classes; k += 16)
        for (int l = 0; l < 16; l++) sum[l] += fast_exp(x[k + l] - most);
    for (int l = 0; k + l < classes; l++) sum[l] += fast_exp(x[k + l] - most);
    for (int l = 0; l < 16; l++) total += sum[l];
    *largest = most;
    return total;
}

USPI_DISPATCH(
    double, uspi_label_entropy,
    (const float *logits, const int32_t *labels, ptrdiff_t rows, ptrdiff_t classes,
     int32_t ignored),
    (logits, labels, rows, classes, ignored), {
        double loss = 0;
        for (ptrdiff_t i = 0; i < rows; i++, logits += classes) {
            if (labels[i] == ignored) continue;
            float largest;
            const float sum = softmax_sum(logits, classes, &largest);
            loss += log((double)sum) + (double)largest - (double)logits[labels[i]];
        }
        return loss;
    })

USPI_DISPATCH(
    void, uspi_label_entropy_backward,
    (const float *logits, const int32_t *labels, ptrdiff_t rows, ptrdiff_t classes,
     int32_t ignored, float factor, float *restrict d, int32_t accumulate),
    (logits, labels, rows, classes, ignored, factor, d, accumulate), {
        for (ptrdiff_t i = 0; i < rows; i++, logits += classes, d += classes) {
            if (!accumulate)
                for (ptrdiff_t k = 0; k < classes; k++) d[k] = 0;
            if (labels[i] == ignored) continue;
            float largest;
            const float share = factor / softmax_sum(logits, classes, &largest);
            for (ptrdiff_t k = 0; k < classes; k++) d[k] += share * fast_exp(logits[k] - largest);
            d[labels[i]] -= factor;
        }
    })

/* Eight f64 lanes, folded in order. */
USPI_DISPATCH(
    double, uspi_squared_difference, (const float *a, const float *b, ptrdiff_t n), (a, b, n), {
        double lanes[8] = {0};
        ptrdiff_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (int l = 0; l < 8; l++) {
                double d = (double)a[i + l] - b[i + l];
                lanes[l] += d * d;
            }
        double sum = 0;
        for (int l = 0; l < 8; l++) sum += lanes[l];
        for (; i < n; i++) {
            double d = (double)a[i] - b[i];
            sum += d * d;
        }
        return sum;
    })

USPI_DISPATCH(
    double, uspi_absolute_difference, (const float *a, const float *b, ptrdiff_t n), (a, b, n), {
        double lanes[8] = {0};
        ptrdiff_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (int l = 0; l < 8; l++) lanes[l] += fabs((double)a[i + l] - b[i + l]);
        double sum = 0;
        for (int l = 0; l < 8; l++) sum += lanes[l];
        for (; i < n; i++) sum += fabs((double)a[i] - b[i]);
        return sum;
    })

USPI_DISPATCH(
    void, uspi_squared_difference_backward,
    (const float *a, const float *b, float factor, float *d, ptrdiff_t n, int32_t accumulate),
    (a, b, factor, d, n, accumulate), {
        if (accumulate)
            for (ptrdiff_t i = 0; i < n; i++) d[i] += factor * (a[i] - b[i]);
        else
            for (ptrdiff_t i = 0; i < n; i++) d[i] = factor * (a[i] - b[i]);
    })

USPI_DISPATCH(
    void, uspi_absolute_difference_backward,
    (const float *a, const float *b, float factor, float *d, ptrdiff_t n, int32_t accumulate),
    (a, b, factor, d, n, accumulate), {
        for (ptrdiff_t i = 0; i < n; i++) {
            float sign = (float)(a[i] > b[i]) - (float)(a[i] < b[i]);
            d[i] = (accumulate ? d[i] : 0.0f) + factor * sign;
        }
    })

/* a b, a a and b b of one row, each over eight f64 lanes folded in order. */
typedef struct row_products {
    double both, a, b;
} row_products;

USPI_INLINE row_products products_of(const float *a, const float *b, ptrdiff_t n) {
    double both[8] = {0}, first[8] = {0}, second[8] = {0};
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++) {
            both[l] += (double)a[i + l] * b[i + l];
            first[l] += (double)a[i + l] * a[i + l];
            second[l] += (double)b[i + l] * b[i + l];
        }
    for (int l = 0; i + l < n; l++) {
        both[l] += (double)a[i + l] * b[i + l];
        first[l] += (double)a[i + l] * a[i + l];
        second[l] += (double)b[i + l] * b[i + l];
    }
    row_products sums = {0, 0, 0};
    for (int l = 0; l < 8; l++) {
        sums.both += both[l];
        sums.a += first[l];
        sums.b += second[l];
    }
    return sums;
}

USPI_DISPATCH(
    void, uspi_cosine_rows,
    (const float *a, const float *b, ptrdiff_t rows, ptrdiff_t width, float epsilon, float *y),
    (a, b, rows, width, epsilon, y), {
        for (ptrdiff_t i = 0; i < rows; i++, a += width, b += width) {
            const row_products p = products_of(a, b, width);
            y[i] = (float)(p.both / (fmax(sqrt(p.a), epsilon) * fmax(sqrt(p.b), epsilon)));
        }
    })

USPI_DISPATCH(
    void, uspi_cosine_rows_backward,
    (const float *a, const float *b, const float *dy, ptrdiff_t rows, ptrdiff_t width,
     float epsilon, float *restrict da, int32_t accumulate),
    (a, b, dy, rows, width, epsilon, da, accumulate), {
        for (ptrdiff_t i = 0; i < rows; i++, a += width, b += width, da += width) {
            const row_products p = products_of(a, b, width);
            const double norm = sqrt(p.a);
            const double length = fmax(norm, epsilon), other = fmax(sqrt(p.b), epsilon);
            const double cosine = p.both / (length * other);
            const float along = (float)(dy[i] / (length * other));
            /* torch bounds the norm without a part in the gradient */
            const float back = norm > 0 ? (float)(dy[i] * cosine / (length * norm)) : 0.0f;
            for (ptrdiff_t j = 0; j < width; j++) {
                const float value = along * b[j] - back * a[j];
                da[j] = accumulate ? da[j] + value : value;
            }
        }
    })

void uspi_standardise(const float *x, float *y, ptrdiff_t n, double epsilon) {
    double mean = 0, squares = 0;
    for (ptrdiff_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (ptrdiff_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    /* one element has no unbiased variance: NaN, as in PyTorch */
    const double inverse = 1 / sqrt(squares / (double)(n - 1) + epsilon);
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (float)((x[i] - mean) * inverse);
}
