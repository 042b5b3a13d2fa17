/* Layer and RMS normalisation. Sums run over sixteen lanes folded in a fixed order, so
 * all instruction sets add in the same order. */
#include "norm.h"
#include "dispatch.h"
#include "gemm_variants.h"
#include <string.h>

typedef float lanes __attribute__((ext_vector_type(16)));
typedef float lanes_at __attribute__((ext_vector_type(16), aligned(4), may_alias));
#define LOAD(p) (*(const lanes_at *)(p))

/* The sum of lanes `v`, in an order that does not depend on the instruction set. */
#define FOLD(v)                                                                    \
    ((((v)[0] + (v)[8]) + ((v)[4] + (v)[12])) + (((v)[2] + (v)[10]) + ((v)[6] + (v)[14])) + \
     (((v)[1] + (v)[9]) + ((v)[5] + (v)[13])) + (((v)[3] + (v)[11]) + ((v)[7] + (v)[15])))

void uspi_norm_rows(const uspi_normed_rows *rows, int64_t row, int64_t count, void *y,
                    float *statistics) {
    const int64_t row_bytes = rows->norm.width * (rows->norm.output == USPI_BF16 ? 2 : 4);
    for (const int64_t first = row, end = row + count; row < end;) {
        const int64_t group = row / rows->period, group_end = (group + 1) * rows->period;
        const int64_t some = (group_end < end ? group_end : end) - row, done = row - first;
        uspi_layer_norm norm = rows->norm;
        if (norm.shift) norm.shift += group * rows->shift_row;
        if (norm.scale) norm.scale += group * rows->scale_row;
        uspi_variant()->layer_norm(&norm, rows->x + row * norm.width, some,
                                   (char *)y + done * row_bytes,
                                   statistics ? statistics + 2 * done : NULL);
        row += some;
    }
}

/* With h = dy (1 + scale) weight and z the normalised x:
 * dx = inverse (h - mean(h) - z mean(h z)); without mean(h) for RMS norm. */
USPI_DISPATCH(
    void, uspi_layer_norm_backward,
    (const uspi_layer_norm *norm, const float *x, const float *dy, const float *statistics,
     ptrdiff_t rows, const float *addend, float *dx, float *sums),
    (norm, x, dy, statistics, rows, addend, dx, sums), {
        const ptrdiff_t width = norm->width;
        const float *weight = norm->weight;
        const float *scale = norm->scale;
        const ptrdiff_t whole = width & ~(ptrdiff_t)15;
        for (ptrdiff_t i = 0; i < rows; i++) {
            const float *row = x + i * width;
            const float *in = dy + i * width;
            const float mean = statistics[2 * i];
            const float inverse = statistics[2 * i + 1];
            if (sums) {
                float *plain = sums;
                float *along = sums + width;
                for (ptrdiff_t j = 0; j < width; j++) {
                    plain[j] += in[j];
                    along[j] += in[j] * ((row[j] - mean) * inverse);
                }
            }
            if (!dx) continue;
            lanes sum = 0;
            lanes product = 0;
            for (ptrdiff_t j = 0; j < whole; j += 16) {
                lanes h = LOAD(in + j);
                if (scale) h *= 1.0f + LOAD(scale + j);
                if (weight) h *= LOAD(weight + j);
                sum += h;
                product += h * ((LOAD(row + j) - mean) * inverse);
            }
            float m1 = FOLD(sum);
            float m2 = FOLD(product);
            for (ptrdiff_t j = whole; j < width; j++) {
                float h = in[j];
                if (scale) h *= 1.0f + scale[j];
                if (weight) h *= weight[j];
                m1 += h;
                m2 += h * ((row[j] - mean) * inverse);
            }
            m1 = norm->rms ? 0.0f : m1 / (float)width;
            m2 /= (float)width;
            float *out = dx + i * width;
            const float *more = addend ? addend + i * width : 0;
            for (ptrdiff_t start = 0; start < width; start += 256) {
                const ptrdiff_t n = width - start < 256 ? width - start : 256;
                float part[256];
                memcpy(part, in + start, (size_t)n * sizeof(float));
                if (scale)
                    for (ptrdiff_t j = 0; j < n; j++) part[j] *= 1.0f + scale[start + j];
                if (weight)
                    for (ptrdiff_t j = 0; j < n; j++) part[j] *= weight[start + j];
                for (ptrdiff_t j = 0; j < n; j++) {
                    float z = (row[start + j] - mean) * inverse;
                    part[j] = inverse * (part[j] - m1 - z * m2);
                }
                if (more)
                    for (ptrdiff_t j = 0; j < n; j++) part[j] += more[start + j];
                memcpy(out + start, part, (size_t)n * sizeof(float));
            }
        }
    })
