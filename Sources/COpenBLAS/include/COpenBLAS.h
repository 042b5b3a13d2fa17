/* OpenBLAS, opened while the program runs and kept to ourselves: nothing links to it, so that
 * loading this library loads no other, and a host's own BLAS is neither seen nor changed. */
#ifndef USPI_OPENBLAS_H
#define USPI_OPENBLAS_H
#include <stdint.h>

/* The functions that are used of it. */
typedef struct uspi_openblas {
    int (*get_num_threads)(void);
    void (*set_num_threads)(int);
    void (*dsyevd)(const char *jobz, const char *uplo, const int32_t *n, double *a,
                   const int32_t *lda, double *w, double *work, const int32_t *lwork,
                   int32_t *iwork, const int32_t *liwork, int32_t *info);
} uspi_openblas;

/* Opens it: the one beside this library, else the system's. 0 where there is none that will do.
 * To be called once, and not while the limits of this process leave no room for it. */
int uspi_openblas_open(uspi_openblas *functions);

#endif
