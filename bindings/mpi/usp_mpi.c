/* The ranks of an MPI job, for libusp, which loads this file at run time: libusp itself needs no MPI.
 * Written to the MPI standard alone; `make mpi` builds it with the mpicc that it finds (Open MPI,
 * MPICH). Every function returns 0, or writes a sentence into `message` and returns 1. */
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))

enum { INTERFACE = 2, MESSAGE = 512 };

/* Of our own, so that a host's messages never meet ours. */
static MPI_Comm ranks = MPI_COMM_NULL;
static int own_initialisation, count, rank;
static float *space;
static size_t space_count;

static int32_t told(int code, const char *what, char *message)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (code == MPI_SUCCESS) return 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
    text[length] = 0;
    snprintf(message, MESSAGE, "%s: %.400s", what, text);
    return 1;
}

/* Until one or two requests are done. MPI's own waiting keeps a processor busy, which whoever computes
 * beside it has a use for: after some microseconds this gives way between two looks. It does not sleep: a
 * message over TCP goes on in many pieces, each when somebody looks. */
static int finished(int code, MPI_Request *requests, int how_many)
{
    MPI_Status statuses[2];
    int is_done = 0;
    for (int looks = 0; code == MPI_SUCCESS; looks++) {
        code = MPI_Testall(how_many, requests, &is_done, statuses);
        if (is_done) break;
        if (looks >= 200) sched_yield();
    }
    return code;
}

/* size bytes to another rank, and as many from it. */
static int32_t swapped(int peer, const void *sent, void *received, size_t size, char *message)
{
    MPI_Request both[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    int code;
    if (size > INT_MAX) {
        snprintf(message, MESSAGE, "%zu bytes in one call, expected at most %d", size, INT_MAX);
        return 1;
    }
    code = MPI_Irecv(received, (int)size, MPI_BYTE, peer, 1, ranks, &both[0]);
    if (code == MPI_SUCCESS) code = MPI_Isend(sent, (int)size, MPI_BYTE, peer, 1, ranks, &both[1]);
    return told(finished(code, both, 2), "exchange", message);
}

/* What libusp compares with the interface that it knows. */
EXPORTED int32_t usp_mpi_interface(void) { return INTERFACE; }

/* Begins MPI, unless the host has; all ranks call it. out: rank, ranks, rank on this machine, ranks on
 * this machine, whether any thread may call MPI. library: the MPI's name, 256 bytes. */
EXPORTED int32_t usp_mpi_open(int32_t out[5], char *library, char *message)
{
    int is_ready = 0, was_ended = 0, given = 0, length = 0, local[2] = {0, 1};
    char name[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    MPI_Comm machine;
    MPI_Get_library_version(name, &length);
    name[strcspn(name, ",\n")] = 0;
    snprintf(library, 256, "%s", name);
    MPI_Finalized(&was_ended);
    if (was_ended) {
        snprintf(message, MESSAGE, "MPI has been ended by this process already");
        return 1;
    }
    MPI_Initialized(&is_ready);
    if (!is_ready) {
        if (told(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given), "MPI_Init_thread", message))
            return 1;
        own_initialisation = 1;
    }
    if (ranks == MPI_COMM_NULL) {
        if (told(MPI_Comm_dup(MPI_COMM_WORLD, &ranks), "MPI_Comm_dup", message)) return 1;
        MPI_Comm_set_errhandler(ranks, MPI_ERRORS_RETURN);
        MPI_Comm_rank(ranks, &rank);
        MPI_Comm_size(ranks, &count);
    }
    if (told(MPI_Comm_split_type(ranks, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine),
             "MPI_Comm_split_type", message))
        return 1;
    MPI_Comm_rank(machine, &local[0]);
    MPI_Comm_size(machine, &local[1]);
    MPI_Comm_free(&machine);
    MPI_Query_thread(&given);
    out[0] = rank, out[1] = count, out[2] = local[0], out[3] = local[1];
    out[4] = given >= MPI_THREAD_SERIALIZED;
    return 0;
}

static unsigned reversed(unsigned value, unsigned of)
{
    unsigned result = 0;
    for (; of > 1; of >>= 1, value >>= 1) result = result << 1 | (value & 1);
    return result;
}

/* Of data with n floats for each rank, those of this rank, summed over all: recursive halving, whose
 * first exchange is with the neighbour, so that sums are (0 + 1) + (2 + 3), ... Each rank sends and
 * receives (N - 1) n floats, the least that there is. Only of a power of two of ranks. */
EXPORTED int32_t usp_mpi_reduce_scatter(const float *data, float *sums, size_t n, char *message)
{
    size_t size = n * (size_t)count / 2;
    float *kept, *received;
    if (count & (count - 1)) {
        snprintf(message, MESSAGE, "%d ranks, expected a power of two", count);
        return 1;
    }
    if (count == 1) {
        memcpy(sums, data, n * sizeof *sums);
        return 0;
    }
    if (space_count < 3 * size) {
        free(space);
        space = malloc(3 * size * sizeof *space);
        space_count = space ? 3 * size : 0;
        if (!space) {
            snprintf(message, MESSAGE, "no memory for %zu bytes", 3 * size * sizeof *space);
            return 1;
        }
    }
    kept = space, received = space + 2 * size;
    /* Blocks in the order of their reversed bits: the half of those whose rank ends with 0 is in
     * front, and so on. */
    for (unsigned block = 0; block < (unsigned)count; block++)
        memcpy(kept + block * n, data + reversed(block, (unsigned)count) * n, n * sizeof *kept);
    for (int distance = 1; distance < count; distance *= 2, size /= 2) {
        float *sent = kept;
        if (rank & distance) kept += size; else sent += size;
        if (swapped(rank ^ distance, sent, received, size * sizeof *sent, message)) return 1;
        for (size_t i = 0; i < size; i++) kept[i] += received[i];
    }
    memcpy(sums, kept, n * sizeof *sums);
    return 0;
}

/* size bytes to another rank, which calls this as well, and as many from it. */
EXPORTED int32_t usp_mpi_exchange(int32_t peer, const void *sent, void *received, size_t size,
                                  char *message)
{
    return swapped((int)peer, sent, received, size, message);
}

/* size bytes of each rank, by rank. */
EXPORTED int32_t usp_mpi_all_gather(const void *data, void *all, size_t size, char *message)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int code;
    if (size > INT_MAX) {
        snprintf(message, MESSAGE, "%zu bytes in one call, expected at most %d", size, INT_MAX);
        return 1;
    }
    code = MPI_Iallgather(data, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, ranks, &request);
    return told(finished(code, &request, 1), "MPI_Iallgather", message);
}

