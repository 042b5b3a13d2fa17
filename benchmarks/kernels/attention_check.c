/* Compares attention and its gradient with double precision on every instruction set, then times it.
 * Built with the sources of CKernels: clang -O2 -I its include folder, and -lm. */
#define _GNU_SOURCE
#include "CKernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t state = 7;
static int failures = 0;

static float uniform(void) {
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *random_values(int64_t n, int type, float scale) {
    float *x = malloc((size_t)n * 4 + 64);
    for (int64_t i = 0; i < n; i++) x[i] = scale * uniform();
    if (type == USPI_F32) return x;
    uint16_t *y = malloc((size_t)n * 2 + 64);
    uspi_bf16_from_f32(x, y, n);
    free(x);
    return y;
}

static double at(const void *p, int64_t i, int type) {
    if (type == USPI_F32) return ((const float *)p)[i];
    float x;
    uspi_f32_from_bf16((const uint16_t *)p + i, &x, 1);
    return x;
}

static double worst(const double *x, const void *y, int64_t rows, int64_t columns, int64_t row, int type) {
    double most = 0, largest = 1e-30;
    for (int64_t i = 0; i < rows * columns; i++) largest = fmax(largest, fabs(x[i]));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            const double e = fabs(x[i * columns + j] - at(y, i * row + j, type)) / largest;
            if (!(e <= most)) most = e;
        }
    }
    return most;
}

static void one(int64_t queries, int64_t keys, int64_t d, int type, int compute, float size) {
    const int64_t row = 3 * d + 2;
    void *q = random_values(queries * row, type, size), *k = random_values(keys * row, type, size);
    void *v = random_values(keys * row, type, 1), *dout = random_values(queries * row, type, 1);
    float *lse = malloc((size_t)queries * 4);
    void *out = random_values(queries * row, type, 1);
    const float scale = 1 / sqrtf((float)d);
    uspi_attention a = {.queries = queries, .keys = keys, .head_dim = d, .q = q, .k = k, .v = v, .q_row = row, .k_row = row,
                        .v_row = row, .type = type, .compute = compute, .scale = scale, .out = out, .out_row = row,
                        .out_type = type, .logsumexp = lse};
    void *packed = malloc(uspi_attention_packed_size(keys, d, compute)), *workspace = malloc(uspi_attention_workspace(keys, d, compute));
    uspi_attention_pack(&a, packed);
    const int64_t cut = queries / 3;
    uspi_attention_rows(&a, packed, 0, cut, workspace);
    uspi_attention_rows(&a, packed, cut, queries, workspace);
    float *dq = random_values(queries * row, USPI_F32, 1), *dk = random_values(keys * row, USPI_F32, 1), *dv = random_values(keys * row, USPI_F32, 1);
    uspi_attention_gradient g = {.dout = dout, .dout_row = row, .dout_type = type, .dq = dq, .dk = dk, .dv = dv,
                                 .dq_row = row, .dk_row = row, .dv_row = row};
    void *back = malloc(uspi_attention_backward_workspace(queries, keys, d, compute));
    uspi_attention_backward(&a, &g, back);
    double *p = calloc((size_t)(queries * keys), 8), *ds = calloc((size_t)(queries * keys), 8), *o = calloc((size_t)(queries * d), 8);
    double *rq = calloc((size_t)(queries * d), 8), *rk = calloc((size_t)(keys * d), 8), *rv = calloc((size_t)(keys * d), 8), *rl = calloc((size_t)queries, 8);
    for (int64_t i = 0; i < queries; i++) {
        double most = -1e300, sum = 0, dot = 0;
        for (int64_t j = 0; j < keys; j++) {
            double s = 0;
            for (int64_t c = 0; c < d; c++) s += at(q, i * row + c, type) * at(k, j * row + c, type);
            p[i * keys + j] = s * scale;
            most = fmax(most, s * scale);
        }
        for (int64_t j = 0; j < keys; j++) sum += p[i * keys + j] = exp(p[i * keys + j] - most);
        rl[i] = most + log(sum);
        for (int64_t j = 0; j < keys; j++) {
            p[i * keys + j] /= sum;
            double dp = 0;
            for (int64_t c = 0; c < d; c++) {
                o[i * d + c] += p[i * keys + j] * at(v, j * row + c, type);
                dp += at(dout, i * row + c, type) * at(v, j * row + c, type);
                rv[j * d + c] += p[i * keys + j] * at(dout, i * row + c, type);
            }
            ds[i * keys + j] = dp;
            dot += p[i * keys + j] * dp;
        }
        for (int64_t j = 0; j < keys; j++) {
            const double s = p[i * keys + j] * (ds[i * keys + j] - dot) * scale;
            for (int64_t c = 0; c < d; c++) {
                rq[i * d + c] += s * at(k, j * row + c, type);
                rk[j * d + c] += s * at(q, i * row + c, type);
            }
        }
    }
    const double e[5] = {worst(o, out, queries, d, row, type), worst(rl, lse, queries, 1, 1, USPI_F32), worst(rq, dq, queries, d, row, USPI_F32),
                         worst(rk, dk, keys, d, row, USPI_F32), worst(rv, dv, keys, d, row, USPI_F32)};
    const double bound = type == USPI_BF16 || compute == USPI_BF16 ? 2e-2 : 4e-6;
    int bad = 0;
    for (int i = 0; i < 5; i++) bad |= !(e[i] < bound);
    failures += bad;
    printf("%s %s queries %ld keys %ld dim %ld type %d compute %d: out %.1e lse %.1e dq %.1e dk %.1e dv %.1e\n", bad ? "FAIL" : "ok",
           uspi_isa_name(uspi_isa()), (long)queries, (long)keys, (long)d, type, compute, e[0], e[1], e[2], e[3], e[4]);
    free(q); free(k); free(v); free(dout); free(lse); free(out); free(packed); free(workspace); free(dq); free(dk); free(dv); free(back);
    free(p); free(ds); free(o); free(rq); free(rk); free(rv); free(rl);
}

