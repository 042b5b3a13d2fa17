/* Scalar product; the tuned variants land beside it. */
#include "gemm.h"
#include <math.h>
#include <string.h>

static float load(const void *p, int32_t type, int64_t i) {
    if (type == USPI_F32) return ((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f; memcpy(&f, &bits, 4); return f;
}
static uint16_t bf16(float f) {
    uint32_t u; memcpy(&u, &f, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
static float rounded(float f) { uint16_t h = bf16(f); return load(&h, USPI_BF16, 0); }
static void store(void *p, int32_t type, int64_t i, float v) {
    if (type == USPI_F32) ((float *)p)[i] = v; else ((uint16_t *)p)[i] = bf16(v);
}
size_t uspi_packed_b_size(int64_t k, int64_t n, int32_t compute) { (void)compute; return (size_t)(k * n * 4 + 64); }
void uspi_pack_b(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k, int64_t n,
                 int32_t compute, void *packed, int64_t n0, int64_t n1) {
    float *out = packed;
    for (int64_t j = n0; j < n1; j++)
        for (int64_t i = 0; i < k; i++) {
            float v = load(b, b_type, i * b_row + j * b_col);
            out[j * k + i] = compute == USPI_BF16 ? rounded(v) : v;
        }
    (void)n;
}
size_t uspi_gemm_workspace(int64_t k, int32_t compute) { (void)k; (void)compute; return 64; }
int64_t uspi_gemm_panel(void) { return 32; }
static float act1(int32_t act, float x) {
    switch (act) {
    case USPI_ACT_GELU_ERF: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case USPI_ACT_GELU_TANH: return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case USPI_ACT_SILU: return x / (1 + expf(-x));
    default: return x;
    }
}
static float dact1(int32_t act, float x) {
    switch (act) {
    case USPI_ACT_GELU_ERF: return 0.5f * (1 + erff(x * 0.70710678f)) + x * 0.3989422804f * expf(-0.5f * x * x);
    case USPI_ACT_GELU_TANH: {
        float t = tanhf(0.7978845608f * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 0.134145f * x * x);
    }
    case USPI_ACT_SILU: { float s = 1 / (1 + expf(-x)); return s * (1 + x * (1 - s)); }
    default: return 1;
    }
}
void uspi_gemm_run(const uspi_gemm *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1, void *workspace) {
    (void)workspace;
    for (int64_t i = m0; i < m1; i++)
        for (int64_t j = n0; j < n1; j++) {
            const float *b = (const float *)g->b + j * g->k;
            float s = 0;
            for (int64_t k = 0; k < g->k; k++) {
                float a = load(g->a, g->a_type, i * g->a_row + k * g->a_col);
                s += (g->compute == USPI_BF16 ? rounded(a) : a) * b[k];
            }
            s *= g->alpha;
            if (g->bias) s += g->bias[j];
            if (g->pre) store(g->pre, g->c_type, i * g->c_row + j, s);
            s = act1(g->activation, s);
            if (g->gate) s *= g->gate[(g->row0 + i) / g->gate_period * g->gate_row + j];
            if (g->residual) s += g->residual[i * g->residual_row + j];
            if (g->accumulate) s += load(g->c, g->c_type, i * g->c_row + j);
            store(g->c, g->c_type, i * g->c_row + j, s);
        }
}
void uspi_activation_forward(int32_t act, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = act1(act, x[i]);
}
void uspi_activation_backward(int32_t act, const float *p, const float *dy, float *dx, int64_t n) {
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * dact1(act, p[i]);
}
