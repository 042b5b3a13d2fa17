/* Matrix products C = f(alpha A B), with B packed beforehand and f applied as tiles are finished.
 *
 * Every element of C is one sum over k in an order that depends on K alone, so the result has the
 * same bits however M and N are split over calls. All pointers belong to the caller. */
#ifndef USPI_GEMM_H
#define USPI_GEMM_H
#include "norm.h"
#include <stddef.h>
#include <stdint.h>

/* USPI_INT8 is a type of factors, which are f32 or bf16 in memory: each row of A and each column of B
 * is integers of -127...127 and a scale (B may be integers beforehand). */
typedef enum { USPI_F32 = 0, USPI_BF16 = 1, USPI_INT8 = 2 } uspi_type;

typedef enum {
    USPI_ACT_NONE = 0,
    USPI_ACT_GELU_ERF = 1,  /* x/2 (1 + erf(x / sqrt 2)) */
    USPI_ACT_GELU_TANH = 2, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    USPI_ACT_SILU = 3,      /* x / (1 + exp(-x)) */
    USPI_ACT_RELU = 4,      /* max(x, 0) */
    USPI_ACT_GELU_QUICK = 5, /* x / (1 + exp(-1.702 x)) */
} uspi_activation;

/* value = alpha * sum_k A[i,k] B[k,j] + bias[j]; pre[i,j] = value; value = activation(value);
 * value *= gate; value += residual[i,j]; C[i,j] = value, or += value. */
typedef struct uspi_gemm {
    int64_t m, n, k;
    const void *a;                    /* A[i,k] = a[i*a_row + k*a_col] */
    int64_t a_row, a_col;             /* in elements */
    int32_t a_type;                   /* uspi_type of a */
    const uspi_normed_rows *normed;   /* A's rows are these, in a_type, and a is not read; or NULL */
    int32_t compute;                  /* uspi_type of the factors; sums are f32, of 8 bits exact */
    const void *b;                    /* packed by uspi_pack_b for the same `compute` */
    void *c;                          /* C[i,j] = c[i*c_row + j] */
    int64_t c_row;
    int32_t c_type;                   /* uspi_type of c and pre */
    int32_t accumulate;               /* 1: C += value */
    float alpha;
    int32_t activation;               /* uspi_activation */
    const float *bias;                /* [n] or NULL */
    void *pre;                        /* [m, n] with rows c_row apart, or NULL */
    const float *gate;                /* value *= gate[((row0+i) / gate_period) * gate_row + j] */
    int64_t gate_row, gate_period;    /* ignored when gate is NULL */
    int64_t row0;                     /* the row of a larger matrix that row 0 here is */
    const float *residual;            /* [m, n] or NULL; may be c itself */
    int64_t residual_row;
    int64_t halves;                   /* H: a gated unit, see below; 0: a plain product */
} uspi_gemm;

/* A gated unit (Shazeer 2020): of A B's two halves of H columns, which lie side by side in a B
 * packed by uspi_pack_halves, C[i,j] = activation(first[i,j]) * second[i,j], j < H, once alpha and
 * bias [2H] are in them. n is uspi_halves_columns(H). pre receives [first | second], its rows
 * 2 c_row and its halves c_row apart. gate, residual and accumulate are not for it. */
int64_t uspi_halves_columns(int64_t half);

/* Columns in one panel of a packed B. */
int64_t uspi_gemm_panel(void);

/* Bytes of B [k, n] packed for `compute`. */
size_t uspi_packed_b_size(int64_t k, int64_t n, int32_t compute);

/* Pack columns n_begin..<n_end of B[k,j] = b[k*b_row + j*b_col] into their place in `packed`. For
 * USPI_INT8 b_type may be that, too: then scales are 1 (see uspi_scale_columns).
 * n_begin is a multiple of the panel; n_end is too, or it is n. */
void uspi_pack_b(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k, int64_t n,
                 int32_t compute, void *packed, int64_t n_begin, int64_t n_end);

/* The same for both halves of B [k, 2 half], b_row elements from one k to the next, as a gated unit
 * reads them; n_begin and n_end count columns as they are packed and are multiples of the panel. */
void uspi_pack_halves(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k,
                      int64_t half, int32_t compute, void *packed, int64_t n_begin,
                      int64_t n_end);

/* Gives packed integers the scales [n] of their columns; of a gated unit of `half` columns its [2
 * half]. `half` is 0 for a plain product. */
void uspi_scale_columns(void *packed, int64_t k, int64_t n, int64_t half, const float *scales);

/* The largest k of 8-bit factors: sums of so many products fit into 32 bits. */
int64_t uspi_most_int8(void);

/* Rows of A packed at a time. */
int64_t uspi_gemm_block(int64_t k, int32_t compute);

/* Bytes of workspace for one call (one thread) of uspi_gemm_run, whatever its rows. */
size_t uspi_gemm_workspace(int64_t k, int32_t compute);

/* At most uspi_gemm_block rows of A that calls for different columns share, on any threads: the
 * first call packs them, others wait for it. */
typedef struct uspi_held_rows {
    void *packed;                     /* as many bytes as uspi_gemm_workspace */
    int32_t state;                    /* 0 before the first call */
} uspi_held_rows;

/* Columns of a product of few rows that are computed beside another product: reading its weights
 * from memory is most of its work, and they are asked for during the other's multiplications. */
typedef struct uspi_beside {
    const uspi_gemm *g;               /* at most uspi_most_beside() rows */
    const void *rows;                 /* A, packed by uspi_pack_rows */
    int64_t column, end;              /* to be computed; column is a multiple of the panel */
} uspi_beside;

/* Rows of a product that can be computed beside another one, at most. */
int64_t uspi_most_beside(void);

/* Bytes of A packed for that, and the packing. */
size_t uspi_packed_rows_size(const uspi_gemm *g);
void uspi_pack_rows(const uspi_gemm *g, void *packed);

/* Bytes of workspace beyond the others where A's rows are normed. */
size_t uspi_normed_workspace(const uspi_gemm *g);

/* Compute rows m_begin..<m_end and columns n_begin..<n_end of C on the calling thread, and all of
 * `beside`. n_begin is a multiple of the panel; n_end is too, or it is n. `held` may be NULL, and
 * the workspace instead; so may `beside`. */
void uspi_gemm_run(const uspi_gemm *g, int64_t m_begin, int64_t m_end, int64_t n_begin,
                   int64_t n_end, void *workspace, uspi_held_rows *held,
                   const uspi_beside *beside);

#endif
