/* Compares every instruction set's product with a double-precision one on odd sizes.
 * Built with the sources of CKernels: clang -O2 -I its include folder, and -lm. */
#define _GNU_SOURCE
#include "CKernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 1;
static float uniform(void) {
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}
static float *random_array(size_t n) {
    float *x = malloc((n + 1) * sizeof(float));
    for (size_t i = 0; i < n; i++) x[i] = uniform();
    return x;
}
static float value(const void *p, int64_t i, int type) {
    if (type == USPI_F32) return ((const float *)p)[i];
    float x;
    uspi_f32_from_bf16((const uint16_t *)p + i, &x, 1);
    return x;
}
static void *as_type(const float *x, size_t n, int type) {
    if (type == USPI_F32) {
        float *y = malloc((n + 1) * sizeof(float));
        memcpy(y, x, n * sizeof(float));
        return y;
    }
    uint16_t *y = malloc((n + 1) * sizeof(uint16_t));
    uspi_bf16_from_f32(x, y, n);
    return y;
}
static float rounded(float x, int compute) {
    if (compute == USPI_F32) return x;
    uint16_t h;
    uspi_bf16_from_f32(&x, &h, 1);
    uspi_f32_from_bf16(&h, &x, 1);
    return x;
}
static double activate(int activation, double x) {
    switch (activation) {
    case USPI_ACT_GELU_ERF: return 0.5 * x * erfc(-x * M_SQRT1_2);
    case USPI_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case USPI_ACT_SILU: return x / (1 + exp(-x));
    default: return x;
    }
}

static int failures = 0;

typedef struct check {
    int64_t m, n, k;
    int a_order, b_order; /* 0 rows contiguous, 1 columns contiguous, 2 neither */
    int a_type, b_type, compute, c_type, activation, ends; /* ends: bits of optional parts */
} check;

