/* Tile kernels whose left factor is not packed: SEGMENT consecutive words of each row, rows SEGMENT
 * words apart, one segment after another at given offsets. Transformed and blocked images have
 * this layout, so that nothing is copied before it is multiplied. */

INLINE void segments_f32(const int rows, int64_t segments, const ptrdiff_t *offset, const float *a,
                         const float *b, float *tile, int add) {
    vf sum[MOST][WIDE];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < WIDE; j++) {
            sum[i][j] = add ? load(tile + i * PANEL + j * VECTOR) : (vf)0.0f;
        }
    }
    for (int64_t s = 0; s < segments; s++) {
        const float *x = a + offset[s];
#pragma clang loop unroll_count(4)
        for (int k = 0; k < SEGMENT; k++) {
            vf column[WIDE];
            for (int j = 0; j < WIDE; j++) column[j] = load(b + j * VECTOR);
            for (int i = 0; i < rows; i++) {
                const vf value = x[i * SEGMENT + k];
                for (int j = 0; j < WIDE; j++) sum[i][j] = value * column[j] + sum[i][j];
            }
            b += PANEL;
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < WIDE; j++) store(tile + i * PANEL + j * VECTOR, sum[i][j]);
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
SEGMENTS(3)
SEGMENTS(4)
#if MOST > 4
SEGMENTS(5)
SEGMENTS(6)
#endif
#if MOST > 6
SEGMENTS(7)
SEGMENTS(8)
SEGMENTS(9)
SEGMENTS(10)
SEGMENTS(11)
SEGMENTS(12)
#endif
#if MOST > 12
SEGMENTS(13)
SEGMENTS(14)
#endif
static const segment_function all_segments_f32[MOST] = {TILES(segments_f32)};

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
