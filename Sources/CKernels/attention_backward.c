/* Attention backward, a block of queries at a time, by products over whole blocks.
 *
 * With probabilities P = exp(scale Q K^T - logsumexp) and dP = dOut V^T:
 * dV = P^T dOut, dS = P (dP - rowsum(P dP)), dQ = scale dS K, dK = scale dS^T Q.
 * Scores are kept transposed, [key][query]. */
#include "attention.h"
#include "gemm_variants.h"
#include <string.h>

/* Where the parts of the workspace are. */
typedef struct parts {
    float *scores, *products;      /* [keys][columns] */
    float *logsumexp;              /* [columns] */
    void *k, *factor, *gemm;       /* packed K, another packed factor, workspace of products */
    size_t size;
} parts;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The next part of `bytes` at a multiple of 64; base is 0 where only the size is asked for. */
static void *take(uintptr_t base, size_t *at, size_t bytes) {
    void *part = (void *)(base + *at);
    *at += (bytes + 63) / 64 * 64;
    return part;
}

static int64_t columns_of(int64_t queries) {
    return queries >= MOST_QUERIES ? MOST_QUERIES : (queries + PANEL - 1) / PANEL * PANEL;
}

static parts lay_out(void *workspace, int64_t queries, int64_t keys, int64_t dims,
                     int32_t compute) {
    const uintptr_t base = (uintptr_t)line_begin(workspace);
    const int64_t columns = columns_of(queries);
    const size_t block = (size_t)(keys * columns) * sizeof(float);
    const size_t factor = larger(uspi_packed_b_size(dims, columns, compute),
                                 uspi_packed_b_size(columns, dims, compute));
    parts p;
    size_t at = 0;
    p.scores = take(base, &at, block);
    p.products = take(base, &at, block);
    p.logsumexp = take(base, &at, (size_t)columns * sizeof(float));
    p.k = take(base, &at, uspi_packed_b_size(keys, dims, compute));
    p.factor = take(base, &at, factor);
    const int64_t longest = keys > columns ? keys : columns;
    p.gemm = take(base, &at, larger(uspi_gemm_workspace(longest, compute),
                                    uspi_gemm_workspace(dims, compute)));
    p.size = at + 64;
    return p;
}

size_t uspi_attention_backward_workspace(int64_t queries, int64_t keys, int64_t head_dim,
                                         int32_t compute) {
    return lay_out(NULL, queries, keys, head_dim, compute).size;
}

/* C [m, n] = alpha A B with A at a (strides), B packed. */
static void multiply(uspi_gemm g, float alpha, void *workspace) {
    g.alpha = alpha;
    uspi_gemm_run(&g, 0, g.m, 0, g.n, workspace, NULL, NULL);
}

/* scores = K Q^T and products = V dOut^T for `count` queries from `row`. */
static void block_scores(const uspi_attention *x, const uspi_attention_gradient *g, parts *p,
                         int64_t row, int64_t count, int64_t columns) {
    const int64_t dims = x->head_dim;
    const void *q = element(x->q, row * x->q_row, x->type);
    const void *dout = element(g->dout, row * g->dout_row, g->dout_type);
    uspi_gemm job = {.m = x->keys, .n = count, .k = dims, .a = x->k, .a_row = x->k_row, .a_col = 1,
                     .a_type = x->type, .compute = x->compute, .b = p->factor, .c = p->scores,
                     .c_row = columns};
    uspi_pack_b(q, 1, x->q_row, x->type, dims, count, x->compute, p->factor, 0, count);
    multiply(job, 1, p->gemm);
    uspi_pack_b(dout, 1, g->dout_row, g->dout_type, dims, count, x->compute, p->factor, 0, count);
    job.a = x->v;
    job.a_row = x->v_row;
    job.c = p->products;
    multiply(job, 1, p->gemm);
}

/* The gradients that a block adds: dq of its queries, and its part of dk and dv. */
static void block_gradients(const uspi_attention *x, const uspi_attention_gradient *g, parts *p,
                            int64_t row, int64_t count, int64_t columns) {
    const int64_t dims = x->head_dim, keys = x->keys;
    uspi_gemm job = {.m = keys, .n = dims, .k = count, .a_row = columns, .a_col = 1,
                     .a_type = USPI_F32, .compute = x->compute, .b = p->factor,
                     .c_type = USPI_F32};
    if (g->dv) {
        const void *dout = element(g->dout, row * g->dout_row, g->dout_type);
        uspi_pack_b(dout, g->dout_row, 1, g->dout_type, count, dims, x->compute, p->factor, 0,
                    dims);
        job.a = p->scores;
        job.c = g->dv;
        job.c_row = g->dv_row;
        job.accumulate = row > 0 || g->add_v;
        multiply(job, 1, p->gemm);
    }
    job.a = p->products;
    if (g->dk) {
        const void *q = element(x->q, row * x->q_row, x->type);
        uspi_pack_b(q, x->q_row, 1, x->type, count, dims, x->compute, p->factor, 0, dims);
        job.c = g->dk;
        job.c_row = g->dk_row;
        job.accumulate = row > 0 || g->add_k;
        multiply(job, x->scale, p->gemm);
    }
    if (g->dq) {
        job.m = count;
        job.k = keys;
        job.a_row = 1;
        job.a_col = columns;
        job.b = p->k;
        job.c = g->dq + row * g->dq_row;
        job.c_row = g->dq_row;
        job.accumulate = g->add_q;
        multiply(job, x->scale, p->gemm);
    }
}

/* The gradient of the scores, added where each took its bias from. */
static void add_bias_gradient(const uspi_attention *x, int64_t row, int64_t count,
                              const float *slopes, int64_t columns, float *dbias) {
    for (int64_t k = 0; k < x->keys; k++) {
        const int32_t *place = x->place + k * x->queries + row;
        for (int64_t q = 0; q < count; q++) dbias[place[q]] += slopes[k * columns + q];
    }
}

void uspi_attention_backward(const uspi_attention *attention,
                             const uspi_attention_gradient *gradient, void *workspace) {
    const uspi_attention *x = attention;
    const int64_t dims = x->head_dim, columns = columns_of(x->queries);
    parts p = lay_out(workspace, x->queries, x->keys, dims, x->compute);
    uspi_pack_b(x->k, x->k_row, 1, x->type, x->keys, dims, x->compute, p.k, 0, dims);
    for (int64_t row = 0; row < x->queries; row += MOST_QUERIES) {
        const int64_t count = x->queries - row < MOST_QUERIES ? x->queries - row : MOST_QUERIES;
        /* the columns past the last query hold nothing that is used */
        memset(p.logsumexp, 0, (size_t)columns * sizeof(float));
        memcpy(p.logsumexp, x->logsumexp + row, (size_t)count * sizeof(float));
        block_scores(x, gradient, &p, row, count, columns);
        uspi_add_bias(x, row, count, p.scores, columns);
        uspi_variant()->softmax_gradient(p.scores, p.products, x->keys, columns, x->scale,
                                         p.logsumexp);
        if (gradient->dbias) add_bias_gradient(x, row, count, p.products, columns, gradient->dbias);
        block_gradients(x, gradient, &p, row, count, columns);
    }
}
