/* Matrix products of one thread: packed right operand, fused epilogue. */
#ifndef USPI_GEMM_H
#define USPI_GEMM_H
#include <stddef.h>
#include <stdint.h>

typedef enum { USPI_F32 = 0, USPI_BF16 = 1 } uspi_type;
typedef enum { USPI_ACT_NONE, USPI_ACT_GELU_ERF, USPI_ACT_GELU_TANH, USPI_ACT_SILU } uspi_activation;

typedef struct uspi_gemm {
    int64_t m, n, k;
    const void *a; int64_t a_row, a_col; int32_t a_type;
    const void *b;
    int32_t compute;
    void *c; int64_t c_row; int32_t c_type;
    float alpha; int32_t accumulate;
    const float *bias;
    int32_t activation; void *pre;
    const float *gate; int64_t gate_row, gate_period; int64_t row0;
    const float *residual; int64_t residual_row;
} uspi_gemm;

size_t uspi_packed_b_size(int64_t k, int64_t n, int32_t compute);
void uspi_pack_b(const void *b, int64_t b_row, int64_t b_col, int32_t b_type, int64_t k, int64_t n,
                 int32_t compute, void *packed, int64_t n_begin, int64_t n_end);
size_t uspi_gemm_workspace(int64_t k, int32_t compute);
void uspi_gemm_run(const uspi_gemm *g, int64_t m_begin, int64_t m_end, int64_t n_begin, int64_t n_end,
                   void *workspace);
int64_t uspi_gemm_panel(void);
void uspi_activation_forward(int32_t act, const float *x, float *y, int64_t n);
void uspi_activation_backward(int32_t act, const float *pre, const float *dy, float *dx, int64_t n);

#endif
