/* 8-bit products for AVX-512 processors with VNNI that have no bf16 dot products. */
#if defined(__x86_64__)
#include "gemm_variants.h"
#include <immintrin.h>

#pragma clang attribute push(                                                                     \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))),            \
    apply_to = function)
#define VECTOR 16
#define MOST 12
#define WIDE 2
#define HAS_VNNI 1
#include "vector.h"
#include "int8_tile.h"
const tile_function uspi_int8_avx512_vnni[2 * MOST] = TILES_INT8;
#pragma clang attribute pop
#endif
