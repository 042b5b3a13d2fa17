/* 8-bit products for AVX2 processors with VNNI. */
#if defined(__x86_64__)
#include "gemm_variants.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#define VECTOR 8
#define MOST 6
#define WIDE 2
#define HAS_VNNI 1
#include "vector.h"
#include "int8_tile.h"
const tile_function uspi_int8_avx_vnni[2 * MOST] = TILES_INT8;
#pragma clang attribute pop
#endif
