/* B of a product laid out as panels: [panel][step][PANEL] words, zeros past the last column. */
#include "gemm_variants.h"

int64_t uspi_gemm_panel(void) { return PANEL; }

size_t uspi_packed_b_size(int64_t k, int64_t n, int32_t compute) {
    const size_t panels = (size_t)((n + PANEL - 1) / PANEL);
    return panels * PANEL * (size_t)steps_of(k, compute) * sizeof(uint32_t);
}

void uspi_pack_b(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k, int64_t n,
                 int32_t compute, void *packed, int64_t n_begin, int64_t n_end) {
    const pack_function pack = uspi_variant()->pack;
    const int64_t steps = steps_of(k, compute);
    for (int64_t j = n_begin; j < n_end; j += PANEL) {
        uint32_t *panel = (uint32_t *)packed + j * steps;
        for (int half = 0; half < PANEL; half += LANES) {
            const int64_t left = n - (j + half);
            lanes_source source = {.lane_stride = b_col, .k_stride = b_row, .type = b_type};
            source.count = left < 0 ? 0 : left < LANES ? (int)left : LANES;
            for (int l = 0; l < source.count; l++) {
                source.lane[l] = element(b, (j + half + l) * b_col, b_type);
            }
            pack(&source, k, LANES, compute, panel + half, PANEL);
        }
    }
}
