/* Products in f32 with seven eighths of the multiplications: blocks of rows as in gemm.c, tiles of
 * two times two by strassen_tile.h.
 *
 * A's factors are made when a block is packed; the sums of B, which then stay in the second-level
 * cache, with a block's first tile, for a pair of panels and a piece of k. */
#include "gemm_variants.h"
#include "strassen.h"

enum { MOST_ROWS = 512, MOST_BYTES = 4 << 20, MOST_STEPS = 1152, STEPS_AT_ONCE = 128,
       QUARTER = LANES * (STEPS_AT_ONCE + 1) };

/* A block of rows: groups of them that share no sums. */
typedef struct row_block {
    const uspi_gemm *g;
    const kernel_variant *variant;
    int64_t row, group_rows, groups;
    int64_t pairs, tiles; /* of a group */
    int64_t pieces;       /* of k */
    int64_t at_once;      /* pieces that are packed at once: all of them, or one */
    float *quarter[2][2]; /* of a tile, being packed: even and odd rows, by halves of k */
    float *left;          /* A's factors: [piece of those packed at once][tile] */
    float *right;         /* B's sums */
    float *sums;          /* of C: [tile][2][2 pairs][PANEL], for each two panels if they wait */
} row_block;

static int64_t pieces_of(int64_t k) { return (k + MOST_STEPS - 1) / MOST_STEPS; }

/* Step at which piece p begins: even. */
static int64_t piece_begin(const row_block *s, int64_t p) {
    return s->g->k / 2 * p / s->pieces * 2;
}

int64_t uspi_strassen_block(int64_t group_rows) {
    const int64_t unit = group_rows ? group_rows : 2;
    return unit > MOST_ROWS ? unit : MOST_ROWS / unit * unit;
}

static row_block block_of(const uspi_gemm *g, int64_t group_rows, int64_t row, int64_t rows) {
    row_block s = {.g = g, .variant = uspi_variant(), .row = row, .pieces = pieces_of(g->k)};
    s.group_rows = group_rows ? group_rows : rows;
    s.groups = rows / s.group_rows;
    s.pairs = (s.group_rows + 1) / 2;
    s.tiles = (s.pairs + s.variant->most_rows - 1) / s.variant->most_rows;
    s.at_once = 14 * s.pairs * s.groups * g->k > MOST_BYTES ? 1 : s.pieces;
    return s;
}

/* Pairs of steps of a piece, at most. */
static int64_t most_depth(const row_block *s) { return s->g->k / 2 / s->pieces + 1; }

/* Bytes of A's factors. */
static size_t left_bytes(const row_block *s) {
    const int64_t pairs = s->pairs * s->groups, tiles = s->tiles * s->groups;
    return (size_t)(7 * s->at_once * (most_depth(s) * pairs + LANES * tiles)) * sizeof(float) + 64;
}

/* Lays a block's other parts out in the workspace, and A's factors behind them; returns where they
 * begin, which is all that it does without a workspace. */
static size_t place_parts(row_block *s, int64_t columns, void *workspace) {
    const int64_t pairs = s->pairs * s->groups;
    const int64_t waiting = s->at_once < s->pieces ? columns / (2 * PANEL) : 1;
    const int64_t sizes[] = {
        QUARTER, QUARTER, QUARTER, QUARTER, 4 * most_depth(s) * PANEL, waiting * pairs * 4 * PANEL};
    float **parts[] = {&s->quarter[0][0], &s->quarter[0][1], &s->quarter[1][0], &s->quarter[1][1],
                       &s->right, &s->sums};
    char *const base = line_begin(workspace);
    size_t at = 0;
    for (int i = 0; i < 6; i++) {
        if (base) *parts[i] = (float *)(base + at);
        at += ((size_t)sizes[i] * sizeof(float) + 63) / 64 * 64;
    }
    if (base) s->left = (float *)(base + at);
    return at + 64;
}

size_t uspi_strassen_held_size(int64_t k, int64_t group_rows, int64_t rows) {
    const uspi_gemm g = {.k = k};
    const row_block s = block_of(&g, group_rows, 0, rows);
    return rows <= uspi_strassen_block(group_rows) && s.at_once == s.pieces ? left_bytes(&s) : 0;
}

