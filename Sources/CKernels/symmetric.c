/* The loops of a symmetric eigensolver in f64. */
#include "dispatch.h"
#include "double.h"
#include <float.h>
#include <math.h>

typedef double eight __attribute__((ext_vector_type(8)));
typedef double eight_at __attribute__((ext_vector_type(8), aligned(8), may_alias));

USPI_DISPATCH(
    double, uspi_double_dot, (const double *x, const double *y, int64_t n), (x, y, n), {
        eight sums[4] = {0.0, 0.0, 0.0, 0.0};
        int64_t i = 0;
        for (; i + 32 <= n; i += 32)
            for (int j = 0; j < 4; j++)
                sums[j] += *(const eight_at *)(x + i + 8 * j) * *(const eight_at *)(y + i + 8 * j);
        const eight all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        const double half = (all[0] + all[1]) + (all[2] + all[3]);
        double sum = half + ((all[4] + all[5]) + (all[6] + all[7]));
        for (; i < n; i++) sum += x[i] * y[i];
        return sum;
    })

USPI_DISPATCH(
    void, uspi_double_add, (double alpha, const double *restrict x, double *restrict y, int64_t n),
    (alpha, x, y, n), {
        for (int64_t i = 0; i < n; i++) y[i] += alpha * x[i];
    })

USPI_DISPATCH(
    void, uspi_slab_reflect, (double tau, const double *v, int64_t rows, double *slab),
    (tau, v, rows, slab), {
        eight sums[4] = {0.0, 0.0, 0.0, 0.0};
        for (int64_t i = 0; i < rows; i++) {
            const eight_at *row = (const eight_at *)(slab + i * USPI_SLAB);
            for (int j = 0; j < 4; j++) sums[j] += v[i] * row[j];
        }
        for (int j = 0; j < 4; j++) sums[j] *= -tau;
        for (int64_t i = 0; i < rows; i++) {
            eight_at *row = (eight_at *)(slab + i * USPI_SLAB);
            for (int j = 0; j < 4; j++) row[j] += v[i] * sums[j];
        }
    })

USPI_DISPATCH(
    void, uspi_slab_rotate, (const double *pairs, int64_t first, int64_t count, double *slab),
    (pairs, first, count, slab), {
        eight_at *row = (eight_at *)(slab + first * USPI_SLAB);
        eight lower[4];
        for (int j = 0; j < 4; j++) lower[j] = row[4 + j];
        for (int64_t i = 0; i < count; i++, row -= 4) {
            const double c = pairs[2 * i];
            const double s = pairs[2 * i + 1];
            for (int j = 0; j < 4; j++) {
                const eight upper = row[j];
                row[4 + j] = s * upper + c * lower[j];
                lower[j] = c * upper - s * lower[j];
            }
        }
        for (int j = 0; j < 4; j++) row[4 + j] = lower[j];
    })

/* The first place from `at` on where the matrix falls apart, to rounding of its norm. */
static int64_t block_end(const uspi_tridiagonal *t) {
    int64_t m = t->at;
    for (; m < t->n - 1; m++) {
        const double beside = fabs(t->d[m]) + fabs(t->d[m + 1]);
        if (fabs(t->e[m]) <= DBL_EPSILON * (beside + 0x1p-10)) break;
    }
    return m;
}

/* One sweep of the block at ... m, shifted by the eigenvalue of its upper corner. */
static void sweep(uspi_tridiagonal *t, int64_t m) {
    const int64_t l = t->at;
    double *d = t->d, *e = t->e;
    double *pairs = t->pairs ? t->pairs + 2 * t->kept : NULL;
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    int64_t i = m - 1;
    for (; i >= l; i--) {
        const double f = s * e[i], b = c * e[i];
        r = sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) break;
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        if (pairs) {
            *pairs++ = c;
            *pairs++ = s;
        }
    }
    if (i >= l) {
        d[i + 1] -= p;
    } else {
        d[l] -= p;
        e[l] = g;
    }
    e[m] = 0;
    if (!pairs || i == m - 1) return;
    t->sweeps[2 * t->swept] = m - 1;
    t->sweeps[2 * t->swept + 1] = m - 1 - i;
    t->swept++;
    t->kept += m - 1 - i;
}

/* The same eigenvalues from the other end: the iteration begins with the smaller ones, which so
 * keep their digits in a matrix whose elements fall or rise. */
static void turn(uspi_tridiagonal *t) {
    const int64_t n = t->n;
    for (int64_t i = 0, j = n - 1; i < j; i++, j--) {
        const double d = t->d[i];
        t->d[i] = t->d[j];
        t->d[j] = d;
    }
    for (int64_t i = 0, j = n - 2; i < j; i++, j--) {
        const double e = t->e[i];
        t->e[i] = t->e[j];
        t->e[j] = e;
    }
}

int uspi_tridiagonal_run(uspi_tridiagonal *t) {
    const int begins = t->at == 0 && t->iterations == 0 && t->n > 1;
    if (begins && !t->pairs && fabs(t->d[0]) > fabs(t->d[t->n - 1])) turn(t);
    for (; t->at < t->n; t->at++) {
        for (int64_t m; (m = block_end(t)) != t->at;) {
            if (t->pairs && t->kept + m - t->at > t->capacity) return 0;
            if (t->iterations++ == 30 * t->n) return -1;
            sweep(t, m);
        }
    }
    return 1;
}