EXPORTED int32_t usp_mpi_broadcast(void *data, size_t size, int32_t root, char *message)
{
    if (size > INT_MAX) {
        snprintf(message, MESSAGE, "%zu bytes in one call, expected at most %d", size, INT_MAX);
        return 1;
    }
    return told(MPI_Bcast(data, (int)size, MPI_BYTE, root, ranks), "MPI_Bcast", message);
}

EXPORTED int32_t usp_mpi_barrier(char *message)
{
    return told(MPI_Barrier(ranks), "MPI_Barrier", message);
}

/* Ends MPI where this file has begun it, when all ranks have come here. Where they have not within so
 * many seconds, one of them has failed or been killed: all are ended. */
EXPORTED void usp_mpi_close(int32_t seconds)
{
    int is_done = 0, was_ended = 0;
    MPI_Request request;
    const struct timespec pause = {0, 2 * 1000 * 1000};
    double until;
    MPI_Finalized(&was_ended);
    if (!own_initialisation || was_ended) return;
    own_initialisation = 0;
    until = MPI_Wtime() + seconds;
    if (MPI_Ibarrier(ranks, &request) == MPI_SUCCESS) {
        while (MPI_Test(&request, &is_done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !is_done &&
               MPI_Wtime() < until)
            nanosleep(&pause, NULL);
    }
    if (!is_done) {
        fprintf(stderr, "usp: rank %d: the other ranks have not come to the end within %d s\n", rank,
                (int)seconds);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Comm_free(&ranks);
    MPI_Finalize();
}
