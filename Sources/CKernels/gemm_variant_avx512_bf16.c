/* The kernels for AVX-512 with bf16 dot products and VNNI. */
#if defined(__x86_64__)
#include "gemm_variants.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(                                                                     \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni"))), \
    apply_to = function)
#define VECTOR 16
#define MOST 14
#define MOST_BF16 14
#define WIDE 2
#define HAS_BF16_PRODUCTS 1
#define HAS_VNNI 1
#define VARIANT uspi_variant_avx512_bf16
#include "gemm_variant.h"
#pragma clang attribute pop
#endif
