/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_RANKS_H
#define USP_RANKS_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- ranks: processes that train one model together --------------------------------------- */

/* This process among those that train together. Data, trainers and runs take it: each rank gets its
 * own share of every batch, gradients are summed over all of them, and rank 0 writes the files.
 * Immutable once created: any thread. */
typedef struct usp_ranks usp_ranks;

/* Sum `data` over all ranks, in place: the flat gradient slab, called in the same order on all
 * ranks; the library divides. Return 0; anything else ends the step with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_allreduce_fn)(float *data, size_t count, void *user);

/* rank: 0 ... count - 1. out: owned. Errors: ARGUMENT for a rank that is none of them. */
USP_API USP_CHECK usp_status usp_ranks_create(
    int32_t rank, int32_t count, usp_allreduce_fn allreduce, void *user, usp_ranks **out);
USP_API void usp_ranks_free(usp_ranks *ranks);

USP_END_DECLARATIONS

#endif /* USP_RANKS_H */