size_t uspi_strassen_workspace(const uspi_gemm *g, int64_t group_rows, int64_t rows,
                               int64_t columns, int holds_rows) {
    const int64_t block = uspi_strassen_block(group_rows);
    row_block s = block_of(g, group_rows, 0, rows < block ? rows : block);
    const size_t others = place_parts(&s, columns, NULL), left = left_bytes(&s);
    if (holds_rows) return others;
    if (s.at_once == s.pieces) return others + left;
    /* fewer rows may be packed at once: MOST_BYTES of factors, and the slack of their tiles */
    const int64_t slack = 7 * s.pieces * (s.pairs + LANES * s.tiles) * s.groups;
    const size_t fewer = MOST_BYTES + (size_t)slack * sizeof(float) + 64;
    return others + (left > fewer ? left : fewer);
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
                            .pairs = (int)pairs,
                            .rows = (int)(left < 2 * pairs ? left : 2 * pairs)};
}

/* Where tile t's left factors of piece p are. */
static float *left_factors(const row_block *s, int64_t p, int64_t t) {
    const int64_t begin = piece_begin(s, p), first = piece_begin(s, p / s->at_once * s->at_once);
    const int64_t before = (begin - first) / 2, depth = (piece_begin(s, p + 1) - begin) / 2;
    return s->left + 7 * (before * s->pairs * s->groups + depth * first_pair(s, t) +
                          LANES * (p % s->at_once * s->tiles * s->groups + t));
}

/* Seven left factors of tile t's piece p, by so few steps that they meet in the first cache. `a`
 * has the tile's rows from `row` on. */
static void pack_piece(const row_block *s, const uspi_gemm *a, int64_t row, int64_t p, int64_t t) {
    const strassen_place c = place_of(s, t);
    const int64_t begin = piece_begin(s, p), pairs = (piece_begin(s, p + 1) - begin) / 2;
    const int64_t size = strassen_factor(pairs, c.pairs);
    float *factors = left_factors(s, p, t);
    uspi_gemm part = *a;
    for (int64_t k = 0; k < pairs; k += part.k) {
        part.k = pairs - k < STEPS_AT_ONCE ? pairs - k : STEPS_AT_ONCE;
        for (int half = 0; half < 2; half++) {
            const int64_t first = (begin + half * pairs + k) * a->a_col;
            part.a = element(a->a, first, a->a_type);
            uspi_pack_tile(&part, row, c.pairs, 2, c.pairs, (uint32_t *)s->quarter[0][half]);
            uspi_pack_tile(&part, row + 1, c.rows - c.pairs, 2, c.pairs,
                           (uint32_t *)s->quarter[1][half]);
        }
        s->variant->strassen_left(s->quarter, part.k * c.pairs, size, factors + k * c.pairs);
    }
}

/* Pieces first..<end of all rows. */
static void pack_pieces(const row_block *s, int64_t first, int64_t end, void *memory) {
    for (int64_t t = 0; t < s->tiles * s->groups; t++) {
        const strassen_place c = place_of(s, t);
        uspi_gemm normed;
        if (s->g->normed) normed = uspi_normed_part(s->g, c.row, c.rows, memory);
        for (int64_t p = first; p < end; p++) {
            if (s->g->normed) pack_piece(s, &normed, 0, p, t);
            else pack_piece(s, s->g, c.row, p, t);
        }
    }
}

/* One piece of a panel. */
static const float *panel_piece(const row_block *s, int64_t column, int64_t piece) {
    return (const float *)s->g->b + column * s->g->k + piece_begin(s, piece) * PANEL;
}

/* A piece of two panels. */
typedef struct right_place {
    int64_t piece, column;
} right_place;

/* What is computed beside the product, and the turns that are left for it. */
typedef struct other_product {
    uspi_beside *beside;
    int64_t turns;
} other_product;

/* What tile t asks for on its way: the last two for what comes next, the others for what is
 * beside. */