static void speed(int64_t t, int64_t d, int compute, int heads) {
    const int64_t row = 3 * d * heads;
    void *qkv = random_values(t * row, compute, 1), *grad = random_values(t * row, USPI_F32, 1), *out = random_values(t * row / 3, compute, 1);
    float *lse = malloc((size_t)t * 4);
    void *packed = malloc(uspi_attention_packed_size(t, d, compute)), *workspace = malloc(uspi_attention_workspace(t, d, compute));
    void *back = malloc(uspi_attention_backward_workspace(t, t, d, compute));
    const int64_t size = compute == USPI_BF16 ? 2 : 4;
    double best[2] = {1e9, 1e9};
    for (int r = 0; r < 5; r++) {
        double time[2] = {0, 0};
        for (int h = 0; h < heads; h++) {
            const char *q = (char *)qkv + h * d * size, *k = q + heads * d * size, *v = k + heads * d * size;
            uspi_attention a = {.queries = t, .keys = t, .head_dim = d, .q = q, .k = k, .v = v, .q_row = row, .k_row = row, .v_row = row,
                                .type = compute, .compute = compute, .scale = 1 / sqrtf((float)d), .out = (char *)out + h * d * size,
                                .out_row = row / 3, .out_type = compute, .logsumexp = lse};
            double s = now();
            uspi_attention_pack(&a, packed);
            uspi_attention_rows(&a, packed, 0, t, workspace);
            time[0] += now() - s;
            float *dq = (float *)grad + h * d;
            uspi_attention_gradient g = {.dout = a.out, .dout_row = row / 3, .dout_type = compute, .dq = dq,
                                         .dk = dq + heads * d, .dv = dq + 2 * heads * d, .dq_row = row, .dk_row = row, .dv_row = row};
            s = now();
            uspi_attention_backward(&a, &g, back);
            time[1] += now() - s;
        }
        for (int i = 0; i < 2; i++) best[i] = fmin(best[i], time[i]);
    }
    const double flops = 4.0 * (double)t * (double)t * (double)d * heads;
    printf("%s tokens %ld dim %ld heads %d: forward %.3f ms %.1f GFLOP/s, backward %.3f ms %.1f GFLOP/s\n", compute ? "bf16" : "f32",
           (long)t, (long)d, heads, best[0] * 1e3, flops / best[0] / 1e9, best[1] * 1e3, 2.5 * flops / best[1] / 1e9);
    free(qkv); free(grad); free(out); free(lse); free(packed); free(workspace); free(back);
}

int main(int argc, char **argv) {
    (void)argv;
    for (int level = 0; level <= 3 && argc < 2; level++) {
        if (uspi_set_isa(level) != level) continue;
        for (int types = 0; types < 4; types++) {
            one(1, 1, 1, types & 1, types >> 1, 1);
            one(33, 17, 5, types & 1, types >> 1, 1);
            one(49, 70, 72, types & 1, types >> 1, 3);
            one(300, 65, 64, types & 1, types >> 1, 1);
            one(530, 31, 8, types & 1, types >> 1, 3);
            one(40, 600, 512, types & 1, types >> 1, 1);
        }
    }
    for (int compute = 0; compute < 2; compute++) {
        speed(256, 64, compute, 12);
        speed(256, 72, compute, 16);
        speed(50, 64, compute, 12);
        speed(1024, 512, compute, 1);
        if (argc > 1) speed(4096, 512, compute, 1);
    }
    return failures != 0;
}
