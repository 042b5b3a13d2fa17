/* Products in f32 with seven eighths of the multiplications: blocks of rows as in gemm.c, tiles of
 * two times two by strassen_tile.h.
 *
 * A's factors are made when a block is packed; the sums of B once for a block, a pair of panels and
 * a piece of k, which then stay in the second-level cache. */
#include "gemm_variants.h"
#include "strassen.h"

enum { MOST_ROWS = 512, MOST_BYTES = 17 << 19, MOST_STEPS = 1152 };

/* A block of rows: groups of them that share no sums. */
typedef struct row_block {
    const uspi_gemm *g;
    const kernel_variant *variant;
    int64_t row, group_rows, groups;
    int64_t pairs, tiles; /* of a group */
    int64_t pieces;       /* of k */
    float *even, *odd;    /* a tile of even rows and one of odd rows as they are packed */
    float *left;          /* A's factors: [piece][tile] */
    float *right;         /* B's sums */
    float *sums;          /* of C: [tile][2][2 pairs][PANEL] */
} row_block;

static int64_t pieces_of(int64_t k) { return (k + MOST_STEPS - 1) / MOST_STEPS; }

/* Step at which piece p begins: even. */
static int64_t piece_begin(const row_block *s, int64_t p) {
    return s->g->k / 2 * p / s->pieces * 2;
}

int64_t uspi_strassen_block(int64_t k, int64_t group_rows) {
    const int64_t unit = group_rows ? group_rows : 2;
    int64_t rows = MOST_BYTES / (7 * (k < 1 ? 1 : k));
    if (rows > MOST_ROWS) rows = MOST_ROWS;
    return rows < unit ? unit : rows / unit * unit;
}

static row_block block_of(const uspi_gemm *g, int64_t group_rows, int64_t row, int64_t rows) {
    row_block s = {.g = g, .variant = uspi_variant(), .row = row, .pieces = pieces_of(g->k)};
    s.group_rows = group_rows ? group_rows : rows;
    s.groups = rows / s.group_rows;
    s.pairs = (s.group_rows + 1) / 2;
    s.tiles = (s.pairs + s.variant->most_rows - 1) / s.variant->most_rows;
    return s;
}

/* Lays a block's parts out in the workspace; returns their bytes. */
static size_t place_parts(row_block *s, void *workspace) {
    const int64_t k = s->g->k, pairs = s->pairs * s->groups, tiles = s->tiles * s->groups;
    const int64_t sizes[] = {
        LANES * k + LANES, LANES * k + LANES, 7 * (k / 2 * pairs + LANES * tiles * s->pieces),
        4 * (k / 2 / s->pieces + 1) * PANEL, pairs * 4 * PANEL};
    float **parts[] = {&s->even, &s->odd, &s->left, &s->right, &s->sums};
    const uintptr_t base = ((uintptr_t)workspace + 63) & ~(uintptr_t)63;
    size_t at = 0;
    for (int i = 0; i < 5; i++) {
        *parts[i] = (float *)(base + at);
        at += ((size_t)sizes[i] * sizeof(float) + 63) / 64 * 64;
    }
    return at + 64;
}

size_t uspi_strassen_workspace(const uspi_gemm *g, int64_t group_rows, int64_t rows) {
    const int64_t block = uspi_strassen_block(g->k, group_rows);
    row_block s = block_of(g, group_rows, 0, rows < block ? rows : block);
    return place_parts(&s, NULL);
}

/* The first pair of tile t, counted over all groups. */
static int64_t first_pair(const row_block *s, int64_t t) {
    return t / s->tiles * s->pairs + tile_begin(s->pairs, s->tiles, t % s->tiles);
}

/* Where tile t is: pairs and rows of it, its first row in C. */
static strassen_place place_of(const row_block *s, int64_t t) {
    const int64_t group = t / s->tiles, begin = tile_begin(s->pairs, s->tiles, t % s->tiles);
    const int64_t pairs = tile_begin(s->pairs, s->tiles, t % s->tiles + 1) - begin;
    const int64_t left = s->group_rows - 2 * begin;
    return (strassen_place){.g = s->g, .row = s->row + group * s->group_rows + 2 * begin,
                            .pairs = (int)pairs, .rows = (int)(left < 2 * pairs ? left : 2 * pairs)};
}

