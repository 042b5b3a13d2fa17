/* Conversions between f32 and bf16. */
#include "convert.h"
#include "gemm_variants.h"

void uspi_bf16_from_f32(const float *x, uint16_t *y, int64_t n) {
    uspi_variant()->bf16_from_f32(x, y, n);
}

void uspi_f32_from_bf16(const uint16_t *x, float *y, int64_t n) {
    uspi_variant()->f32_from_bf16(x, y, n);
}
