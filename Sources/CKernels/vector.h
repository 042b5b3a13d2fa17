/* Vectors of VECTOR floats, for the files that are compiled once for each instruction set.
 * Products and sums written a * b + c become fused multiply-adds where the set has them. */
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(VECTOR)));
typedef int32_t vi __attribute__((ext_vector_type(VECTOR)));
typedef uint32_t vu __attribute__((ext_vector_type(VECTOR)));
typedef uint16_t vh __attribute__((ext_vector_type(VECTOR)));
typedef float vf_at __attribute__((ext_vector_type(VECTOR), aligned(4), may_alias));
typedef uint32_t vu_at __attribute__((ext_vector_type(VECTOR), aligned(4), may_alias));
typedef uint16_t vh_at __attribute__((ext_vector_type(VECTOR), aligned(2), may_alias));

INLINE vf load(const float *p) { return *(const vf_at *)p; }
INLINE void store(float *p, vf x) { *(vf_at *)p = x; }
INLINE vu load_words(const uint32_t *p) { return *(const vu_at *)p; }
INLINE void store_words(uint32_t *p, vu x) { *(vu_at *)p = x; }
INLINE vh load_halves(const uint16_t *p) { return *(const vh_at *)p; }
INLINE void store_halves(uint16_t *p, vh x) { *(vh_at *)p = x; }

INLINE vf bits_f(vu x) { return (vf)x; }
INLINE vu bits_u(vf x) { return (vu)x; }

INLINE vf f32_of_bf16(vh x) { return bits_f(__builtin_convertvector(x, vu) << 16); }

/* Round to nearest even; NaN stays a quiet NaN. */
INLINE vh bf16_of_f32(vf x) {
    const vu u = bits_u(x);
    const vu rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    const vu quiet = (u >> 16) | 0x40;
    const vi is_nan = x != x;
    return __builtin_convertvector(is_nan ? quiet : rounded, vh);
}

/* The first n < VECTOR elements; the others are zero, and are neither read nor written. */
INLINE vf load_some(const float *p, int64_t n) {
    float part[VECTOR] = {0};
    memcpy(part, p, (size_t)n * sizeof(float));
    return load(part);
}
INLINE void store_some(float *p, vf x, int64_t n) {
    float part[VECTOR];
    store(part, x);
    memcpy(p, part, (size_t)n * sizeof(float));
}
INLINE vf load_some_bf16(const uint16_t *p, int64_t n) {
    uint16_t part[VECTOR] = {0};
    memcpy(part, p, (size_t)n * sizeof(uint16_t));
    return f32_of_bf16(load_halves(part));
}
INLINE void store_some_bf16(uint16_t *p, vf x, int64_t n) {
    uint16_t part[VECTOR];
    store_halves(part, bf16_of_f32(x));
    memcpy(p, part, (size_t)n * sizeof(uint16_t));
}
