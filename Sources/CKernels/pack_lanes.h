/* Packing: up to LANES vectors along k woven word by word (see pack_function). */

/* Words s..<s+count of one lane as 32-bit words of the packed type, zeros past k. */
INLINE void lane_words(const lanes_source *source, int lane, int64_t s, int count, int64_t k,
                       int32_t compute, uint32_t *words) {
    const char *base = source->lane[lane];
    const int64_t stride = source->k_stride;
    const int per_word = compute == USPI_BF16 ? 2 : 1;
    for (int w = 0; w < count; w++) {
        uint32_t word = 0;
        for (int h = 0; h < per_word; h++) {
            const int64_t p = (s + w) * per_word + h;
            if (p >= k || !base) continue;
            uint32_t bits;
            if (source->type == USPI_BF16) {
                bits = (uint32_t)((const uint16_t *)base)[p * stride] << 16;
            } else {
                bits = ((const uint32_t *)base)[p * stride];
            }
            if (compute == USPI_BF16) {
                if (source->type == USPI_F32) {
                    const int nan = (bits & 0x7fffffff) > 0x7f800000;
                    bits = nan ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1);
                }
                word |= h ? bits & 0xffff0000u : bits >> 16;
            } else {
                word = bits;
            }
        }
        words[w] = word;
    }
}

/* Any strides and types, through a small square of words, from this step on. */
static void pack_rest(const lanes_source *source, int64_t from, int64_t k, int width,
                      int32_t compute, uint32_t *target, int64_t target_stride) {
    const int64_t steps = steps_of(k, compute);
    for (int64_t s = from; s < steps; s += LANES) {
        const int count = steps - s < LANES ? (int)(steps - s) : LANES;
        uint32_t words[LANES][LANES];
        memset(words, 0, sizeof words);
        for (int l = 0; l < source->count; l++) {
            lane_words(source, l, s, count, k, compute, words[l]);
        }
        for (int w = 0; w < count; w++) {
            for (int l = 0; l < width; l++) target[(s + w) * target_stride + l] = words[l][w];
        }
    }
}

static void pack_any(const lanes_source *source, int64_t k, int width, int32_t compute,
                     uint32_t *target, int64_t target_stride) {
    pack_rest(source, 0, k, width, compute, target, target_stride);
}

#if VECTOR == 16

