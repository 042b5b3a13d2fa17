/* Conversions between number formats. */
#include "convert.h"
#include "gemm_variants.h"

void uspi_bf16_from_f32(const float *x, uint16_t *y, int64_t n) {
    uspi_variant()->bf16_from_f32(x, y, n);
}

void uspi_f32_from_bf16(const uint16_t *x, float *y, int64_t n) {
    uspi_variant()->f32_from_bf16(x, y, n);
}

void uspi_f16_from_f32(const float *x, uint16_t *y, int64_t n) {
    uspi_variant()->f16_from_f32(x, y, n);
}

void uspi_f32_from_f16(const uint16_t *x, float *y, int64_t n) {
    uspi_variant()->f32_from_f16(x, y, n);
}

void uspi_f32_from_f64(const double *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = (float)x[i];
}

void uspi_f64_from_f32(const float *x, double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = (double)x[i];
}
