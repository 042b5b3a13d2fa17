/* What the library uses of OpenBLAS: CBLAS products and LAPACK's symmetric eigensolver. */
#include <cblas.h>

extern void dsyevd_(
    const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
    double *work, const int *lwork, int *iwork, const int *liwork, int *info);
