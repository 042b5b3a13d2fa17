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

const tile_function *uspi_tiles(int32_t compute) {
    const kernel_variant *variant = uspi_variant();
    if (compute == USPI_F32) return variant->tile_f32;
    if (compute == USPI_BF16) return variant->tile_bf16;
    return variant->tile_int8_vnni && uspi_vnni() ? variant->tile_int8_vnni : variant->tile_int8;
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

void uspi_gated_forward(int32_t activation, int32_t type, const void *first, const void *second,
                        void *y, int64_t n) {
    uspi_variant()->gated_forward(activation, type, first, second, y, n);
}

void uspi_gated_backward(int32_t activation, int32_t type, const void *first, const void *second,
                         const float *dy, float *dfirst, float *dsecond, int64_t n) {
    uspi_variant()->gated_backward(activation, type, first, second, dy, dfirst, dsecond, n);
}

void uspi_head_rows_forward(const uspi_head_rows *rows, int64_t begin, int64_t end, void *y) {
    uspi_variant()->head_rows_forward(rows, begin, end, y);
}

void uspi_head_rows_backward(const uspi_head_rows *rows, int64_t count, float *dy, float *dx,
                             int64_t dx_row, int32_t accumulate, float *sums) {
    uspi_variant()->head_rows_backward(rows, count, dy, dx, dx_row, accumulate, sums);
}
