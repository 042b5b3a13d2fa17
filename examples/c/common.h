/* What the C examples share: one macro for errors, and tensors over C arrays. */
#ifndef COMMON_H
#define COMMON_H

#include "usp.h"

#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                                                            \
    do {                                                                                     \
        if ((call) != USP_OK) {                                                              \
            fprintf(stderr, "%s\n", usp_last_error());                                       \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* Describes contiguous floats of rank 4. */
static inline usp_tensor images(float *data, int64_t b, int64_t c, int64_t h, int64_t w) {
    usp_tensor result = {data, {b, c, h, w}, {0}, 4, USP_F32};
    return result;
}

/* Describes one label a sample. */
static inline usp_tensor labels(int64_t *data, int64_t count) {
    usp_tensor result = {data, {count}, {0}, 1, USP_I64};
    return result;
}

#endif
