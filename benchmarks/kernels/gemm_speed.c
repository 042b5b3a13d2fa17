/* Single-thread rate of the products against the machine's peak, OpenBLAS and oneDNN.
 * Built with the sources of CKernels: clang -O3 -I its include folder, -lopenblas -ldnnl -lm.
 * Run with OPENBLAS_CORETYPE unset and OMP_NUM_THREADS=1. */
#define _GNU_SOURCE
#include "CKernels.h"
#include <dnnl.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                 float *, int);
void openblas_set_num_threads(int);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

__attribute__((target("avx512f"))) static float fma_loop(long n) {
    __m512 a[24], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < 24; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < 24; i++) a[i] = _mm512_fmadd_ps(x, y, a[i]);
        __asm__ volatile("" : "+v"(x), "+v"(y));
    }
    float s = 0;
    for (int i = 0; i < 24; i++) s += _mm512_reduce_add_ps(a[i]);
    return s;
}

__attribute__((target("avx512f,avx512bf16"))) static float dot_loop(long n) {
    __m512 a[24];
    __m512bh x = (__m512bh)_mm512_set1_ps(0.999f), y = (__m512bh)_mm512_set1_ps(1e-3f);
    for (int i = 0; i < 24; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < 24; i++) a[i] = _mm512_dpbf16_ps(a[i], x, y);
        __asm__ volatile("" : "+v"(x), "+v"(y));
    }
    float s = 0;
    for (int i = 0; i < 24; i++) s += _mm512_reduce_add_ps(a[i]);
    return s;
}

static volatile float sink;

static double peak(int bf16) {
    const long n = 400000;
    const double t = now();
    sink = bf16 ? dot_loop(n) : fma_loop(n);
    return (double)n * 24 * (bf16 ? 64 : 32) / (now() - t) / 1e9;
}

/* oneDNN: C[m,n] = A[m,k] B[k,n] with B reordered beforehand. */
typedef struct { dnnl_primitive_t p; dnnl_stream_t s; dnnl_exec_arg_t args[3]; } product;
static dnnl_engine_t engine;

static product dnnl_product(int64_t m, int64_t n, int64_t k, void *a, void *b, void *c, int bf16) {
    const dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t da = {m, k}, db = {k, n}, dc = {m, n};
    dnnl_memory_desc_t ma, mb, mb_any, mc;
    dnnl_memory_desc_init_by_tag(&ma, 2, da, type, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&mb, 2, db, type, dnnl_ba);
    dnnl_memory_desc_init_by_tag(&mb_any, 2, db, type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&mc, 2, dc, dnnl_f32, dnnl_ab);
    dnnl_matmul_desc_t d;
    dnnl_matmul_desc_init(&d, &ma, &mb_any, NULL, &mc);
    dnnl_primitive_desc_t pd;
    product r;
    memset(&r, 0, sizeof r);
    if (dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL)) return r;
    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t xa, xb, xp, xc;
    dnnl_memory_create(&xa, &ma, engine, a);
    dnnl_memory_create(&xb, &mb, engine, b);
    dnnl_memory_create(&xp, packed, engine, DNNL_MEMORY_ALLOCATE);
    dnnl_memory_create(&xc, &mc, engine, c);
    dnnl_stream_create(&r.s, engine, dnnl_stream_default_flags);
    dnnl_primitive_desc_t reorder;
    dnnl_primitive_t rp;
    dnnl_reorder_primitive_desc_create(&reorder, &mb, engine, packed, engine, NULL);
    dnnl_primitive_create(&rp, reorder);
    dnnl_exec_arg_t ra[2] = {{DNNL_ARG_FROM, xb}, {DNNL_ARG_TO, xp}};
    dnnl_primitive_execute(rp, r.s, 2, ra);
    dnnl_stream_wait(r.s);
    dnnl_primitive_create(&r.p, pd);
    r.args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, xa};
    r.args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, xp};
    r.args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, xc};
    return r;
}

static void *filled(size_t bytes, int bf16) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (size_t i = 0; i < bytes / (bf16 ? 2 : 4); i++) {
        const float x = (float)((i * 2654435761u >> 8) & 0xffff) / 65536.0f - 0.5f;
        if (bf16) uspi_bf16_from_f32(&x, (uint16_t *)p + i, 1);
        else ((float *)p)[i] = x;
    }
    return p;
}

