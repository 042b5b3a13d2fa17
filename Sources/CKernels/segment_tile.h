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
SEGMENTS(13)
SEGMENTS(14)
#endif
static const segment_function all_segments_f32[MOST] = {TILES(segments_f32)};
