/* Attention of one head of one image: out = softmax(scale Q K^T + bias) V, with its gradient.
 *
 * Q [queries, head_dim], K and V [keys, head_dim] and the results are read and written where they
 * lie: rows any distance apart, elements of a row contiguous, so a head is a column range of a
 * larger matrix. Scores exist for a few queries at a time. Sums and the softmax are f32; a query's
 * result has the same bits whichever calls the rows are split over. */
#ifndef USPI_ATTENTION_H
#define USPI_ATTENTION_H
#include "gemm.h"

typedef struct uspi_attention {
    int64_t queries, keys, head_dim;
    const void *q, *k, *v;
    int64_t q_row, k_row, v_row;      /* elements from one row to the next */
    const void *next_q, *next_k, *next_v; /* likely needed next, rows next_row apart; or NULL */
    int64_t next_row;
    int32_t type;                     /* uspi_type of q, k and v */
    int32_t compute;                  /* uspi_type of the factors of products */
    float scale;                      /* usually 1 / sqrt(head_dim) */
    void *out;
    int64_t out_row;
    int32_t out_type;                 /* uspi_type of out */
    float *logsumexp;                 /* [queries] log sum_j exp(scale q k_j + bias), or NULL */
    const float *bias;                /* added to query i's score of key j: bias[place[j, i]], or */
    const int32_t *place;             /* NULL; [keys, queries] */
} uspi_attention;

/* Bytes of K and V packed for `compute`. */
size_t uspi_attention_packed_size(int64_t keys, int64_t head_dim, int32_t compute);

/* Pack K and V; then any number of calls of uspi_attention_rows can use them, on any threads. */
void uspi_attention_pack(const uspi_attention *attention, void *packed);

/* Bytes of workspace for one call (one thread) of uspi_attention_rows. */
size_t uspi_attention_workspace(int64_t keys, int64_t head_dim, int32_t compute);

/* Compute rows row_begin..<row_end of out (and of logsumexp). */
void uspi_attention_rows(const uspi_attention *attention, const void *packed, int64_t row_begin,
                         int64_t row_end, void *workspace);

/* What the gradient is given and where it goes; all rows may be any distance apart. */
typedef struct uspi_attention_gradient {
    const void *dout;                 /* [queries, head_dim] */
    int64_t dout_row;
    int32_t dout_type;                /* uspi_type of dout */
    float *dq, *dk, *dv;              /* NULL: not wanted */
    int64_t dq_row, dk_row, dv_row;
    int32_t add_q, add_k, add_v;      /* 1: the gradient is added to what is there */
    float *dbias;                     /* like bias: += its gradient; NULL: not wanted */
} uspi_attention_gradient;

/* Bytes of workspace for uspi_attention_backward. */
size_t uspi_attention_backward_workspace(int64_t queries, int64_t keys, int64_t head_dim,
                                         int32_t compute);

/* The gradients of q, k and v on the calling thread. Reads q, k, v and logsumexp of `attention`
 * (which the forward pass has filled in), not out. */
void uspi_attention_backward(const uspi_attention *attention,
                             const uspi_attention_gradient *gradient, void *workspace);

#endif
