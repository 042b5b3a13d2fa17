/* The tiles of 8-bit products for instructions that the processor has not: SIMDe
 * (github.com/simd-everywhere/simde) computes what these would, from the source that is shipped, against
 * sums of 32-bit integers. -DSET=1: AVX-VNNI; 2 and 3: AVX-512 with VNNI, tiles of 12 and 14 rows; 4:
 * AVX-512 without it. */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
#undef _mm512_madd_epi16 /* SIMDe 0.7.4 gives it the masked one's arguments */
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

#include "gemm_variants.h"
#include <stdio.h>
#include <stdlib.h>

#if SET == 1
#define VECTOR 8
#define MOST 6
#elif SET == 2 || SET == 4
#define VECTOR 16
#define MOST 12
#else
#define VECTOR 16
#define MOST 14
#endif
#define WIDE 2
#if SET != 4
#define HAS_VNNI 1
#endif
#include "vector.h"
#include "int8_tile.h"
static const tile_function tiles[2 * MOST] = TILES_INT8;

enum { STEPS = 129, DEPTH = 4 * STEPS };
static int8_t a[MOST][DEPTH], b[PANEL][DEPTH];
static float a_scale[MOST], b_scale[PANEL];
static uint32_t a_words[(STEPS + INT8_ENDS) * MOST], b_words[(STEPS + INT8_ENDS) * PANEL];
static uint64_t state = 1;

static uint32_t next_number(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Integers of the whole range, many of them extreme: what 16-bit sums would saturate at. */
static int8_t integer(int least) {
    const uint32_t number = next_number();
    if (number % 4 == 0) return number & 16 ? 127 : (int8_t)least;
    return (int8_t)((int)(number >> 8) % (128 - least) + least);
}

static uint32_t word(const int8_t *integers, uint32_t flip) {
    uint32_t bits;
    memcpy(&bits, integers, sizeof bits);
    return bits ^ flip;
}

static void pack(int rows, int steps) {
    for (int s = 0; s < steps; s++) {
        for (int i = 0; i < rows; i++) a_words[s * rows + i] = word(&a[i][4 * s], 0);
        for (int j = 0; j < PANEL; j++) b_words[s * PANEL + j] = word(&b[j][4 * s], 0x80808080u);
    }
    for (int i = 0; i < rows; i++) {
        int32_t sum = 0;
        for (int p = 0; p < 4 * steps; p++) sum += a[i][p];
        memcpy(&a_words[steps * rows + i], &a_scale[i], sizeof(float));
        a_words[(steps + 1) * rows + i] = (uint32_t)(INT8_BIAS * sum);
    }
    for (int j = 0; j < PANEL; j++) {
        memcpy(&b_words[steps * PANEL + j], &b_scale[j], sizeof(float));
        b_words[(steps + 1) * PANEL + j] = 0;
    }
}

static int wrong_elements(int rows, int columns, int steps) {
    float tile[MOST * PANEL];
    const coming none = {(const char *)b_words, 0};
    const tile_function *kernels = columns == PANEL ? tiles : tiles + MOST;
    pack(rows, steps);
    kernels[rows - 1](steps + INT8_ENDS, a_words, b_words, tile, none);
    int wrong = 0;
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) {
            int32_t sum = 0;
            for (int p = 0; p < 4 * steps; p++) sum += (int32_t)a[i][p] * b[j][p];
            const float scale = a_scale[i] * b_scale[j];
            wrong += tile[i * PANEL + j] != (float)sum * scale;
        }
    }
    return wrong;
}

int main(void) {
    for (int i = 0; i < MOST; i++) {
        for (int p = 0; p < DEPTH; p++) a[i][p] = integer(-127);
        a_scale[i] = (float)(next_number() % 1000 + 1) / 127000.0f;
    }
    for (int j = 0; j < PANEL; j++) {
        for (int p = 0; p < DEPTH; p++) b[j][p] = integer(-128);
        b_scale[j] = (float)(next_number() % 1000 + 1) / 127000.0f;
    }
    int wrong = 0, cases = 0;
    for (int rows = 1; rows <= MOST; rows++) {
        for (int steps = 0; steps <= STEPS; steps += steps < 3 ? 1 : 63, cases += 2) {
            wrong += wrong_elements(rows, PANEL, steps) + wrong_elements(rows, PANEL / 2, steps);
        }
    }
    printf("8-bit products, emulated instructions (%d): %d tiles, %d wrong elements\n", SET, cases, wrong);
    return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
