/* The kernels for AVX-512. */
#if defined(__x86_64__)
#include "gemm_variants.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(                                                                     \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))),        \
    apply_to = function)
#define VECTOR 16
#define MOST 12
#define MOST_BF16 12
#define WIDE 2
#define INT8_VNNI uspi_int8_avx512_vnni
#define VARIANT uspi_variant_avx512
#include "gemm_variant.h"
#pragma clang attribute pop
#endif