static coming expected(const row_block *s, int64_t depth, int64_t t, right_place next,
                       other_product other) {
    const int64_t tiles = s->tiles * s->groups, panel = t + 2 - tiles;
    if (panel >= 0) {
        const float *b = panel_piece(s, next.column + panel * PANEL, next.piece);
        return share_of((const uint32_t *)b, 2 * depth, 1, 7 * depth, 0);
    }
    if (other.beside) return uspi_beside_share(other.beside, other.turns, tiles - 2, 7 * depth, t);
    return (coming){(const char *)s->left, 0};
}

/* All tiles times one piece of two panels, and a turn of what is beside. Their sums are or wait at
 * `sums`. */
static void run_piece(const row_block *s, right_place at, right_place next, float *sums,
                      other_product other) {
    const int64_t depth = (piece_begin(s, at.piece + 1) - piece_begin(s, at.piece)) / 2;
    strassen_factors f = {.pairs = depth, .sums = s->right};
    for (int i = 0; i < 2; i++) f.panel[i] = panel_piece(s, at.column + i * PANEL, at.piece);
    for (int64_t t = 0; t < s->tiles * s->groups; t++) {
        strassen_place c = place_of(s, t);
        c.column = at.column;
        c.first = at.piece == 0;
        c.last = at.piece + 1 == s->pieces;
        c.tile[0] = s->pieces == 1 ? sums : sums + first_pair(s, t) * 4 * PANEL;
        c.tile[1] = c.tile[0] + c.pairs * 2 * PANEL;
        f.left = left_factors(s, at.piece, t);
        f.makes_sums = t == 0;
        s->variant->strassen_tile(&f, &c, expected(s, depth, t, next, other));
    }
    if (other.beside) uspi_beside_run(other.beside, other.turns);
}

/* Pieces first..<end, which are packed, times columns n_begin..<n_end. */
static void run_columns(const row_block *s, int64_t first, int64_t end, int64_t n_begin,
                        int64_t n_end, other_product *other) {
    const int64_t waiting = s->at_once < s->pieces ? s->pairs * s->groups * 2 : 0;
    const int ends = end == s->pieces && n_end < s->g->n; /* then the columns beyond are likely */
    const right_place then = {end % s->pieces, ends ? n_end : n_begin};
    for (int64_t column = n_begin; column < n_end; column += 2 * PANEL) {
        float *sums = s->sums + (column - n_begin) * waiting;
        for (int64_t piece = first; piece < end; piece++, other->turns--) {
            right_place next = {piece + 1, column};
            if (next.piece == end) next = (right_place){first, column + 2 * PANEL};
            if (next.column >= n_end) next = then;
            run_piece(s, (right_place){piece, column}, next, sums, *other);
        }
    }
}

void uspi_strassen_run(const uspi_gemm *g, int64_t group_rows, int64_t m_begin, int64_t m_end,
                       int64_t n_begin, int64_t n_end, void *workspace, uspi_held_rows *held,
                       const uspi_beside *beside) {
    const int64_t unit = group_rows ? group_rows : 2, units = (m_end - m_begin + unit - 1) / unit;
    const int64_t most = uspi_strassen_block(group_rows) / unit;
    const int64_t blocks = (units + most - 1) / most, pairs = (n_end - n_begin) / (2 * PANEL);
    uspi_beside left = beside ? *beside : (uspi_beside){0};
    other_product other = {beside ? &left : NULL, blocks * pairs * pieces_of(g->k)};
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t row = m_begin + units * block / blocks * unit;
        const int64_t end = m_begin + units * (block + 1) / blocks * unit;
        row_block s = block_of(g, group_rows, row, (end < m_end ? end : m_end) - row);
        place_parts(&s, n_end - n_begin, (char *)workspace + uspi_normed_workspace(g));
        if (held) s.left = line_begin(held->packed);
        for (int64_t first = 0; first < s.pieces; first += s.at_once) {
            const int64_t past = first + s.at_once;
            if (uspi_begin_packing(held)) {
                pack_pieces(&s, first, past, workspace);
                uspi_end_packing(held);
            }
            run_columns(&s, first, past, n_begin, n_end, &other);
        }
    }
}
