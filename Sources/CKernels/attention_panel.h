/* The parts of attention between its products, on a panel of PANEL queries side by side: row k of
 * the scores belongs to key k, so that a softmax runs down the rows without crossing vectors. */

enum { ACROSS = PANEL / VECTOR };

/* 2^x for x <= 0 and little above (about 1e-38 or less below -125). */
INLINE vf exp2_below_one(vf x) {
#if VECTOR == 16
    return exp2_bounded(x);
#else
    const vf low = -125.0f;
    return exp2_bounded(x < low ? low : x);
#endif
}

/* The same for a probability that becomes a bf16 if the products are of bf16. */
INLINE vf probability(vf x, const int32_t compute) {
#if VECTOR == 16
    if (compute == USPI_BF16) return quick_exp2(x);
#endif
    return exp2_below_one(x);
}

/* Pairs of bf16 in words, `even` in the lower halves. */
INLINE vu pairs_of_bf16(vf even, vf odd) {
#if defined(HAS_BF16_PRODUCTS)
    return (vu)_mm512_permutexvar_epi16(weave_halves(), narrow((__m512)even, (__m512)odd));
#else
    return __builtin_convertvector(bf16_of_f32(even), vu) |
           (__builtin_convertvector(bf16_of_f32(odd), vu) << 16);
#endif
}

INLINE void column_maxima(const float *scores, int64_t keys, const int across,
                          vf maximum[ACROSS]) {
    vf other[ACROSS];
    for (int j = 0; j < across; j++) maximum[j] = other[j] = load(scores + j * VECTOR);
    int64_t k = 1;
    for (; k + 2 <= keys; k += 2) {
        for (int j = 0; j < across; j++) {
            const vf x = load(scores + k * PANEL + j * VECTOR);
            const vf y = load(scores + (k + 1) * PANEL + j * VECTOR);
            maximum[j] = x > maximum[j] ? x : maximum[j];
            other[j] = y > other[j] ? y : other[j];
        }
    }
    for (int j = 0; j < across; j++) {
        if (k < keys) {
            const vf x = load(scores + k * PANEL + j * VECTOR);
            maximum[j] = x > maximum[j] ? x : maximum[j];
        }
        maximum[j] = other[j] > maximum[j] ? other[j] : maximum[j];
    }
}

/* Scores become exp(scale (score - maximum)), in f32 or as words of bf16 pairs, in place. */
INLINE void softmax_of(float *scores, int64_t keys, const int across, float scale,
                       const int32_t compute, softmax_result *result) {
    const float factor = scale * 1.44269504088896341f;
    vf maximum[ACROSS], shift[ACROSS], sum[ACROSS], odd_sum[ACROSS];
    column_maxima(scores, keys, across, maximum);
    for (int j = 0; j < across; j++) {
        shift[j] = maximum[j] * factor;
        sum[j] = odd_sum[j] = (vf)0.0f;
    }
    uint32_t *words = (uint32_t *)scores;
    for (int64_t k = 0; k < keys; k += 2) {
        for (int j = 0; j < across; j++) {
            float *at = scores + k * PANEL + j * VECTOR;
            const vf even = probability(load(at) * factor - shift[j], compute);
            vf odd = 0.0f;
            if (k + 1 < keys) odd = probability(load(at + PANEL) * factor - shift[j], compute);
            sum[j] += even;
            odd_sum[j] += odd;
            if (compute == USPI_BF16) {
                store_words(words + k / 2 * PANEL + j * VECTOR, pairs_of_bf16(even, odd));
            } else {
                store(at, even);
                if (k + 1 < keys) store(at + PANEL, odd);
            }
        }
    }
    for (int j = 0; j < across; j++) {
        store(result->maximum + j * VECTOR, maximum[j]);
        store(result->sum + j * VECTOR, sum[j] + odd_sum[j]);
    }
}

static void softmax_columns(float *scores, int64_t keys, int queries, float scale,
                            int32_t compute, softmax_result *result) {
    const int narrow = queries <= PANEL / 2;
    if (compute == USPI_BF16) {
        if (narrow) softmax_of(scores, keys, ACROSS / 2, scale, USPI_BF16, result);
        else softmax_of(scores, keys, ACROSS, scale, USPI_BF16, result);
    } else {
        if (narrow) softmax_of(scores, keys, ACROSS / 2, scale, USPI_F32, result);
        else softmax_of(scores, keys, ACROSS, scale, USPI_F32, result);
    }
}

#if VECTOR == 16
INLINE void write_block(const float *sums, int64_t d, int dims, int first_query, int queries,
                        const float *factor, void *out, int64_t out_row, int32_t type) {
    __m512i square[16];
    const __m512 scale = _mm512_loadu_ps(factor + first_query);
    for (int i = 0; i < 16; i++) {
        square[i] = _mm512_setzero_si512();
        if (i < dims) {
            const float *at = sums + (d + i) * PANEL + first_query;
            square[i] = _mm512_castps_si512(_mm512_mul_ps(_mm512_loadu_ps(at), scale));
        }
    }
    transpose_16(square);
#pragma clang loop unroll(full)
    for (int q = 0; q < 16; q++) {
        if (q >= queries) continue;
        const int64_t at = (first_query + q) * out_row + d;
        if (type == USPI_BF16) {
            const __m256i halves = (__m256i)bf16_of_f32((vf)square[q]);
            _mm256_mask_storeu_epi16((uint16_t *)out + at, lanes_below(dims), halves);
        } else {
            _mm512_mask_storeu_epi32((float *)out + at, lanes_below(dims), square[q]);
        }
    }
}
#endif

/* out[q][d] = sums[d][q] * factor[q]. */
static void write_columns(const float *sums, int64_t dims, int queries, const float *factor,
                          void *out, int64_t out_row, int32_t type) {
#if VECTOR == 16
    for (int64_t d = 0; d < dims; d += 16) {
        const int count = dims - d < 16 ? (int)(dims - d) : 16;
        for (int q = 0; q < queries; q += 16) {
            const int some = queries - q < 16 ? queries - q : 16;
            write_block(sums, d, count, q, some, factor, out, out_row, type);
        }
    }
#else
    for (int q = 0; q < queries; q++) {
        for (int64_t d = 0; d < dims; d++) {
            const float value = sums[d * PANEL + q] * factor[q];
            if (type == USPI_BF16) {
                bf16_from_f32(&value, (uint16_t *)out + q * out_row + d, 1);
            } else {
                ((float *)out)[q * out_row + d] = value;
            }
        }
    }
#endif
}

/* For `columns` (a multiple of PANEL, at most MOST_QUERIES) queries side by side: scores become the
 * probabilities p = exp(scale score - logsumexp), and products dp become p (dp - sum_k p dp). */
static void softmax_gradient(float *scores, float *products, int64_t keys, int64_t columns,
                             float scale, const float *logsumexp) {
    float totals[MOST_QUERIES] = {0};
    for (int64_t k = 0; k < keys; k++) {
        for (int64_t c = 0; c < columns; c += VECTOR) {
            float *at = scores + k * columns + c;
            const vf exponent = load(at) * scale - load(logsumexp + c);
            const vf p = exp2_below_one(exponent * 1.44269504088896341f);
            store(at, p);
            store(totals + c, p * load(products + k * columns + c) + load(totals + c));
        }
    }
    for (int64_t k = 0; k < keys; k++) {
        for (int64_t c = 0; c < columns; c += VECTOR) {
            float *at = products + k * columns + c;
            store(at, load(scores + k * columns + c) * (load(at) - load(totals + c)));
        }
    }
}
