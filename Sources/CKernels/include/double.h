/* Linear algebra in f64, for the metrics: products, and the pieces of a symmetric eigensolver that
 * loop over elements (Householder's tridiagonal form, then QL; Golub and Van Loan 2013, chapter 8).
 */
#ifndef USPI_DOUBLE_H
#define USPI_DOUBLE_H
#include <stddef.h>
#include <stdint.h>

/* c[m, n] = alpha a[m, k] b[k, n] (+ c): element (i, p) of a lies at a[i * a_row + p * a_col]. */
typedef struct uspi_double_product {
    int64_t m, n, k;
    const double *a;
    int64_t a_row, a_col;
    const double *b;
    int64_t b_row, b_col;
    double *c;
    int64_t c_row;
    double alpha;
    int32_t accumulate;
} uspi_double_product;

/* Bytes of workspace of one call. */
size_t uspi_double_workspace(void);

/* Rows m_begin ..< m_end and columns n_begin ..< n_end. Sums are cut by k alone: the same bits,
 * however rows and columns are cut. */
void uspi_double_run(const uspi_double_product *g, int64_t m_begin, int64_t m_end, int64_t n_begin,
                     int64_t n_end, void *workspace);

/* sum of x[i] y[i] */
double uspi_double_dot(const double *x, const double *y, int64_t n);

/* y += alpha x */
void uspi_double_add(double alpha, const double *x, double *y, int64_t n);

/* Columns of a matrix that stay in a cache together: slabs are [rows][SLAB]. */
enum { USPI_SLAB = 32 };

/* slab -= tau v (v^T slab) */
void uspi_slab_reflect(double tau, const double *v, int64_t rows, double *slab);

/* One sweep of rotations: count pairs (c, s), of rows (first, first + 1), (first - 1, first), ..
 * of the slab: upper, lower = c upper - s lower, s upper + c lower. */
void uspi_slab_rotate(const double *pairs, int64_t first, int64_t count, double *slab);

/* The QL iteration on a tridiagonal matrix with diagonal d[n] and beside it e[n] (the last unused),
 * of a norm of about 1. Zeros but for n, d and e are the start. */
typedef struct uspi_tridiagonal {
    int64_t n;
    double *d, *e;
    int64_t at;            /* eigenvalues before this are done */
    int64_t iterations;    /* so far: 30 an eigenvalue at most, of which one may take many */
    double *pairs;         /* [capacity][2]: rotations of the sweeps; NULL keeps none */
    int64_t *sweeps;       /* [capacity][2]: first and count of each */
    int64_t capacity;      /* at least n */
    int64_t kept, swept;   /* used; to be set to 0 when they have been applied */
} uspi_tridiagonal;

/* Goes on until all eigenvalues are in d (1), the next sweep might not fit (0), or one does not
 * converge (-1). */
int uspi_tridiagonal_run(uspi_tridiagonal *t);

#endif
