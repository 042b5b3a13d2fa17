/* One tile of a product by Winograd's form of Strassen's method: seven products of half the depth
 * instead of eight (Strassen 1969; Winograd 1971; e.g. Huang et al. 2016).
 *
 * What is halved lies close together: A's even and odd rows and even and odd k, B's two panels.
 *   S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2
 *   T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = B21 - T2
 *   C11 = A11 B11 + A12 B21,  U = A11 B11 + S2 T2,  V = S1 T1,  W = U + S3 T3
 *   C12 = U + V + S4 B22,  C21 = W + A22 T4,  C22 = W + V */

enum { A11, A12, S2, S1, S4, S3, A22 };
enum { T2, T1, T3, T4 };

/* Seven left factors [pairs][rows], strassen_factor(pairs, rows) words each, of two packed tiles. */
static void strassen_left(const float *even, const float *odd, int64_t pairs, int rows,
                          float *factors) {
    const int64_t size = strassen_factor(pairs, rows);
    for (int64_t p = 0; p < pairs; p++, even += 2 * rows, odd += 2 * rows, factors += rows) {
        for (int j = 0; j < rows; j += VECTOR) {
            const vf a11 = load(even + j), a12 = load(even + rows + j);
            const vf a21 = load(odd + j), a22 = load(odd + rows + j);
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
}

/* The four sums of two panels side by side, [pairs][PANEL] each. */
static void strassen_right(const float *left, const float *right, int64_t pairs, float *sums) {
    const int64_t size = pairs * PANEL;
    for (int64_t p = 0; p < pairs; p++, left += 2 * PANEL, right += 2 * PANEL, sums += PANEL) {
        for (int j = 0; j < PANEL; j += VECTOR) {
            const vf b11 = load(left + j), b21 = load(left + PANEL + j);
            const vf b12 = load(right + j), b22 = load(right + PANEL + j);
            const vf t1 = b12 - b11, t2 = b22 - t1;
            float *at = sums + j;
            store(at + T1 * size, t1);
            store(at + T2 * size, t2);
            store(at + T3 * size, b22 - b12);
            store(at + T4 * size, b21 - t2);
        }
    }
}

/* to = x + y, rows 2 PANEL apart. */
INLINE void add_interleaved(int rows, float *to, const float *x, const float *y) {
    for (int i = 0; i < rows; i++, to += 2 * PANEL, x += 2 * PANEL, y += 2 * PANEL) {
        for (int j = 0; j < PANEL; j += VECTOR) store(to + j, load(x + j) + load(y + j));
    }
}

/* tile (+)= A B over a piece of k, and the end of the product after the last one. */
static void strassen_tile(const strassen_factors *f, const strassen_place *c, coming next) {
    _Alignas(64) float waiting[2][MOST * 2 * PANEL];
    float *u = waiting[0], *v = u + PANEL, *w = waiting[1];
    float *c11 = c->tile[0], *c21 = c11 + PANEL, *c12 = c->tile[1], *c22 = c12 + PANEL;
    const int rows = c->pairs, odd_rows = c->rows - rows, kept = !c->first;
    const interleaved_function product = interleaved[rows - 1];
    const int64_t size_a = strassen_factor(f->pairs, rows), size_b = f->pairs * PANEL;
#define PRODUCT(s, b, b_row, from, to)                                                             \
    product(f->pairs, f->left + (s) * size_a, b, b_row, from, to, next);                           \
    next.at += f->pairs * next.stride
#define QUARTER(s, b, from, to) PRODUCT(s, b, 2 * PANEL, from, to)
#define SUM(s, t, from, to) PRODUCT(s, f->sums + (t) * size_b, PANEL, from, to)
#define END(odd, panel, tile)                                                                      \
    if (c->last) {                                                                                 \
        finish_interleaved(c->g, c->row + odd, odd ? odd_rows : rows, c->column + panel * PANEL,   \
                           tile);                                                                  \
    }
    QUARTER(A11, f->panel[0], NULL, u);
    if (kept) add_interleaved(rows, c11, c11, u);
    QUARTER(A12, f->panel[0] + PANEL, kept ? c11 : u, c11);
    END(0, 0, c11)
    SUM(S2, T2, u, u);
    SUM(S1, T1, u, v);
    if (kept) add_interleaved(rows, c12, c12, v);
    QUARTER(S4, f->panel[1] + PANEL, kept ? c12 : v, c12);
    END(0, 1, c12)
    SUM(S3, T3, NULL, w);
    add_interleaved(rows, u, u, w);
    if (kept) add_interleaved(rows, w, w, c22);
    add_interleaved(rows, c22, v, w);
    END(1, 1, c22)
    if (kept) add_interleaved(rows, c21, c21, u);
    SUM(A22, T4, kept ? c21 : u, c21);
    END(1, 0, c21)
#undef END
#undef SUM
#undef QUARTER
#undef PRODUCT
}
