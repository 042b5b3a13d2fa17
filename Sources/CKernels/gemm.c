/* The product: blocks of rows packed once, panels of B streamed past them.
 *
 * For each block of rows, A is packed as [tile][step][rows of the tile]: about a second-level
 * cache of it. A panel of B meets every tile of the block; each tile's sums stay in registers for
 * the whole depth, and both factors stream fast enough from the second or third cache. */
#include "convert.h"
#include "gemm_variants.h"
#include <sched.h>

enum { MOST_BLOCK = 252, LEAST_BLOCK = 56, TALLEST = 14,
       STEPS_ACROSS = 16 /* of rows that lie across, packed at once */ };

/* Half of a second-level cache of 1 MiB, within the bounds above. */
int64_t uspi_gemm_block(int64_t k, int32_t compute) {
    const int64_t steps = steps_of(k, compute);
    const int64_t fitting = (512 << 10) / (int64_t)sizeof(uint32_t) / (steps < 1 ? 1 : steps);
    return fitting < LEAST_BLOCK ? LEAST_BLOCK : fitting > MOST_BLOCK ? MOST_BLOCK : fitting;
}

size_t uspi_gemm_workspace(int64_t k, int32_t compute) {
    const int64_t words = uspi_gemm_block(k, compute) * steps_of(k, compute) + LANES;
    return (size_t)words * sizeof(uint32_t) + 64;
}

void uspi_pack_tile(const uspi_gemm *g, int64_t row, int rows, int64_t apart, int width,
                    uint32_t *target) {
    const int64_t stride = g->a_row * apart;
    lanes_source source = {
        .lane_stride = stride, .k_stride = g->a_col, .type = g->a_type, .count = rows};
    const char *first = element(g->a, row * g->a_row, g->a_type);
    for (int l = 0; l < rows; l++) source.lane[l] = element(first, l * stride, g->a_type);
    uspi_variant()->pack(&source, g->k, width, g->compute, target, width);
}

void uspi_panel_product(const tiled_factor *a, const uint32_t *b, float *sums, const coming *next,
                        int64_t asking) {
    const coming none = {(const char *)b, 0};
    for (int64_t t = 0; t < a->tiles; t++) {
        const int64_t row = tile_begin(a->rows, a->tiles, t);
        const int64_t height = tile_begin(a->rows, a->tiles, t + 1) - row;
        a->kernels[height - 1](a->steps, a->words + row * a->steps, b, sums + row * PANEL,
                               t < asking ? next[t] : none);
    }
}

enum { PACKING = 1, PACKED };

int uspi_begin_packing(uspi_held_rows *held) {
    int32_t state = 0;
    if (!held || __atomic_compare_exchange_n(&held->state, &state, PACKING, 0, __ATOMIC_ACQUIRE,
                                             __ATOMIC_ACQUIRE)) {
        return 1;
    }
    while (__atomic_load_n(&held->state, __ATOMIC_ACQUIRE) != PACKED) sched_yield();
    return 0;
}

void uspi_end_packing(uspi_held_rows *held) {
    if (held) __atomic_store_n(&held->state, PACKED, __ATOMIC_RELEASE);
}

/* Asking for lines to write to is one instruction on every x86-64: those without it skip it. */
#if defined(__x86_64__)
__attribute__((target("prfchw")))
#endif
void uspi_expect_end(const uspi_gemm *g, int64_t row, int rows, int64_t apart, int64_t column) {
    const int halves = g->halves ? 2 : 1;
    const int64_t bytes = PANEL / halves * (g->c_type == USPI_BF16 ? 2 : 4);
    const char *c = element(g->c, row * g->c_row + column / halves, g->c_type);
    const char *residual = g->residual
        ? (const char *)(g->residual + row * g->residual_row + column) : NULL;
    for (int i = 0; i < rows; i++) {
        for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(c + at, 1);
        c = element(c, apart * g->c_row, g->c_type);
        if (!residual) continue;
        __builtin_prefetch(residual);
        __builtin_prefetch(residual + 64);
        residual += apart * g->residual_row * (int64_t)sizeof(float);
    }
}

/* Rows of two tiles. */
size_t uspi_normed_workspace(const uspi_gemm *g) {
    return g->normed ? (size_t)(2 * TALLEST * g->k) * sizeof(float) + 64 : 0;
}

uspi_gemm uspi_normed_part(const uspi_gemm *g, int64_t row, int64_t rows, void *memory) {
    uspi_gemm part = *g;
    part.a = line_begin(memory);
    uspi_norm_rows(g->normed, row, rows, line_begin(memory), NULL);
    return part;
}

static void pack_normed(const uspi_gemm *g, const tiled_factor *a, int64_t row, void *memory,
                        uint32_t *words) {
    for (int64_t t = 0; t < a->tiles; t++) {
        const int64_t begin = tile_begin(a->rows, a->tiles, t);
        const int height = (int)(tile_begin(a->rows, a->tiles, t + 1) - begin);
        const uspi_gemm part = uspi_normed_part(g, row + begin, height, memory);
        uspi_pack_tile(&part, 0, height, 1, height, words + begin * a->steps);
    }
}

/* Rows that lie across are packed by few steps for all tiles, which share cache lines; in 8 bits
 * whole, for their scales. */
static void pack_block(const uspi_gemm *g, const tiled_factor *a, int64_t row, uint32_t *words) {
    uspi_gemm part = *g;
    const int64_t most = g->a_col == 1 || g->compute == USPI_INT8 ? g->k : STEPS_ACROSS;
    for (int64_t k = 0; k < g->k; k += part.k) {
        part.k = g->k - k < most ? g->k - k : most;
        part.a = element(g->a, k * g->a_col, g->a_type);
        for (int64_t t = 0; t < a->tiles; t++) {
            const int64_t begin = tile_begin(a->rows, a->tiles, t);
            const int height = (int)(tile_begin(a->rows, a->tiles, t + 1) - begin);
            uint32_t *tile = words + begin * a->steps + words_of(k, g->compute) * height;
            uspi_pack_tile(&part, row + begin, height, 1, height, tile);
        }
    }
}