static void one(const check *t, int split) {
    const int64_t m = t->m, n = t->n, k = t->k;
    const int64_t a_row = t->a_order == 0 ? k + 3 : t->a_order == 1 ? 1 : 2 * k + 1;
    const int64_t a_col = t->a_order == 0 ? 1 : t->a_order == 1 ? m + 2 : 2;
    const int64_t b_row = t->b_order == 0 ? n + 1 : t->b_order == 1 ? 1 : 2 * n;
    const int64_t b_col = t->b_order == 0 ? 1 : t->b_order == 1 ? k + 5 : 2;
    float *af = random_array((size_t)(m * a_row + k * a_col)), *bf = random_array((size_t)(k * b_row + n * b_col));
    void *a = as_type(af, (size_t)(m * a_row + k * a_col), t->a_type);
    void *b = as_type(bf, (size_t)(k * b_row + n * b_col), t->b_type);
    const int64_t c_row = n + 4;
    float *cf = random_array((size_t)(m * c_row));
    void *c = as_type(cf, (size_t)(m * c_row), t->c_type), *c0 = as_type(cf, (size_t)(m * c_row), t->c_type);
    void *pre = as_type(cf, (size_t)(m * c_row), t->c_type);
    float *bias = random_array((size_t)n), *residual = random_array((size_t)(m * (n + 1)));
    float *gate = random_array((size_t)((m + 9) * (n + 2)));
    void *packed = malloc(uspi_packed_b_size(k, n, t->compute));
    void *workspace = malloc(uspi_gemm_workspace(k, t->compute));
    const int64_t cut = n > 32 ? (n / 2 + 31) / 32 * 32 : n;
    uspi_pack_b(b, b_row, b_col, t->b_type, k, n, t->compute, packed, 0, cut);
    if (cut < n) uspi_pack_b(b, b_row, b_col, t->b_type, k, n, t->compute, packed, cut, n);
    uspi_gemm g = {.m = m, .n = n, .k = k, .a = a, .a_row = a_row, .a_col = a_col, .a_type = t->a_type,
        .compute = t->compute, .b = packed, .c = c, .c_row = c_row, .c_type = t->c_type,
        .alpha = t->ends & 1 ? 0.37f : 1.0f, .accumulate = (t->ends >> 1) & 1,
        .bias = t->ends & 4 ? bias : NULL, .activation = t->activation,
        .pre = t->ends & 8 ? pre : NULL, .gate = t->ends & 16 ? gate : NULL, .gate_row = n + 2,
        .gate_period = 3, .row0 = 2, .residual = t->ends & 32 ? residual : NULL, .residual_row = n + 1};
    if (split) {
        for (int64_t i = 0; i < m; i += 5) {
            const int64_t e = i + 5 < m ? i + 5 : m;
            uspi_gemm_run(&g, i, e, 0, cut, workspace);
            if (cut < n) uspi_gemm_run(&g, i, e, cut, n, workspace);
        }
    } else {
        uspi_gemm_run(&g, 0, m, 0, n, workspace);
    }
    double worst = 0, worst_pre = 0;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < c_row; j++) {
            if (j >= n) {
                if (value(c, i * c_row + j, t->c_type) != value(c0, i * c_row + j, t->c_type)) worst = 1e9;
                continue;
            }
            double sum = 0, size = 0;
            for (int64_t p = 0; p < k; p++) {
                const double x = rounded(value(a, i * a_row + p * a_col, t->a_type), t->compute);
                const double y = rounded(value(b, p * b_row + j * b_col, t->b_type), t->compute);
                sum += x * y;
                size += fabs(x * y);
            }
            double v = sum * g.alpha;
            if (g.bias) v += bias[j];
            if (g.pre) {
                const double e = fabs(v - value(pre, i * c_row + j, t->c_type)) / (1 + size);
                if (e > worst_pre) worst_pre = e;
            }
            v = activate(t->activation, v);
            if (g.gate) v *= gate[(2 + i) / 3 * (n + 2) + j];
            if (g.residual) v += residual[i * (n + 1) + j];
            if (g.accumulate) v += value(c0, i * c_row + j, t->c_type);
            const double e = fabs(v - value(c, i * c_row + j, t->c_type)) / (1 + size);
            if (!(e <= worst)) worst = e;
        }
    }
    const double bound = t->c_type == USPI_BF16 ? 6e-3 : 1e-6;
    if (!(worst < bound) || !(worst_pre < bound)) {
        failures++;
        printf("FAIL %s m %ld n %ld k %ld orders %d %d types %d %d compute %d c %d act %d ends %d split %d: %g %g\n",
               uspi_isa_name(uspi_isa()), (long)m, (long)n, (long)k, t->a_order, t->b_order, t->a_type, t->b_type,
               t->compute, t->c_type, t->activation, t->ends, split, worst, worst_pre);
    }
    free(af); free(bf); free(a); free(b); free(cf); free(c); free(c0); free(pre); free(bias);
    free(residual); free(gate); free(packed); free(workspace);
}

