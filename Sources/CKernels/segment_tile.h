/* Tile kernels whose left factor is not packed: SEGMENT consecutive words of each row, rows SEGMENT
 * words apart, one segment after another at given offsets. Transformed and blocked images have
 * this layout, so that nothing is copied before it is multiplied. */

/* Two chains of additions at a time for half the rows, each of CHAINED segments, are then added:
 * sums of short chains round less (see CHAIN), which matters more here, since the transforms make
 * rounding five times as large. */
enum { CHAINED = 2, SEGMENT_ROWS = MOST / 2 };

/* One chain of SEGMENT / 2 steps of each parity. */
INLINE void chain_segment(const int rows, const float *x, const float *b,
                          vf sum[2][SEGMENT_ROWS][WIDE]) {
#pragma clang loop unroll(disable)
    for (int k = 0; k < SEGMENT; k += 2) {
#pragma clang loop unroll(full)
        for (int chain = 0; chain < 2; chain++, b += PANEL) {
            vf column[WIDE];
            for (int j = 0; j < WIDE; j++) column[j] = load(b + j * VECTOR);
            for (int i = 0; i < rows; i++) {
                const vf value = x[i * SEGMENT + k + chain];
                for (int j = 0; j < WIDE; j++) {
                    sum[chain][i][j] = value * column[j] + sum[chain][i][j];
                }
            }
        }
    }
}

INLINE void segments_f32(const int rows, int64_t segments, const ptrdiff_t *offset, const float *a,
                         const float *b, float *tile, int add) {
    for (int64_t s = 0; s < segments; add = 1) {
        const int64_t end = segments - s < CHAINED ? segments : s + CHAINED;
        vf sum[2][SEGMENT_ROWS][WIDE];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < WIDE; j++) sum[0][i][j] = sum[1][i][j] = (vf)0.0f;
        }
        for (; s < end; s++, b += SEGMENT * PANEL) chain_segment(rows, a + offset[s], b, sum);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < WIDE; j++) {
                float *at = tile + i * PANEL + j * VECTOR;
                const vf both = sum[0][i][j] + sum[1][i][j];
                store(at, add ? load(at) + both : both);
            }
        }
    }
}

#define SEGMENTS(rows)                                                                            \
    static void segments_f32_##rows(int64_t segments, const ptrdiff_t *offset, const float *a,    \
                                    const float *b, float *tile, int add) {                       \
        for (int j = 0; j < PANEL; j += WIDE * VECTOR) {                                          \
            segments_f32(rows, segments, offset, a, b + j, tile + j, add);                        \
        }                                                                                         \
    }

SEGMENTS(1)
SEGMENTS(2)
#if MOST > 4
SEGMENTS(3)
#endif
#if MOST > 6
SEGMENTS(4)
SEGMENTS(5)
SEGMENTS(6)
#endif
#if MOST > 12
SEGMENTS(7)
#endif
static const segment_function all_segments_f32[SEGMENT_ROWS] = {
    segments_f32_1, segments_f32_2,
#if MOST > 4
    segments_f32_3,
#endif
#if MOST > 6
    segments_f32_4, segments_f32_5, segments_f32_6,
#endif
#if MOST > 12
    segments_f32_7,
#endif
};

/* tile[SEGMENT][PANEL] += sum over t of a[t][SEGMENT] times b[t][PANEL]. */
static void outer_f32(int64_t steps, const float *a, const float *b, float *tile) {
    enum { ROWS = MOST > 6 ? 8 : 4 };
    for (int i0 = 0; i0 < SEGMENT; i0 += ROWS) {
        for (int j0 = 0; j0 < PANEL; j0 += WIDE * VECTOR) {
            vf sum[ROWS][WIDE];
            for (int i = 0; i < ROWS; i++) {
                for (int j = 0; j < WIDE; j++) {
                    sum[i][j] = load(tile + (i0 + i) * PANEL + j0 + j * VECTOR);
                }
            }
#pragma clang loop unroll_count(2)
            for (int64_t t = 0; t < steps; t++) {
                vf row[WIDE];
                for (int j = 0; j < WIDE; j++) row[j] = load(b + t * PANEL + j0 + j * VECTOR);
                for (int i = 0; i < ROWS; i++) {
                    const vf value = a[t * SEGMENT + i0 + i];
                    for (int j = 0; j < WIDE; j++) sum[i][j] = value * row[j] + sum[i][j];
                }
            }
            for (int i = 0; i < ROWS; i++) {
                for (int j = 0; j < WIDE; j++) {
                    store(tile + (i0 + i) * PANEL + j0 + j * VECTOR, sum[i][j]);
                }
            }
        }
    }
}
