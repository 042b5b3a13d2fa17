/* The tile kernels of 8-bit products: a word is four integers along k, A's signed, B's with 128
 * added (what VNNI multiplies: unsigned by signed). Sums are exact in 32 bits, so every instruction
 * set gives the same: a tile is (float)sum * (scale of the row * scale of the column).
 *
 * Two words follow a row's or a column's last step: its scale, and 128 times the sum of a row's
 * integers, which is what B's 128 add to each of its sums. */
#include "tile_rows.h"

enum { INT8_BIAS = 128 };

/* Vectors of columns side by side: what decodes B takes registers, too. */
#if VECTOR == 8 && !defined(HAS_VNNI)
enum { INT8_WIDE = 1 };
#else
enum { INT8_WIDE = WIDE };
#endif

/* Four of B's integers in each lane, as a step reads them. */
typedef struct int8_column {
#if defined(HAS_VNNI)
    vi biased;
#elif VECTOR == 8
    vi whole, magnitude;
#else
    vi even, odd; /* of 16 bits each */
#endif
} int8_column;

INLINE int8_column int8_column_of(vu words) {
    int8_column column;
#if defined(HAS_VNNI)
    column.biased = (vi)words;
#elif VECTOR == 8
    column.whole = (vi)(words ^ 0x80808080u);
    column.magnitude = (vi)_mm256_abs_epi8((__m256i)column.whole);
#elif VECTOR == 16
    const __m512i whole = (__m512i)(words ^ 0x80808080u);
    column.even = (vi)_mm512_srai_epi16(_mm512_slli_epi16(whole, 8), 8);
    column.odd = (vi)_mm512_srai_epi16(whole, 8);
#else
    column.even = column.odd = (vi)(words ^ 0x80808080u);
#endif
    return column;
}

/* sum + the products of four integers of a row (`word`) and of each column. */
INLINE vi int8_product(vi sum, uint32_t word, const int8_column *column) {
#if defined(HAS_VNNI) && VECTOR == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)column->biased,
                                   _mm512_set1_epi32((int)word));
#elif defined(HAS_VNNI)
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)column->biased,
                                       _mm256_set1_epi32((int)word));
#elif VECTOR == 8
    /* The sign goes over to A's integers, so that B's are unsigned and at most 128: two products
     * are at most 2 * 128 * 127 and fit into the 16 bits that they are added in. */
    const __m256i signed_row =
        _mm256_sign_epi8(_mm256_set1_epi32((int)word), (__m256i)column->whole);
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)column->magnitude, signed_row);
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif VECTOR == 16
    const __m512i row = _mm512_set1_epi32((int)word);
    const __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(row, 8), 8);
    const __m512i odd = _mm512_srai_epi16(row, 8);
    return sum + (vi)_mm512_madd_epi16(even, (__m512i)column->even) +
           (vi)_mm512_madd_epi16(odd, (__m512i)column->odd);
#else
    const vi whole = column->even;
    for (int byte = 0; byte < 4; byte++) {
        const vi b = (vi)((vu)whole << (24 - 8 * byte)) >> 24;
        sum += b * (int32_t)(int8_t)(word >> (8 * byte));
    }
    return sum;
#endif
}

INLINE void tile_int8(const int rows, const int wide, int64_t steps, const uint32_t *a,
                      const uint32_t *b, float *tile, coming next) {
    vi sum[MOST][WIDE];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < wide; j++) sum[i][j] = (vi)0;
    }
#pragma clang loop unroll(disable)
    for (int64_t s = 0; s < steps; s++) {
        int8_column column[WIDE];
        for (int j = 0; j < wide; j++) {
            column[j] = int8_column_of(load_words(b + j * VECTOR));
        }
        __builtin_prefetch(next.at + s * next.stride, 0, 2);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < wide; j++) {
                sum[i][j] = int8_product(sum[i][j], a[i], &column[j]);
            }
        }
        a += rows;
        b += PANEL;
    }
    for (int i = 0; i < rows; i++) {
        float row_scale;
        memcpy(&row_scale, a + i, sizeof row_scale);
        for (int j = 0; j < wide; j++) {
            vi exact = sum[i][j];
#if defined(HAS_VNNI)
            exact -= (int32_t)a[rows + i];
#endif
            const vf scale = row_scale * bits_f(load_words(b + j * VECTOR));
            store(tile + i * PANEL + j * VECTOR, __builtin_convertvector(exact, vf) * scale);
        }
    }
}

INLINE void columns_int8(const int rows, const int columns, int64_t steps, const uint32_t *a,
                         const uint32_t *b, float *tile, coming next) {
    const int wide = columns < INT8_WIDE * VECTOR ? columns / VECTOR : INT8_WIDE;
    for (int j = 0; j < columns; j += wide * VECTOR) {
        tile_int8(rows, wide, steps - INT8_ENDS, a, b + j, tile + j, next);
    }
}

#define TILE(rows)                                                                                 \
    TILE_OF(tile_int8, rows, columns_int8, PANEL)                                                  \
    TILE_OF(narrow_int8, rows, columns_int8, PANEL / 2)
EACH_ROWS(TILE)
#undef TILE

#define TILES_INT8 {TILES(tile_int8), TILES(narrow_int8)}
