/* B of a product laid out as panels: [panel][step][PANEL] words, zeros past the last column. */
#include "gemm_variants.h"
#include <string.h>

/* Bytes of one panel packed at once where its columns, not its rows, are side by side in memory:
 * the next panel's are near then. */
enum { BYTES_ACROSS = 2048 };

int64_t uspi_gemm_panel(void) { return PANEL; }

size_t uspi_packed_b_size(int64_t k, int64_t n, int32_t compute) {
    const size_t panels = (size_t)((n + PANEL - 1) / PANEL);
    return panels * PANEL * (size_t)steps_of(k, compute) * sizeof(uint32_t);
}

/* Some steps of half a panel from b on; `columns` exist. */
static void pack_half(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k,
                      int64_t columns, int32_t compute, uint32_t *panel) {
    lanes_source source = {
        .lane_stride = b_col, .k_stride = b_row, .type = b_type, .biased = compute == USPI_INT8};
    source.count = columns < 0 ? 0 : columns < LANES ? (int)columns : LANES;
    for (int l = 0; l < source.count; l++) source.lane[l] = element(b, l * b_col, b_type);
    uspi_variant()->pack(&source, k, LANES, compute, panel, PANEL);
}

/* Some steps of one panel. */
static void pack_panel(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k,
                       int64_t columns, int32_t compute, uint32_t *panel) {
    for (int half = 0; half < PANEL; half += LANES) {
        pack_half(element(b, half * b_col, b_type), b_row, b_col, b_type, k, columns - half,
                  compute, panel + half);
    }
}

/* Two whole panels of LANES columns of each half, so that products which share sums of neighbouring
 * panels take gated units too. */
int64_t uspi_halves_columns(int64_t half) { return (half + PANEL - 1) / PANEL * 2 * PANEL; }

void uspi_pack_halves(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k,
                      int64_t half, int32_t compute, void *packed, int64_t n_begin,
                      int64_t n_end) {
    for (int64_t j = n_begin; j < n_end; j += PANEL) {
        uint32_t *panel = (uint32_t *)packed + j * steps_of(k, compute);
        for (int64_t second = 0, at = j / 2; second < 2; second++, at += half, panel += LANES) {
            pack_half(element(b, at * b_col, b_type), b_row, b_col, b_type, k, half - j / 2,
                      compute, panel);
        }
    }
}

void uspi_pack_b(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k, int64_t n,
                 int32_t compute, void *packed, int64_t n_begin, int64_t n_end) {
    const int64_t across = BYTES_ACROSS / (PANEL * (b_type == USPI_BF16 ? 2 : 4));
    const int64_t most = b_col == 1 && b_row != 1 && compute != USPI_INT8 ? across : k;
    for (int64_t p = 0; p < k; p += most) {
        for (int64_t j = n_begin; j < n_end; j += PANEL) {
            uint32_t *panel = (uint32_t *)packed + j * steps_of(k, compute);
            pack_panel(element(b, p * b_row + j * b_col, b_type), b_row, b_col, b_type,
                       k - p < most ? k - p : most, n - j, compute,
                       panel + words_of(p, compute) * PANEL);
        }
    }
}

/* 2^31 / (255 * 128), which is the largest product. */
int64_t uspi_most_int8(void) { return 65793; }

void uspi_scale_columns(void *packed, int64_t k, int64_t n, int64_t half, const float *scales) {
    const int64_t steps = steps_of(k, USPI_INT8);
    for (int64_t j = 0; j < n; j++) {
        const int64_t panel = j / PANEL, place = j % PANEL;
        int64_t column = j;
        if (half) {
            const int64_t of_half = panel * LANES + place % LANES;
            if (of_half >= half) continue;
            column = place / LANES * half + of_half;
        }
        uint32_t *ends = (uint32_t *)packed + panel * PANEL * steps + (steps - INT8_ENDS) * PANEL;
        memcpy(ends + place, scales + column, sizeof(float));
    }
}