static void shape(int64_t m, int64_t n, int64_t k, int compute, const char *note) {
    const int rounds = 7;
    float *a = filled((size_t)(m * k) * 4, 0), *b = filled((size_t)(n * k) * 4, 0);
    float *bias = filled((size_t)n * 4, 0), *c = filled((size_t)(m * n) * 4, 0);
    void *a16 = filled((size_t)(m * k) * 2, 1), *b16 = filled((size_t)(n * k) * 2, 1);
    void *packed = aligned_alloc(64, uspi_packed_b_size(k, n, compute));
    void *workspace = aligned_alloc(64, (uspi_gemm_workspace(k, compute) + 63) / 64 * 64);
    double pack = 1e9;
    for (int r = 0; r < 3; r++) {
        const double t = now();
        uspi_pack_b(b, 1, k, USPI_F32, k, n, compute, packed, 0, n);
        if (now() - t < pack) pack = now() - t;
    }
    const int bf16 = compute == USPI_BF16;
    uspi_gemm g = {.m = m,
                   .n = n,
                   .k = k,
                   .a = bf16 ? a16 : (void *)a,
                   .a_row = k,
                   .a_col = 1,
                   .a_type = compute,
                   .compute = compute,
                   .b = packed,
                   .c = c,
                   .c_row = n,
                   .alpha = 1,
                   .bias = bias};
    uspi_gemm gelu = g;
    gelu.activation = USPI_ACT_GELU_ERF;
    product d = dnnl_product(m, n, k, bf16 ? a16 : (void *)a, bf16 ? b16 : (void *)b, c, bf16);
    double best[4] = {1e9, 1e9, 1e9, 1e9}, top = 0;
    const double flops = 2.0 * (double)m * (double)n * (double)k;
    const int repeat = flops < 5e7 ? (int)(5e7 / flops) + 1 : 1;
    for (int r = 0; r < rounds; r++) {
        const double p = peak(bf16);
        if (p > top) top = p;
        for (int which = 0; which < 4; which++) {
            const double t = now();
            for (int q = 0; q < repeat; q++) {
                if (which == 0) uspi_gemm_run(&g, 0, m, 0, n, workspace);
                if (which == 1) uspi_gemm_run(&gelu, 0, m, 0, n, workspace);
                if (which == 2 && d.p) {
                    dnnl_primitive_execute(d.p, d.s, 3, d.args);
                    dnnl_stream_wait(d.s);
                }
                if (which == 3 && !bf16)
                    cblas_sgemm(101, 111, 112, (int)m, (int)n, (int)k, 1, a, (int)k, b, (int)k, 0,
                                c, (int)n);
            }
            const double e = (now() - t) / repeat;
            if (e < best[which]) best[which] = e;
        }
    }
    printf("%-14s %s %5ld %5ld %5ld  ours %6.1f (%4.1f %% of peak %5.1f)  gelu %6.1f  oneDNN %6.1f "
           " OpenBLAS %6.1f  pack %.2f ms %.1f GB/s of B\n",
           note, bf16 ? "bf16" : "f32 ", (long)m, (long)n, (long)k, flops / best[0] / 1e9,
           100 * flops / best[0] / 1e9 / top, top, flops / best[1] / 1e9,
           d.p ? flops / best[2] / 1e9 : 0, bf16 ? 0 : flops / best[3] / 1e9, pack * 1e3,
           (double)uspi_packed_b_size(k, n, compute) / best[0] / 1e9);
    free(a); free(b); free(bias); free(c); free(a16); free(b16); free(packed); free(workspace);
}

int main(int argc, char **argv) {
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    openblas_set_num_threads(1);
    if (argc > 1) printf("level %s\n", uspi_isa_name(uspi_set_isa(atoi(argv[1]))));
    for (int compute = 0; compute < 2; compute++) {
        shape(2048, 2304, 768, compute, "B/2 qkv");
        shape(2048, 768, 768, compute, "B/2 out");
        shape(2048, 3072, 768, compute, "B/2 up");
        shape(2048, 768, 3072, compute, "B/2 down");
        shape(512, 3456, 1152, compute, "XL/2 qkv");
        shape(512, 1152, 4608, compute, "XL/2 down");
        shape(256, 384, 384, compute, "S/2 out");
        shape(768, 768, 2048, compute, "weight grad");
        shape(1024, 512, 4608, compute, "conv 512");
        shape(8, 4608, 768, compute, "adaLN 8");
        shape(1, 4608, 768, compute, "adaLN 1");
        shape(4096, 128, 1152, compute, "conv 128");
    }
    return 0;
}
