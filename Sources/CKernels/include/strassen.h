/* Matrix products in f32 with fewer multiplications than gemm.h's, for large ones.
 *
 * Rows 2i and 2i + 1 share sums, and so do panels 2j and 2j + 1: rounding is relative to the larger
 * of those that share, about twice that of uspi_gemm_run, and what is not finite spreads to the
 * other. With group_rows, pairs of rows begin anew after so many; 0: they never do. */
#ifndef USPI_STRASSEN_H
#define USPI_STRASSEN_H
#include "gemm.h"

/* Rows of A packed at a time, at most. */
int64_t uspi_strassen_block(int64_t group_rows);

/* Bytes of uspi_held_rows.packed for at most `rows` rows; 0: they are too many to be held. */
size_t uspi_strassen_held_size(int64_t k, int64_t group_rows, int64_t rows);

/* Bytes of workspace for one call (one thread) of uspi_strassen_run on at most `rows` rows and
 * `columns` columns, which are given held rows or not. */
size_t uspi_strassen_workspace(const uspi_gemm *g, int64_t group_rows, int64_t rows,
                               int64_t columns, int holds_rows);

/* As uspi_gemm_run, in f32, for an even k and an even number of panels. m_begin is even, or with
 * group_rows m_begin and m_end are multiples of it; n_begin and n_end are multiples of two
 * panels. The workspace is always needed. */
void uspi_strassen_run(const uspi_gemm *g, int64_t group_rows, int64_t m_begin, int64_t m_end,
                       int64_t n_begin, int64_t n_end, void *workspace, uspi_held_rows *held,
                       const uspi_beside *beside);

#endif
