/* The kernels for AVX2 with FMA. */
#if defined(__x86_64__)
#include "gemm_variants.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define VECTOR 8
#define MOST 6
#define MOST_BF16 3
#define WIDE 2
#define INT8_VNNI uspi_int8_avx_vnni
#define VARIANT uspi_variant_avx2
#include "gemm_variant.h"
#pragma clang attribute pop
#endif
