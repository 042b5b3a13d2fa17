/* One tile of a product by Winograd's form of Strassen's method: seven products of half the depth
 * instead of eight (Strassen 1969; Winograd 1971; e.g. Huang et al. 2016).
 *
 * What is halved lies close together: A's even and odd rows, the two halves of a piece of k, two
 * panels of B.
 *   S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2
 *   T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = B21 - T2
 *   C11 = A11 B11 + A12 B21,  U = A11 B11 + S2 T2,  V = S1 T1,  W = U + S3 T3
 *   C12 = U + V + S4 B22,  C21 = W + A22 T4,  C22 = W + V */

enum { A11, A12, S2, S1, S4, S3, A22 };
enum { T2, T1, T3, T4 };

/* `count` values of seven left factors, `size` words apart, of A's quarters [odd rows][later k]. */
static void strassen_left(float *const quarter[2][2], int64_t count, int64_t size,
                          float *factors) {
    for (int64_t j = 0; j < count; j += VECTOR) {
        const vf a11 = load(quarter[0][0] + j), a12 = load(quarter[0][1] + j);
        const vf a21 = load(quarter[1][0] + j), a22 = load(quarter[1][1] + j);
        const vf s1 = a21 + a22, s2 = s1 - a11;
        float *at = factors + j;
        store(at + A11 * size, a11);
        store(at + A12 * size, a12);
        store(at + A22 * size, a22);
        store(at + S1 * size, s1);
        store(at + S2 * size, s2);
        store(at + S3 * size, a11 - a21);
        store(at + S4 * size, a12 - s2);
    }
}

/* to = x + y, rows 2 PANEL apart. */
INLINE void add_interleaved(int rows, float *to, const float *x, const float *y) {
    for (int i = 0; i < rows; i++, to += 2 * PANEL, x += 2 * PANEL, y += 2 * PANEL) {
        for (int j = 0; j < PANEL; j += VECTOR) store(to + j, load(x + j) + load(y + j));
    }
}

/* Ask for sums that have waited. */
INLINE void expect_sums(const float *tile, int rows) {
    for (int i = 0; i < 2 * rows * PANEL; i += 16) __builtin_prefetch(tile + i, 1);
}

/* tile (+)= A B over a piece of k, and the end of the product after the last one. The first tile
 * makes the sums of B as it reads them. */
static void strassen_tile(const strassen_factors *f, const strassen_place *c, coming next) {
    _Alignas(64) float waiting[2][MOST * 2 * PANEL];
    float *u = waiting[0], *v = u + PANEL, *w = waiting[1];
    float *c11 = c->tile[0], *c21 = c11 + PANEL, *c12 = c->tile[1], *c22 = c12 + PANEL;
    const int rows = c->pairs, odd_rows = c->rows - rows, kept = !c->first;
    const int64_t size_a = strassen_factor(f->pairs, rows), size_b = f->pairs * PANEL;
    const float *b11 = f->panel[0], *b21 = b11 + size_b, *b12 = f->panel[1], *b22 = b12 + size_b;
    float *const t2 = f->sums + T2 * size_b;
#define PRODUCT(form, s, right, from, to)                                                          \
    interleaved[form][rows - 1](f->pairs, f->left + (s) * size_a, right, from, to, &next);         \
    next.at += f->pairs * next.stride
#define QUARTER(s, quarter, from, to)                                                              \
    do {                                                                                           \
        const right_factor right = {.b = quarter};                                                 \
        PRODUCT(PLAIN, s, &right, from, to);                                                       \
    } while (0)
#define SUM(form, s, t, quarter, less, more, from, to)                                             \
    do {                                                                                           \
        float *const sums = f->sums + (t) * size_b;                                                \
        const right_factor made = {.b = sums}, right = {quarter, less, more, sums};                \
        PRODUCT(f->makes_sums ? form : PLAIN, s, f->makes_sums ? &right : &made, from, to);        \
    } while (0)
#define EXPECT(odd, panel)                                                                         \
    if (c->last) {                                                                                 \
        uspi_expect_end(c->g, c->row + odd, odd ? odd_rows : rows, 2, c->column + panel * PANEL);  \
    }
#define END(odd, panel, tile)                                                                      \
    if (c->last) {                                                                                 \
        finish_interleaved(c->g, c->row + odd, odd ? odd_rows : rows, c->column + panel * PANEL,   \
                           tile);                                                                  \
    }
    if (kept) expect_sums(c->tile[0], rows);
    EXPECT(0, 0)
    QUARTER(A11, b11, NULL, u);
    if (kept) add_interleaved(rows, c11, c11, u);
    QUARTER(A12, b21, kept ? c11 : u, c11);
    END(0, 0, c11)
    if (kept) expect_sums(c->tile[1], rows);
    SUM(DOUBLE_DIFFERENCE, S2, T2, b22, b12, b11, u, u);
    SUM(DIFFERENCE, S1, T1, b12, b11, NULL, u, v);
    EXPECT(0, 1)
    if (kept) add_interleaved(rows, c12, c12, v);
    QUARTER(S4, b22, kept ? c12 : v, c12);
    END(0, 1, c12)
    EXPECT(1, 1)
    SUM(DIFFERENCE, S3, T3, b22, b12, NULL, NULL, w);
    add_interleaved(rows, u, u, w);
    if (kept) add_interleaved(rows, w, w, c22);
    add_interleaved(rows, c22, v, w);
    END(1, 1, c22)
    EXPECT(1, 0)
    if (kept) add_interleaved(rows, c21, c21, u);
    SUM(DIFFERENCE, A22, T4, b21, t2, NULL, kept ? c21 : u, c21);
    END(1, 0, c21)
#undef END
#undef EXPECT
#undef SUM
#undef QUARTER
#undef PRODUCT
}
