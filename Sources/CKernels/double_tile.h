/* The tile of an f64 product: MOST rows by WIDE vectors, as in f32, of half as many columns. */

typedef double vd __attribute__((ext_vector_type(VECTOR / 2)));
typedef double vd_at __attribute__((ext_vector_type(VECTOR / 2), aligned(8), may_alias));

/* tile[MOST][WIDE * VECTOR / 2] = A B; a is [steps][MOST], b [steps][WIDE * VECTOR / 2]. */
static void double_tile(int64_t steps, const double *a, const double *b, double *tile) {
    enum { LANES_OF_DOUBLES = VECTOR / 2, COLUMNS = WIDE * LANES_OF_DOUBLES };
    vd sum[MOST][WIDE];
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < WIDE; j++) sum[i][j] = (vd)0.0;
#pragma clang loop unroll(disable)
    for (int64_t s = 0; s < steps; s++, a += MOST, b += COLUMNS) {
        vd column[WIDE];
        for (int j = 0; j < WIDE; j++) column[j] = *(const vd_at *)(b + j * LANES_OF_DOUBLES);
        for (int i = 0; i < MOST; i++) {
            const vd x = a[i];
            for (int j = 0; j < WIDE; j++) sum[i][j] = x * column[j] + sum[i][j];
        }
    }
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < WIDE; j++)
            *(vd_at *)(tile + i * COLUMNS + j * LANES_OF_DOUBLES) = sum[i][j];
}
