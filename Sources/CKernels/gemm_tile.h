/* The tile kernels: up to MOST rows of sums held in registers, WIDE vectors side by side at most.
 * A tile has PANEL columns, or half of them for the last panel of a narrow product. */
#include "tile_rows.h"

/* How a right factor is read. */
enum { PLAIN, DIFFERENCE, DOUBLE_DIFFERENCE, RIGHT_FORMS };

/* b, or a difference that is made, and kept in `sums`, as it is read: b - minus, or
 * b - (minus - plus). */
typedef struct right_factor {
    const float *b, *minus, *plus; /* rows of PANEL words */
    float *sums;
} right_factor;

/* Vector j of the row that is at hand. */
INLINE vf right_vector(const right_factor *right, const int form, int j) {
    const vf b = load(right->b + j * VECTOR);
    if (form == PLAIN) return b;
    vf minus = load(right->minus + j * VECTOR);
    if (form == DOUBLE_DIFFERENCE) minus -= load(right->plus + j * VECTOR);
    store(right->sums + j * VECTOR, b - minus);
    return b - minus;
}

/* Moves on by so many words: to the next row, or the next columns. */
INLINE void move_right(right_factor *right, const int form, int64_t words) {
    right->b += words;
    if (form == PLAIN) return;
    right->minus += words;
    right->sums += words;
    if (form == DOUBLE_DIFFERENCE) right->plus += words;
}

/* Steps that one chain of additions takes. The chains of a long sum are added at its end: rounding
 * is then that of a sum of this length (of 4,608 products a fifth of one chain's), and the cost is
 * lost in the noise. */
enum { CHAIN = 128 };

/* tile = (from ? from : 0) + A B; rows of both are `pitch` apart. Loops are not unrolled: with all
 * registers full of sums the compiler would push some to memory. */
INLINE void tile_f32(const int rows, const int wide, int64_t steps, const float *a,
                     right_factor right, const int form, const float *from, float *tile,
                     const int pitch, coming next) {
    for (int64_t begin = 0; begin < steps || begin == 0; begin += CHAIN, from = tile) {
        const int64_t count = steps - begin < CHAIN ? steps - begin : CHAIN;
        vf sum[MOST][WIDE];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < wide; j++) sum[i][j] = (vf)0.0f;
        }
#pragma clang loop unroll(disable)
        for (int64_t s = 0; s < count; s++) {
            vf column[WIDE];
            for (int j = 0; j < wide; j++) column[j] = right_vector(&right, form, j);
            __builtin_prefetch(next.at, 0, 2);
            next.at += next.stride;
            for (int i = 0; i < rows; i++) {
                const vf x = a[i];
                for (int j = 0; j < wide; j++) sum[i][j] = x * column[j] + sum[i][j];
            }
            a += rows;
            move_right(&right, form, PANEL);
        }
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < wide; j++) {
                const int64_t at = i * pitch + j * VECTOR;
                store(tile + at, from ? load(from + at) + sum[i][j] : sum[i][j]);
            }
        }
    }
}

/* As tile_f32 on pairs of bf16; the products are exact in f32. A's steps are `a_step` words. */
INLINE void tile_bf16(const int rows, const int wide, int64_t steps, const uint32_t *a,
                      const int a_step, const uint32_t *b, float *tile, coming next) {
    vf sum[MOST][WIDE];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < wide; j++) sum[i][j] = (vf)0.0f;
    }
#pragma clang loop unroll(disable)
    for (int64_t s = 0; s < steps; s++) {
        __builtin_prefetch(next.at + s * next.stride, 0, 2);
#if defined(HAS_BF16_PRODUCTS)
        vu column[WIDE];
        for (int j = 0; j < wide; j++) column[j] = load_words(b + j * VECTOR);
        for (int i = 0; i < rows; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i]);
            for (int j = 0; j < wide; j++) {
                sum[i][j] = (vf)_mm512_dpbf16_ps((__m512)sum[i][j], x, (__m512bh)column[j]);
            }
        }