static void convolution(int compute, int a_type, int64_t channels, int64_t stride, int64_t up) {
    uspi_im2col w = {.height = 7, .width = 6, .channels = channels, .pixel_row = channels + 2, .kernel_height = 3,
        .kernel_width = 3, .stride = stride, .pad_top = stride == 1, .pad_left = 1, .upsample = up};
    const int64_t out_height = (7 * up + 1 + w.pad_top - 3) / stride + 1;
    w.out_width = (6 * up + 2 - 3) / stride + 1;
    const int64_t m = out_height * w.out_width, k = 9 * channels, n = 37;
    float *image = random_array((size_t)(42 * w.pixel_row)), *weight = random_array((size_t)(n * k));
    void *x = as_type(image, (size_t)(42 * w.pixel_row), a_type);
    void *packed = malloc(uspi_packed_b_size(k, n, compute)), *workspace = malloc(uspi_gemm_workspace(k, compute));
    float *c = malloc((size_t)(m * n) * sizeof(float));
    uspi_pack_b(weight, 1, k, USPI_F32, k, n, compute, packed, 0, n);
    uspi_gemm g = {.m = m, .n = n, .k = k, .a = x, .a_type = a_type, .compute = compute, .conv = &w, .b = packed,
        .c = c, .c_row = n, .alpha = 1};
    uspi_gemm_run(&g, 0, m, 0, n, workspace);
    double worst = 0;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) {
                const int64_t y = i / w.out_width * stride + p / (3 * channels) - w.pad_top;
                const int64_t z = i % w.out_width * stride + p / channels % 3 - w.pad_left;
                if (y < 0 || z < 0 || y >= 7 * up || z >= 6 * up) continue;
                const float v = value(x, (y / up * 6 + z / up) * w.pixel_row + p % channels, a_type);
                sum += (double)rounded(v, compute) * rounded(weight[j * k + p], compute);
            }
            const double e = fabs(sum - c[i * n + j]) / (1 + fabs(sum));
            if (!(e <= worst)) worst = e;
        }
    }
    if (!(worst < 5e-6)) {
        failures++;
        printf("FAIL %s convolution compute %d type %d channels %ld stride %ld up %ld: %g\n",
               uspi_isa_name(uspi_isa()), compute, a_type, (long)channels, (long)stride, (long)up, worst);
    }
    free(image); free(weight); free(x); free(packed); free(workspace); free(c);
}

static void activations(void) {
    enum { N = 20001 };
    static float x[N], y[N], dy[N], dx[N];
    for (int i = 0; i < N; i++) { x[i] = (float)(i - N / 2) * 1e-3f * 1.2f; dy[i] = 1; }
    for (int f = 1; f <= 3; f++) {
        uspi_activation_forward(f, x, y, N);
        uspi_activation_backward(f, x, dy, dx, N);
        double worst = 0, slope = 0;
        for (int i = 0; i < N; i++) {
            const double e = fabs(activate(f, x[i]) - y[i]) / fmax(fabs(x[i]), 1e-3);
            const double h = 1e-5, d = (activate(f, x[i] + h) - activate(f, x[i] - h)) / (2 * h);
            if (!(e <= worst)) worst = e;
            if (!(fabs(d - dx[i]) <= slope)) slope = fabs(d - dx[i]);
        }
        printf("%s activation %d: error / |x| %.2g, slope %.2g\n", uspi_isa_name(uspi_isa()), f, worst, slope);
        if (!(worst < 2.5e-7) || !(slope < 1e-6)) failures++;
    }
}

int main(void) {
    static const int64_t sizes[][3] = {{1, 1, 1}, {1, 33, 7}, {3, 64, 16}, {13, 31, 33}, {14, 32, 256}, {29, 70, 100},
        {57, 45, 519}, {100, 96, 31}, {200, 40, 65}, {8, 130, 1030}};
    for (int level = 0; level <= 3; level++) {
        if (uspi_set_isa(level) != level) continue;
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (int orders = 0; orders < 9; orders++) {
                for (int types = 0; types < 16; types++) {
                    if (orders % 4 && types % 5) continue;
                    check t = {sizes[s][0], sizes[s][1], sizes[s][2], orders % 3, orders / 3, types & 1, (types >> 1) & 1,
                        (types >> 2) & 1, (types >> 3) & 1, (types + orders) % 4, (int)(s * 7 + (size_t)types * 5 + (size_t)orders * 3) % 64};
                    one(&t, 0);
                    one(&t, 1);
                }
            }
        }
        for (int i = 0; i < 48; i++) {
            static const int64_t channels[] = {3, 4, 20, 33};
            convolution(i & 1, (i >> 1) & 1, channels[(i >> 2) & 3], i / 16 == 1 ? 2 : 1, i / 16 == 2 ? 2 : 1);
        }
        activations();
        printf("%s done, %d failures\n", uspi_isa_name(level), failures);
    }
    return failures != 0;
}
