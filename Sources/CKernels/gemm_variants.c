/* The table of the instruction set in use, and the functions that only forward to it. */
#include "gemm_variants.h"
#include "convert.h"

const kernel_variant *uspi_variant(void) {
#if defined(__x86_64__)
    switch (uspi_isa()) {
    case USPI_ISA_AVX512_BF16: return &uspi_variant_avx512_bf16;
    case USPI_ISA_AVX512: return &uspi_variant_avx512;
    case USPI_ISA_AVX2: return &uspi_variant_avx2;
    default: break;
    }
#endif
    return &uspi_variant_baseline;
}

void uspi_activation_forward(int32_t activation, const float *x, float *y, int64_t n) {
    uspi_variant()->activation_forward(activation, x, y, n);
}

void uspi_activation_backward(int32_t activation, const float *x, const float *dy, float *dx,
                              int64_t n) {
    uspi_variant()->activation_backward(activation, x, dy, dx, n);
}

void uspi_activation_forward_bf16(int32_t activation, const uint16_t *x, uint16_t *y, int64_t n) {
    uspi_variant()->activation_forward_bf16(activation, x, y, n);
}