int64_t uspi_most_beside(void) { return uspi_variant()->most_rows; }

size_t uspi_packed_rows_size(const uspi_gemm *g) {
    return (size_t)(g->m * steps_of(g->k, g->compute) + LANES) * sizeof(uint32_t);
}

void uspi_pack_rows(const uspi_gemm *g, void *packed) {
    uspi_pack_tile(g, 0, (int)g->m, 1, (int)g->m, packed);
}

/* Panels to be computed in the next of `turns` turns. */
static int64_t panels_beside(const uspi_beside *beside, int64_t turns) {
    const int64_t left = (beside->end - beside->column + PANEL - 1) / PANEL;
    return (left + turns - 1) / turns;
}

coming uspi_beside_share(const uspi_beside *beside, int64_t turns, int64_t tiles, int64_t steps,
                         int64_t tile) {
    const int64_t depth = steps_of(beside->g->k, beside->g->compute);
    const uint32_t *b = (const uint32_t *)beside->g->b + beside->column * depth;
    return share_of(b, panels_beside(beside, turns) * depth, tiles, steps, tile);
}

void uspi_beside_run(uspi_beside *beside, int64_t turns) {
    const uspi_gemm *g = beside->g;
    const kernel_variant *variant = uspi_variant();
    const tile_function *kernels = uspi_tiles(g->compute);
    const int64_t steps = steps_of(g->k, g->compute);
    _Alignas(64) float tile[TALLEST * PANEL];
    for (int64_t panels = panels_beside(beside, turns); panels > 0; panels--) {
        const int64_t left = beside->end - beside->column;
        const int columns = left < PANEL ? (int)left : PANEL;
        const int narrow = columns <= PANEL / 2 ? variant->most_rows : 0;
        const uint32_t *panel = (const uint32_t *)g->b + beside->column * steps;
        const coming none = {(const char *)panel, 0};
        kernels[narrow + g->m - 1](steps, beside->rows, panel, tile, none);
        variant->finish(g, 0, (int)g->m, beside->column, columns, tile);
        beside->column += PANEL;
    }
}

/* Columns of B, and the one that is likely to be needed after them. */
typedef struct column_range {
    int64_t begin, end, then;
} column_range;

/* A packed block of rows from `row` times some columns; and what is computed beside, in as many
 * turns as this block and those that follow have panels. */
static void run_block(const uspi_gemm *g, const tiled_factor *a, int64_t row, column_range range,
                      uspi_beside *beside, int64_t turns) {
    const kernel_variant *variant = uspi_variant();
    const int64_t others = beside ? a->tiles / 2 : 0, own = a->tiles - others;
    _Alignas(64) float tile[TALLEST * PANEL];
    for (int64_t column = range.begin; column < range.end; column += PANEL, turns--) {
        const int columns = range.end - column < PANEL ? (int)(range.end - column) : PANEL;
        const tile_function *kernels =
            columns <= PANEL / 2 ? a->kernels + variant->most_rows : a->kernels;
        const uint32_t *b = (const uint32_t *)g->b, *panel = b + column * a->steps;
        const int64_t after = column + PANEL < range.end ? column + PANEL : range.then;
        for (int64_t t = 0; t < a->tiles; t++) {
            const int64_t begin = tile_begin(a->rows, a->tiles, t);
            const int height = (int)(tile_begin(a->rows, a->tiles, t + 1) - begin);
            if (g->residual) uspi_expect_end(g, row + begin, height, 1, column);
            const coming next =
                t < own ? share_of(b + after * a->steps, a->steps, own, a->steps, t)
                        : uspi_beside_share(beside, turns, others, a->steps, t - own);
            kernels[height - 1](a->steps, a->words + begin * a->steps, panel, tile, next);
            variant->finish(g, row + begin, height, column, columns, tile);
        }
        if (beside) uspi_beside_run(beside, turns);
    }
}

void uspi_gemm_run(const uspi_gemm *g, int64_t m_begin, int64_t m_end, int64_t n_begin,
                   int64_t n_end, void *workspace, uspi_held_rows *held,
                   const uspi_beside *beside) {
    const kernel_variant *variant = uspi_variant();
    const int64_t steps = steps_of(g->k, g->compute);
    const int64_t most = uspi_gemm_block(g->k, g->compute), all = m_end - m_begin;
    const int64_t blocks = (all + most - 1) / most;
    void *const normed = workspace;
    uint32_t *words =
        line_begin(held ? held->packed : (char *)workspace + uspi_normed_workspace(g));
    tiled_factor a = {.words = words, .steps = steps};
    const int64_t panels = (n_end - n_begin + PANEL - 1) / PANEL;
    uspi_beside left = beside ? *beside : (uspi_beside){0};
    a.kernels = uspi_tiles(g->compute);
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t row = m_begin + all * block / blocks;
        a.rows = m_begin + all * (block + 1) / blocks - row;
        a.tiles = (a.rows + variant->most_rows - 1) / variant->most_rows;
        if (uspi_begin_packing(held)) {
            if (g->normed) pack_normed(g, &a, row, normed, words);
            else pack_block(g, &a, row, words);
            uspi_end_packing(held);
        }
        const column_range range = {
            n_begin, n_end, block + 1 < blocks || n_end == g->n ? n_begin : n_end};
        run_block(g, &a, row, range, beside ? &left : NULL, (blocks - block) * panels);
    }
}
