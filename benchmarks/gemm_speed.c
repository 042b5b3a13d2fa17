/* Single-thread rate of the products, plain and with shared sums (Strassen), against the machine's
 * peak, OpenBLAS and oneDNN.
 *   clang -O3 -ffp-contract=fast -ISources/CKernels/include benchmarks/gemm_speed.c \
 *       $(ls Sources/CKernels/| grep '[.]c$' | sed s,^,Sources/CKernels/,) \
 *       -lopenblas -ldnnl -lm -o gemm_speed
 *   env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 ./gemm_speed [instruction set level]
 */
#define _GNU_SOURCE
#include "CKernels.h"
#include <dnnl.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int,
                 float, float *, int);
void openblas_set_num_threads(int);

enum { OURS, GELU, STRASSEN, ONEDNN, OPENBLAS, SIDES, LANES = 24, ROUNDS = 7 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

__attribute__((target("avx512f"))) static float fma_loop(long n) {
    __m512 a[LANES], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < LANES; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < LANES; i++) a[i] = _mm512_fmadd_ps(x, y, a[i]);
        __asm__ volatile("" : "+v"(x), "+v"(y));
    }
    float s = 0;
    for (int i = 0; i < LANES; i++) s += _mm512_reduce_add_ps(a[i]);
    return s;
}

__attribute__((target("avx512f,avx512bf16"))) static float dot_loop(long n) {
    __m512 a[LANES];
    __m512bh x = (__m512bh)_mm512_set1_ps(0.999f), y = (__m512bh)_mm512_set1_ps(1e-3f);
    for (int i = 0; i < LANES; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < LANES; i++) a[i] = _mm512_dpbf16_ps(a[i], x, y);
        __asm__ volatile("" : "+v"(x), "+v"(y));
    }
    float s = 0;
    for (int i = 0; i < LANES; i++) s += _mm512_reduce_add_ps(a[i]);
    return s;
}

static volatile float sink;

static double peak(int bf16) {
    const long n = 400000;
    const double t = now();
    sink = bf16 ? dot_loop(n) : fma_loop(n);
    return (double)n * LANES * (bf16 ? 64 : 32) / (now() - t) / 1e9;
}

/* C[m,n] = A[m,k] B[k,n] with B packed beforehand by whoever multiplies. */
typedef struct {
    int64_t m, n, k;
    int bf16;
    float *a, *b, *bias, *c;
    void *a16, *b16, *packed, *workspace, *strassen;
} operands;

typedef struct {
    dnnl_primitive_t p;
    dnnl_stream_t s;
    dnnl_exec_arg_t args[3];
} product;

static dnnl_engine_t engine;

/* B in the layout that the primitive asks for. */
static dnnl_memory_t reordered(dnnl_memory_t b, const dnnl_memory_desc_t *from,
                               const dnnl_memory_desc_t *to, dnnl_stream_t stream) {
    dnnl_memory_t packed;
    dnnl_memory_create(&packed, to, engine, DNNL_MEMORY_ALLOCATE);
    dnnl_primitive_desc_t reorder;
    dnnl_primitive_t primitive;
    dnnl_reorder_primitive_desc_create(&reorder, from, engine, to, engine, NULL);
    dnnl_primitive_create(&primitive, reorder);
    dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, b}, {DNNL_ARG_TO, packed}};
    dnnl_primitive_execute(primitive, stream, 2, arguments);
    dnnl_stream_wait(stream);
    return packed;
}

static product dnnl_product(const operands *o) {
    const dnnl_data_type_t type = o->bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t da = {o->m, o->k}, db = {o->k, o->n}, dc = {o->m, o->n};
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
    dnnl_memory_t xa, xb, xc;
    dnnl_memory_create(&xa, &ma, engine, o->bf16 ? o->a16 : o->a);
    dnnl_memory_create(&xb, &mb, engine, o->bf16 ? o->b16 : o->b);
    dnnl_memory_create(&xc, &mc, engine, o->c);
    dnnl_stream_create(&r.s, engine, dnnl_stream_default_flags);
    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t xp = reordered(xb, &mb, packed, r.s);
    dnnl_primitive_create(&r.p, pd);
    r.args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, xa};
    r.args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, xp};
    r.args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, xc};
    return r;
}

static void *filled(int64_t count, int bf16) {
    void *p = aligned_alloc(64, ((size_t)count * (bf16 ? 2 : 4) + 63) / 64 * 64);
    for (int64_t i = 0; i < count; i++) {
        const float x = (float)(((uint64_t)i * 2654435761u >> 8) & 0xffff) / 65536.0f - 0.5f;
        if (bf16) uspi_bf16_from_f32(&x, (uint16_t *)p + i, 1);
        else ((float *)p)[i] = x;
    }
    return p;
}

