/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_RANKS_H
#define USP_RANKS_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- ranks: processes that train one model together --------------------------------------- */

/* This process among those that train together. Data, trainers and runs take it: each rank gets its
 * own share of every batch, gradients are summed over all of them, and rank 0 writes the files.
 * Immutable once created; what is made with it is used by one thread at a time, and by all ranks in
 * the same order.
 *
 * Ranks from MPI or from functions: a batch is cut into parts (usp_trainer_options, parts), whose
 * gradients are summed in pairs within a rank and across ranks. 1, 2, 4, 8, ... ranks end with the
 * same bytes; an error on one rank is an error of all; ranks that differ in version, model or options
 * are told at the first step, or when a run is created, by an ARGUMENT that names rank and option. */
typedef struct usp_ranks usp_ranks;

/* The ranks of the MPI job that this process belongs to (mpirun, srun); one rank outside of a job. All
 * ranks call it. MPI is reached through libusp-mpi.so (make mpi), which is loaded now: what the
 * environment's USP_MPI names, else beside this library, in ../lib, or in the loader's path. MPI is
 * begun unless the host has, and then ended as the process exits.
 * out: owned. Errors: UNSUPPORTED where there is no plug-in, or one of another MPI than the
 * launcher's; ARGUMENT for another version of this library on some rank. */
USP_API USP_CHECK usp_status usp_ranks_from_mpi(usp_ranks **out);

/* What ranks do together, from the host. Each blocks, is called by all ranks in the same order, by one
 * thread at a time but not always by the same (usp_trainer_options, overlap), and returns 0; anything
 * else ends the call with USP_ERROR_CALLBACK.
 *
 * reduce_scatter: of data, count floats for each rank, those of this rank, summed over all ranks, into
 * sums [count]. In pairs, (0 + 1) + (2 + 3), ...: then the number of ranks changes no bit.
 * all_gather: size bytes of each rank into all, by rank.   broadcast: root's bytes become those of all.
 * barrier: returns when all ranks have called it. */
typedef int32_t (*usp_reduce_scatter_fn)(const float *data, float *sums, size_t count, void *user);
typedef int32_t (*usp_all_gather_fn)(const void *data, void *all, size_t size, void *user);
typedef int32_t (*usp_broadcast_fn)(void *data, size_t size, int32_t root, void *user);
typedef int32_t (*usp_barrier_fn)(void *user);

/* rank: 0 ... count - 1. All ranks call it. out: owned.
 * Errors: ARGUMENT for a rank that is none of them, for a NULL function, and for another version of
 * this library on some rank. */
USP_API USP_CHECK usp_status usp_ranks_from_functions(
    int32_t rank, int32_t count, usp_reduce_scatter_fn reduce_scatter, usp_all_gather_fn all_gather,
    usp_broadcast_fn broadcast, usp_barrier_fn barrier, void *user, usp_ranks **out);

/* Sum `data` over all ranks, in place: the flat gradient slab, called in the same order on all
 * ranks; the library divides. Return 0; anything else ends the step with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_allreduce_fn)(float *data, size_t count, void *user);

/* The simplest case: ranks that can only sum. Bits then depend on their number, and nothing is
 * compared. rank: 0 ... count - 1. out: owned. Errors: ARGUMENT for a rank that is none of them. */
USP_API USP_CHECK usp_status usp_ranks_create(
    int32_t rank, int32_t count, usp_allreduce_fn allreduce, void *user, usp_ranks **out);

/* This process's place, 0 ... count - 1, and how many there are. */
USP_API int32_t usp_ranks_rank(const usp_ranks *ranks);
USP_API int32_t usp_ranks_count(const usp_ranks *ranks);
USP_API void usp_ranks_free(usp_ranks *ranks);

USP_END_DECLARATIONS

#endif /* USP_RANKS_H */
