/* The product: blocks of rows packed once, panels of B streamed past them.
 *
 * For each block of rows, A is packed as [tile][step][rows of the tile]; each panel of B then
 * passes in pieces of STEPS that stay in the first cache while every tile uses them. */
#include "convert.h"
#include "gemm_variants.h"

enum { MOST_BLOCK = 196, LEAST_BLOCK = 56 };

/* Rows packed at a time: about half of a second-level cache of 1 MiB, within bounds. */
static int64_t block_rows(int64_t steps) {
    const int64_t fitting = (512 << 10) / (int64_t)sizeof(uint32_t) / (steps < 1 ? 1 : steps);
    return fitting < LEAST_BLOCK ? LEAST_BLOCK : fitting > MOST_BLOCK ? MOST_BLOCK : fitting;
}

size_t uspi_gemm_workspace(int64_t k, int32_t compute) {
    const int64_t steps = steps_of(k, compute);
    const size_t words = (size_t)block_rows(steps) * (size_t)steps + LANES;
    return (words + (size_t)MOST_BLOCK * PANEL) * sizeof(uint32_t) + 64;
}

/* Where the window of an output pixel's (ky, kx) is in the image; NULL outside of it. */
static const void *window_pixel(const uspi_gemm *g, int64_t row, int64_t ky, int64_t kx) {
    const uspi_im2col *w = g->conv;
    const int64_t y = row / w->out_width * w->stride + ky - w->pad_top;
    const int64_t x = row % w->out_width * w->stride + kx - w->pad_left;
    if (y < 0 || x < 0 || y >= w->height * w->upsample || x >= w->width * w->upsample) return NULL;
    const int64_t pixel = y / w->upsample * w->width + x / w->upsample;
    return element(g->a, pixel * w->pixel_row, g->a_type);
}

/* Pack one tile of convolution windows: a run of `channels` steps for each (ky, kx). */
static void pack_windows(const uspi_gemm *g, pack_function pack, int64_t row, int rows,
                         uint32_t *target) {
    const uspi_im2col *w = g->conv;
    lanes_source source = {.lane_stride = 0, .k_stride = 1, .type = g->a_type, .count = rows};
    for (int64_t ky = 0; ky < w->kernel_height; ky++) {
        for (int64_t kx = 0; kx < w->kernel_width; kx++) {
            for (int l = 0; l < rows; l++) source.lane[l] = window_pixel(g, row + l, ky, kx);
            pack(&source, w->channels, rows, g->compute, target, rows);
            target += steps_of(w->channels, g->compute) * rows;
        }
    }
}

/* The same where pairs of k cross from one pixel to the next: bf16 with odd channels (images). */
static void pack_odd_windows(const uspi_gemm *g, int64_t row, int rows, uint32_t *target) {
    const uspi_im2col *w = g->conv;
    for (int l = 0; l < rows; l++) {
        int64_t k = 0;
        for (int64_t window = 0; window < w->kernel_height * w->kernel_width; window++) {
            const void *pixel = window_pixel(
                g, row + l, window / w->kernel_width, window % w->kernel_width);
            for (int64_t channel = 0; channel < w->channels; channel++, k++) {
                uint16_t value = 0;
                if (pixel && g->a_type == USPI_BF16) {
                    value = ((const uint16_t *)pixel)[channel];
                } else if (pixel) {
                    uspi_bf16_from_f32((const float *)pixel + channel, &value, 1);
                }
                uint32_t *word = target + k / 2 * rows + l;
                *word = k % 2 ? *word | (uint32_t)value << 16 : value;
            }
        }
    }
}

static void pack_tile(const uspi_gemm *g, pack_function pack, int64_t row, int rows,
                      uint32_t *target) {
    if (g->conv && g->compute == USPI_BF16 && g->conv->channels % 2) {
        pack_odd_windows(g, row, rows, target);
        return;
    }
    if (g->conv) {
        pack_windows(g, pack, row, rows, target);
        return;
    }
    lanes_source source = {
        .lane_stride = g->a_row, .k_stride = g->a_col, .type = g->a_type, .count = rows};
    for (int l = 0; l < rows; l++) source.lane[l] = element(g->a, (row + l) * g->a_row, g->a_type);
    pack(&source, g->k, rows, g->compute, target, rows);
}

void uspi_panel_product(const tile_function *kernels, const uint32_t *a, const uint32_t *b,
                        int64_t steps, int64_t rows, int64_t tiles, float *sums,
                        const panel_end *end) {
    const int64_t pieces = steps <= STEPS ? 1 : (steps + STEPS - 1) / STEPS;
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t from = steps * piece / pieces, to = steps * (piece + 1) / pieces;
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t begin = tile_begin(rows, tiles, t);
            const int height = (int)(tile_begin(rows, tiles, t + 1) - begin);
            float *tile = sums + begin * PANEL;
            kernels[height - 1](to - from, a + begin * steps + from * height, b + from * PANEL,
                                tile, piece > 0);
            if (end && piece == pieces - 1) {
                end->finish(end->gemm, end->row + begin, height, end->column, end->columns, tile);
            }
        }
    }
}

void uspi_gemm_run(const uspi_gemm *g, int64_t m_begin, int64_t m_end, int64_t n_begin,
                   int64_t n_end, void *workspace) {
    const kernel_variant *variant = uspi_variant();
    const tile_function *kernels =
        g->compute == USPI_BF16 ? variant->tile_bf16 : variant->tile_f32;
    const int64_t steps = steps_of(g->k, g->compute);
    const int64_t most = block_rows(steps), all = m_end - m_begin;
    const int64_t blocks = (all + most - 1) / most;
    float *sums = (float *)(((uintptr_t)workspace + 63) & ~(uintptr_t)63);
    uint32_t *a = (uint32_t *)(sums + MOST_BLOCK * PANEL);
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t row = m_begin + all * block / blocks;
        const int64_t rows = m_begin + all * (block + 1) / blocks - row;
        const int64_t tiles = (rows + variant->most_rows - 1) / variant->most_rows;
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t begin = tile_begin(rows, tiles, t);
            const int height = (int)(tile_begin(rows, tiles, t + 1) - begin);
            pack_tile(g, variant->pack, row + begin, height, a + begin * steps);
        }
        for (int64_t column = n_begin; column < n_end; column += PANEL) {
            const int64_t left = n_end - column;
            const panel_end end = {variant->finish, g, row, column,
                                   left < PANEL ? (int)left : PANEL};
            uspi_panel_product(kernels, a, (const uint32_t *)g->b + column * steps, steps, rows,
                               tiles, sums, &end);
        }
    }
}