/* Rows of 16 words become columns. */
INLINE void transpose_16(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        const __m512i low = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        const __m512i high = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        const __m512i high2 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_i32x4(low, low2, 0x88);
        t[i + 8] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        t[i + 4] = _mm512_shuffle_i32x4(high, high2, 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

/* Two vectors of f32 as 32 bf16, `low` in the lower half. */
INLINE __m512i narrow(__m512 low, __m512 high) {
#if defined(HAS_BF16_PRODUCTS)
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
#else
    const __m256i a = (__m256i)bf16_of_f32((vf)low);
    const __m256i b = (__m256i)bf16_of_f32((vf)high);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
#endif
}

INLINE __mmask16 lanes_below(int64_t n) {
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

/* Sixteen f32 at p, only the first n of them. */
INLINE __m512 some_f32(const void *p, int32_t type, int64_t offset, int64_t n) {
    if (type == USPI_F32) return _mm512_maskz_loadu_ps(lanes_below(n), (const float *)p + offset);
    const __m256i half = _mm256_maskz_loadu_epi16(lanes_below(n), (const uint16_t *)p + offset);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* Sixteen words along k of one lane from element p; n elements are left. */
INLINE __m512i words_along_k(const void *lane, const int32_t type, const int32_t compute,
                             int64_t p, int64_t n) {
    if (!lane) return _mm512_setzero_si512();
    if (compute == USPI_F32) return _mm512_castps_si512(some_f32(lane, type, p, n));
    if (type == USPI_BF16) {
        const uint16_t *at = (const uint16_t *)lane + p;
        const __mmask32 mask = n >= 32 ? 0xffffffffu : (1u << n) - 1;
        return _mm512_maskz_loadu_epi16(mask, at);
    }
    const __m512 low = some_f32(lane, type, p, n);
    return narrow(low, n > 16 ? some_f32(lane, type, p + 16, n - 16) : _mm512_setzero_ps());
}

/* Where each lane reads: lanes that do not exist read lane 0, whose words nobody will use. */
INLINE void lane_starts(const lanes_source *source, const void *start[16]) {
    for (int l = 0; l < 16; l++) start[l] = source->lane[l < source->count ? l : 0];
}

/* Sixteen whole words along k of one lane. */
INLINE __m512i whole_words(const void *lane, const int32_t type, const int32_t compute,
                           int64_t p) {
    if (type == USPI_BF16 && compute == USPI_BF16) {
        return _mm512_loadu_si512((const uint16_t *)lane + p);
    }
    if (type == USPI_BF16) {
        const __m256i half = _mm256_loadu_si256((const __m256i *)((const uint16_t *)lane + p));
        return _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
    }
    const float *at = (const float *)lane + p;
    if (compute == USPI_F32) return _mm512_loadu_si512(at);
    return narrow(_mm512_loadu_ps(at), _mm512_loadu_ps(at + 16));
}

/* k contiguous: squares of 16 words by 16 lanes, the last one masked. `whole` lanes all exist. */
INLINE void pack_squares(const lanes_source *source, const int32_t type, const int32_t compute,
                         int64_t k, uint32_t *target, int64_t target_stride, const int whole) {
    const int64_t steps = steps_of(k, compute);
    const int per_word = compute == USPI_BF16 ? 2 : 1;
    /* elements in 512 bytes; past the end of these lanes lie those that are packed next */
    const int64_t far = type == USPI_BF16 ? 256 : 128, ahead = far < k ? far : k;
    const int64_t onwards = source->lane_stride ? source->count * source->lane_stride - k : 0;
    const void *start[16];
    lane_starts(source, start);
    int64_t s = 0;
    for (; s + 16 <= steps && (s + 16) * per_word <= k; s += 16) {
        __m512i square[16];
        const int64_t p = s * per_word, soon = p + ahead + (p + ahead < k ? 0 : onwards);
#pragma clang loop unroll(full)
        for (int l = 0; l < 16; l++) {
            if (whole) {
                _mm_prefetch((const char *)element(start[l], soon, type), _MM_HINT_T0);
                square[l] = whole_words(start[l], type, compute, p);
            } else {
                square[l] = words_along_k(start[l], type, compute, p, k - p);
            }
        }
        transpose_16(square);
        uint32_t *out = target + s * target_stride;
#pragma clang loop unroll(full)
        for (int w = 0; w < 16; w++) _mm512_storeu_si512(out + w * target_stride, square[w]);
    }
    if (s == steps) return;
    __m512i square[16];
    for (int l = 0; l < 16; l++) {
        square[l] = words_along_k(start[l], type, compute, s * per_word, k - s * per_word);
    }
    transpose_16(square);
    uint32_t *out = target + s * target_stride;
    for (int w = 0; w < steps - s; w++) _mm512_storeu_si512(out + w * target_stride, square[w]);
}

INLINE void pack_along_k(const lanes_source *source, const int32_t type, const int32_t compute,
                         int64_t k, uint32_t *target, int64_t target_stride) {
    int whole = source->count > 0;
    for (int l = 0; l < source->count; l++) whole &= source->lane[l] != NULL;
    if (whole) {
        pack_squares(source, type, compute, k, target, target_stride, 1);
    } else {
        pack_squares(source, type, compute, k, target, target_stride, 0);
    }
}

/* The order that puts halves 0, 16, 1, 17, ... side by side. */
INLINE __m512i weave_halves(void) {
    return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                            22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}

/* Steps from where lanes that lie across are read to where they are asked for: no processor expects
 * them. */
enum { STEPS_AHEAD = 16 };

/* Lanes lie across: one vector a step; `whole`: sixteen lanes. */
INLINE void pack_steps(const lanes_source *source, const int32_t type, const int32_t compute,
                       const int whole, int64_t k, int width, uint32_t *target,
                       int64_t target_stride) {
    const void *base = source->lane[0];
    const int64_t stride = source->k_stride, count = whole ? LANES : source->count;
    const __mmask16 written = whole ? 0xffff : lanes_below(width);
    const __m512i weave = weave_halves();
    const int per_word = compute == USPI_BF16 ? 2 : 1;
    for (int64_t p = 0; p < k; p += per_word, target += target_stride) {
        for (int h = 0; h < per_word; h++) {
            const int64_t soon = (p + h + STEPS_AHEAD) * stride;
            _mm_prefetch((const char *)element(base, soon, type), _MM_HINT_T0);
        }
        const __m512 first = some_f32(base, type, p * stride, count);
        __m512i words = _mm512_castps_si512(first);
        if (compute == USPI_BF16) {
            const __m512 second = p + 1 < k ? some_f32(base, type, (p + 1) * stride, count)
                                            : _mm512_setzero_ps();
            words = _mm512_permutexvar_epi16(weave, narrow(first, second));
        }
        if (whole) _mm512_storeu_si512(target, words);
        else _mm512_mask_storeu_epi32(target, written, words);
    }
}

INLINE void pack_across(const lanes_source *source, const int32_t type, const int32_t compute,
                        int64_t k, int width, uint32_t *target, int64_t target_stride) {
    if (source->count == LANES) {
        pack_steps(source, type, compute, 1, k, width, target, target_stride);
    } else {
        pack_steps(source, type, compute, 0, k, width, target, target_stride);
    }
}

#define FOR_TYPES(function, ...)                                                                   \
    if (source->type == USPI_F32 && compute == USPI_F32) {                                         \
        function(source, USPI_F32, USPI_F32, __VA_ARGS__);                                         \
    } else if (source->type == USPI_F32) {                                                         \
        function(source, USPI_F32, USPI_BF16, __VA_ARGS__);                                        \
    } else if (compute == USPI_F32) {                                                              \
        function(source, USPI_BF16, USPI_F32, __VA_ARGS__);                                        \
    } else {                                                                                       \
        function(source, USPI_BF16, USPI_BF16, __VA_ARGS__);                                       \
    }

static void pack_lanes(const lanes_source *source, int64_t k, int width, int32_t compute,
                       uint32_t *target, int64_t target_stride) {
    if (compute == USPI_INT8) {
        pack_int8(source, k, width, target, target_stride);
    } else if (source->count == 0) {
        pack_any(source, k, width, compute, target, target_stride); /* only zeros */
    } else if (source->k_stride == 1) {
        FOR_TYPES(pack_along_k, k, target, target_stride)
    } else if (source->lane_stride == 1) {
        FOR_TYPES(pack_across, k, width, target, target_stride)
    } else {
        pack_any(source, k, width, compute, target, target_stride);
    }
}

#elif VECTOR == 8

/* Rows of 8 words become columns. */
INLINE void transpose_8(__m256 r[8]) {
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

/* f32 along k: squares of 8 words by 8 lanes, one or two side by side; `halves` of LANES are written,
 * whose surplus words later steps overwrite. Lanes past `count` read lane 0: nobody uses them. */
INLINE void pack_along_k(const lanes_source *source, int64_t k, const int halves, uint32_t *target,
                         int64_t target_stride, int64_t steps) {
    enum { AHEAD = 128 };
    const float *lane[LANES];
    for (int l = 0; l < LANES; l++) lane[l] = source->lane[l < source->count ? l : 0];
    for (int64_t s = 0; s < steps; s += 8) {
        __m256 square[2][8];
#pragma clang loop unroll(full)
        for (int half = 0; half < halves; half++) {
#pragma clang loop unroll(full)
            for (int l = 0; l < 8; l++) {
                const float *at = lane[8 * half + l];
                square[half][l] = at ? _mm256_loadu_ps(at + s) : _mm256_setzero_ps();
                if (at && s + AHEAD < k) _mm_prefetch((const char *)(at + s + AHEAD), _MM_HINT_T0);
            }
            transpose_8(square[half]);
        }
        float *out = (float *)target + s * target_stride;
#pragma clang loop unroll(full)
        for (int w = 0; w < 8; w++) {
            _mm256_storeu_ps(out + w * target_stride, square[0][w]);
            if (halves > 1) _mm256_storeu_ps(out + w * target_stride + 8, square[1][w]);
        }
    }
}

/* f32 whose lanes lie across: a row of them a step. */
INLINE void pack_across(const lanes_source *source, int64_t k, int width, uint32_t *target,
                        int64_t target_stride) {
    enum { STEPS_AHEAD = 16 };
    const float *row = source->lane[0];
    const int count = source->count;
    for (int64_t p = 0; p < k; p++, row += source->k_stride, target += target_stride) {
        if (p + STEPS_AHEAD < k) {
            _mm_prefetch((const char *)(row + STEPS_AHEAD * source->k_stride), _MM_HINT_T0);
        }
        float *out = (float *)target;
        if (count == LANES) {
            _mm256_storeu_ps(out, _mm256_loadu_ps(row));
            _mm256_storeu_ps(out + 8, _mm256_loadu_ps(row + 8));
            continue;
        }
        int l = 0;
        for (; l < count; l++) out[l] = row[l];
        for (; l < width; l++) out[l] = 0;
    }
}

static void pack_lanes(const lanes_source *source, int64_t k, int width, int32_t compute,
                       uint32_t *target, int64_t target_stride) {
    const int plain = source->type == USPI_F32 && compute == USPI_F32 && source->count > 0;
    if (compute == USPI_INT8) {
        pack_int8(source, k, width, target, target_stride);
    } else if (plain && source->k_stride == 1) {
        const int64_t steps = k & ~INT64_C(7);
        if (width > 8) pack_along_k(source, k, 2, target, target_stride, steps);
        else pack_along_k(source, k, 1, target, target_stride, steps);
        pack_rest(source, steps, k, width, compute, target, target_stride);
    } else if (plain && source->lane_stride == 1 && source->lane[0]) {
        pack_across(source, k, width, target, target_stride);
    } else {
        pack_any(source, k, width, compute, target, target_stride);
    }
}

#else

static void pack_lanes(const lanes_source *source, int64_t k, int width, int32_t compute,
                       uint32_t *target, int64_t target_stride) {
    if (compute == USPI_INT8) pack_int8(source, k, width, target, target_stride);
    else pack_any(source, k, width, compute, target, target_stride);
}

#endif