/* Where tile t's left factors of piece p are. */
static float *left_factors(const row_block *s, int64_t p, int64_t t) {
    const int64_t before = piece_begin(s, p) / 2, depth = piece_begin(s, p + 1) / 2 - before;
    return s->left + 7 * (before * s->pairs * s->groups + depth * first_pair(s, t) +
                          LANES * (p * s->tiles * s->groups + t));
}

static void pack_block(const row_block *s) {
    for (int64_t t = 0; t < s->tiles * s->groups; t++) {
        const strassen_place c = place_of(s, t);
        uspi_pack_tile(s->g, c.row, c.pairs, 2, c.pairs, (uint32_t *)s->even);
        uspi_pack_tile(s->g, c.row + 1, c.rows - c.pairs, 2, c.pairs, (uint32_t *)s->odd);
        for (int64_t p = 0; p < s->pieces; p++) {
            const int64_t begin = piece_begin(s, p), end = piece_begin(s, p + 1);
            s->variant->strassen_left(s->even + begin * c.pairs, s->odd + begin * c.pairs,
                                      (end - begin) / 2, c.pairs, left_factors(s, p, t));
        }
    }
}

/* One piece of a panel. */
static const float *panel_piece(const row_block *s, int64_t column, int64_t piece) {
    return (const float *)s->g->b + column * s->g->k + piece_begin(s, piece) * PANEL;
}

/* All tiles times one piece of two panels; the last two tiles ask for the piece that comes next. */
static void run_piece(const row_block *s, int64_t piece, int64_t column, int64_t next_piece,
                      int64_t next_column) {
    const int64_t depth = (piece_begin(s, piece + 1) - piece_begin(s, piece)) / 2;
    const int64_t tiles = s->tiles * s->groups;
    strassen_factors f = {.pairs = depth, .sums = s->right};
    for (int i = 0; i < 2; i++) f.panel[i] = panel_piece(s, column + i * PANEL, piece);
    s->variant->strassen_right(f.panel[0], f.panel[1], depth, s->right);
    for (int64_t t = 0; t < tiles; t++) {
        strassen_place c = place_of(s, t);
        c.column = column;
        c.first = piece == 0;
        c.last = piece + 1 == s->pieces;
        c.tile[0] = s->pieces == 1 ? s->sums : s->sums + first_pair(s, t) * 4 * PANEL;
        c.tile[1] = c.tile[0] + c.pairs * 2 * PANEL;
        f.left = left_factors(s, piece, t);
        coming next = {(const char *)f.left, 0};
        if (t + 2 >= tiles) {
            const int64_t panel = t + 1 == tiles;
            next.at = (const char *)panel_piece(s, next_column + panel * PANEL, next_piece);
            next.stride = 2 * PANEL * (int64_t)sizeof(float) / 7 + 1;
        }
        s->variant->strassen_tile(&f, &c, next);
    }
}

void uspi_strassen_run(const uspi_gemm *g, int64_t group_rows, int64_t m_begin, int64_t m_end,
                       int64_t n_begin, int64_t n_end, void *workspace, uspi_held_rows *held) {
    const int64_t unit = group_rows ? group_rows : 2, units = (m_end - m_begin + unit - 1) / unit;
    const int64_t most = uspi_strassen_block(g->k, group_rows) / unit;
    const int64_t blocks = (units + most - 1) / most;
    const int packed = is_held(held, blocks, m_begin, m_end);
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t row = m_begin + units * block / blocks * unit;
        const int64_t end = m_begin + units * (block + 1) / blocks * unit;
        row_block s = block_of(g, group_rows, row, (end < m_end ? end : m_end) - row);
        place_parts(&s, workspace);
        if (!packed) pack_block(&s);
        for (int64_t column = n_begin; column < n_end; column += 2 * PANEL) {
            const int64_t after = column + 2 * PANEL < n_end ? column + 2 * PANEL : n_begin;
            for (int64_t piece = 0; piece < s.pieces; piece++) {
                const int last = piece + 1 == s.pieces;
                run_piece(&s, piece, column, last ? 0 : piece + 1, last ? after : column);
            }
        }
    }
}