static operands prepared(int64_t m, int64_t n, int64_t k, int compute) {
    return (operands){
        .m = m, .n = n, .k = k, .bf16 = compute == USPI_BF16,
        .a = filled(m * k, 0), .b = filled(n * k, 0), .bias = filled(n, 0), .c = filled(m * n, 0),
        .a16 = filled(m * k, 1), .b16 = filled(n * k, 1),
        .packed = aligned_alloc(64, (uspi_packed_b_size(k, n, compute) + 63) / 64 * 64),
        .workspace = aligned_alloc(64, (uspi_gemm_workspace(k, compute) + 63) / 64 * 64)};
}

static void release(operands *o) {
    void *all[] = {o->a,   o->b,      o->bias,      o->c,       o->a16,
                   o->b16, o->packed, o->workspace, o->strassen};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Seconds of packing, the best of three. */
static double packing(const operands *o, int compute) {
    double best = 1e9;
    for (int r = 0; r < 3; r++) {
        const double t = now();
        uspi_pack_b(o->b, 1, o->k, USPI_F32, o->k, o->n, compute, o->packed, 0, o->n);
        if (now() - t < best) best = now() - t;
    }
    return best;
}

static void run(int side, const operands *o, const uspi_gemm *ours, const product *d) {
    uspi_gemm g = *ours;
    if (side == GELU) g.activation = USPI_ACT_GELU_ERF;
    if (side == OURS || side == GELU) uspi_gemm_run(&g, 0, o->m, 0, o->n, o->workspace, NULL, NULL);
    if (side == STRASSEN && o->strassen) {
        uspi_strassen_run(&g, 0, 0, o->m, 0, o->n, o->strassen, NULL, NULL);
    }
    if (side == ONEDNN && d->p) {
        dnnl_primitive_execute(d->p, d->s, 3, d->args);
        dnnl_stream_wait(d->s);
    }
    if (side == OPENBLAS && !o->bf16) {
        cblas_sgemm(101, 111, 112, (int)o->m, (int)o->n, (int)o->k, 1, o->a, (int)o->k, o->b,
                    (int)o->k, 0, o->c, (int)o->n);
    }
}

static void shape(int64_t m, int64_t n, int64_t k, int compute, const char *note) {
    operands o = prepared(m, n, k, compute);
    const double pack = packing(&o, compute);
    uspi_gemm g = {.m = m, .n = n, .k = k, .a = o.bf16 ? o.a16 : o.a, .a_row = k, .a_col = 1,
                   .a_type = compute, .compute = compute, .b = o.packed, .c = o.c, .c_row = n,
                   .alpha = 1, .bias = o.bias};
    if (!o.bf16 && m > 1 && n % (2 * uspi_gemm_panel()) == 0) {
        const size_t bytes = uspi_strassen_workspace(&g, 0, m, n, 0);
        o.strassen = aligned_alloc(64, (bytes + 63) / 64 * 64);
    }
    product d = dnnl_product(&o);
    double best[SIDES] = {1e9, 1e9, 1e9, 1e9, 1e9}, top = 0;
    const double flops = 2.0 * (double)m * (double)n * (double)k;
    const int repeat = flops < 5e7 ? (int)(5e7 / flops) + 1 : 1;
    for (int r = 0; r < ROUNDS; r++) {
        const double p = peak(o.bf16);
        if (p > top) top = p;
        for (int side = 0; side < SIDES; side++) {
            const double t = now();
            for (int q = 0; q < repeat; q++) run(side, &o, &g, &d);
            const double e = (now() - t) / repeat;
            if (e < best[side]) best[side] = e;
        }
    }
    printf("%-12s %s %5ld %5ld %5ld  ours %6.1f (%4.1f %% of peak %5.1f)  gelu %6.1f", note,
           o.bf16 ? "bf16" : "f32 ", (long)m, (long)n, (long)k, flops / best[OURS] / 1e9,
           100 * flops / best[OURS] / 1e9 / top, top, flops / best[GELU] / 1e9);
    printf("  Strassen %6.1f  oneDNN %6.1f  OpenBLAS %6.1f  pack %.2f ms\n",
           o.strassen ? flops / best[STRASSEN] / 1e9 : 0, d.p ? flops / best[ONEDNN] / 1e9 : 0,
           o.bf16 ? 0 : flops / best[OPENBLAS] / 1e9, pack * 1e3);
    release(&o);
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