#else
        vf even[WIDE], odd[WIDE];
        for (int j = 0; j < wide; j++) {
            const vu pair = load_words(b + j * VECTOR);
            even[j] = bits_f(pair << 16);
            odd[j] = bits_f(pair & 0xffff0000u);
        }
        for (int i = 0; i < rows; i++) {
            const vu pair = a[i];
            const vf first = bits_f(pair << 16), second = bits_f(pair & 0xffff0000u);
            for (int j = 0; j < wide; j++) {
                sum[i][j] = first * even[j] + sum[i][j];
                sum[i][j] = second * odd[j] + sum[i][j];
            }
        }
#endif
        a += a_step;
        b += PANEL;
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < wide; j++) store(tile + i * PANEL + j * VECTOR, sum[i][j]);
    }
}

INLINE void columns_f32(const int rows, const int columns, int64_t steps, const float *a,
                        const float *b, float *tile, coming next) {
    const int wide = columns < WIDE * VECTOR ? columns / VECTOR : WIDE;
    for (int j = 0; j < columns; j += wide * VECTOR) {
        const right_factor right = {.b = b + j};
        tile_f32(rows, wide, steps, a, right, PLAIN, NULL, tile + j, PANEL, next);
    }
}

INLINE void interleaved_f32(const int rows, const int form, int64_t steps, const float *a,
                            right_factor right, const float *from, float *tile, coming next) {
    for (int j = 0; j < PANEL; j += WIDE * VECTOR) {
        tile_f32(rows, WIDE, steps, a, right, form, from ? from + j : NULL, tile + j, 2 * PANEL,
                 next);
        move_right(&right, form, WIDE * VECTOR);
    }
}

INLINE void columns_bf16(const int rows, const int columns, int64_t steps, const uint32_t *a,
                         const uint32_t *b, float *tile, coming next) {
    const int wide = columns < WIDE * VECTOR ? columns / VECTOR : WIDE;
    for (int j = 0; j < columns; j += wide * VECTOR) {
        const int some = rows < MOST_BF16 ? rows : MOST_BF16, others = rows - some;
        tile_bf16(some, wide, steps, a, rows, b + j, tile + j, next);
        if (!others) continue;
        tile_bf16(others, wide, steps, a + some, rows, b + j, tile + some * PANEL + j, next);
    }
}

#define INTERLEAVED(name, rows, form)                                                              \
    static void name##_##rows(int64_t steps, const float *a, const right_factor *right,            \
                              const float *from, float *tile, const coming *next) {                \
        interleaved_f32(rows, form, steps, a, *right, from, tile, *next);                          \
    }
#define TILE(rows)                                                                                 \
    TILE_OF(tile_f32, rows, columns_f32, PANEL)                                                    \
    TILE_OF(narrow_f32, rows, columns_f32, PANEL / 2)                                              \
    TILE_OF(tile_bf16, rows, columns_bf16, PANEL)                                                  \
    TILE_OF(narrow_bf16, rows, columns_bf16, PANEL / 2)                                            \
    INTERLEAVED(interleaved, rows, PLAIN)                                                          \
    INTERLEAVED(difference, rows, DIFFERENCE)                                                      \
    INTERLEAVED(double_difference, rows, DOUBLE_DIFFERENCE)

EACH_ROWS(TILE)
#undef TILE

static const tile_function tiles_f32[2 * MOST] = {TILES(tile_f32), TILES(narrow_f32)};
static const tile_function tiles_bf16[2 * MOST] = {TILES(tile_bf16), TILES(narrow_bf16)};

typedef void (*interleaved_function)(int64_t steps, const float *a, const right_factor *right,
                                     const float *from, float *tile, const coming *next);
static const interleaved_function interleaved[RIGHT_FORMS][MOST] = {
    {TILES(interleaved)}, {TILES(difference)}, {TILES(double_difference)}};
