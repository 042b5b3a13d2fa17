/* Packing in 8 bits (see int8_tile.h): the largest magnitude of a row, or a column of B, becomes 127.
 * Rounding is to the nearest integer, of halves to the even one, in the same order of operations on
 * every instruction set. */

/* Elements p..<p + VECTOR of a lane as f32; `count` (<= VECTOR) exist. */
INLINE vf lane_floats(const lanes_source *source, int lane, int64_t p, int64_t count) {
    const int is_bf16 = source->type == USPI_BF16;
    const void *base = source->lane[lane];
    if (source->k_stride == 1) return read_as(is_bf16, count == VECTOR, base, p, count);
    float part[VECTOR] = {0};
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = (p + i) * source->k_stride;
        part[i] = is_bf16 ? f32_of_bf16((vh)((const uint16_t *)base)[at])[0]
                          : ((const float *)base)[at];
    }
    return load(part);
}

/* The bits of a lane's largest magnitude, which are in the order of the magnitudes: those of NaN
 * are above infinity's. */
INLINE uint32_t largest_magnitude(const lanes_source *source, int lane, int64_t k) {
    vu most = 0;
    for (int64_t p = 0; p < k; p += VECTOR) {
        const int64_t left = k - p;
        const vf value = lane_floats(source, lane, p, left < VECTOR ? left : VECTOR);
        most = __builtin_elementwise_max(most, bits_u(value) & 0x7fffffffu);
    }
    uint32_t result = 0;
    for (int i = 0; i < VECTOR; i++) result = most[i] > result ? most[i] : result;
    return result;
}

/* What a lane is multiplied by, and what its integers are: a row of zeros (to 2^-100) has zeros, a
 * row with an infinity or a NaN has NaN for a scale. */
typedef struct int8_scales {
    float forth, back;
} int8_scales;

INLINE int8_scales int8_scales_of(uint32_t magnitude) {
    float most;
    memcpy(&most, &magnitude, sizeof most);
    if (!(most < INFINITY)) return (int8_scales){0.0f, NAN};
    if (most < 0x1p-100f) return (int8_scales){0.0f, 0.0f};
    return (int8_scales){127.0f / most, most / 127.0f};
}

enum { INT8_SPAN = 4 * LANES /* integers of a lane that are packed together */ };

/* `count` integers of a lane from element p, zeros after them; returns their sum. */
INLINE int32_t quantized(const lanes_source *source, int lane, float forth, int64_t p,
                         int64_t count, int8_t *integers) {
    typedef int8_t bytes __attribute__((ext_vector_type(VECTOR)));
    vi sums = 0;
    for (int64_t i = 0; i < INT8_SPAN; i += VECTOR) {
        vi whole = 0;
        if (i < count) {
            const int64_t some = count - i < VECTOR ? count - i : VECTOR;
            vf value = lane_floats(source, lane, p + i, some);
            value = forth == 0.0f ? (vf)0.0f : value * forth; /* not 0 * NaN */
            whole = __builtin_convertvector(__builtin_elementwise_roundeven(value), vi);
        }
        sums += whole;
        const bytes narrow = __builtin_convertvector(whole, bytes);
        memcpy(integers + i, &narrow, sizeof narrow);
    }
    int32_t sum = 0;
    for (int i = 0; i < VECTOR; i++) sum += sums[i];
    return sum;
}

/* Integers as they are. */
INLINE void copied_integers(const lanes_source *source, int lane, int64_t p, int64_t count,
                            int8_t *integers) {
    const int8_t *base = source->lane[lane];
    for (int64_t i = 0; i < INT8_SPAN; i++) {
        integers[i] = i < count ? base[(p + i) * source->k_stride] : 0;
    }
}

/* Lanes of f32 or bf16, each with the scale of its largest magnitude; or of integers that have been
 * made before, with the scale 1, which uspi_scale_columns replaces. */
static void pack_int8(const lanes_source *source, int64_t k, int width, uint32_t *target,
                      int64_t target_stride) {
    const uint32_t flip = source->biased ? 0x80808080u : 0;
    const int is_made = source->type == USPI_INT8;
    const int64_t steps = words_of(k, USPI_INT8);
    int8_scales scales[LANES];
    int32_t sums[LANES] = {0};
    for (int l = 0; l < width; l++) {
        const int exists = l < source->count && source->lane[l];
        scales[l] = (int8_scales){0.0f, exists && is_made ? 1.0f : 0.0f};
        if (exists && !is_made) scales[l] = int8_scales_of(largest_magnitude(source, l, k));
    }
    for (int64_t s = 0; s < steps; s += LANES) {
        uint32_t square[LANES][LANES];
        const int64_t p = 4 * s, count = k - p < INT8_SPAN ? k - p : INT8_SPAN;
        memset(square, 0, sizeof square);
        for (int l = 0; l < width && l < source->count; l++) {
            if (!source->lane[l]) continue;
            int8_t *integers = (int8_t *)square[l];
            if (is_made) copied_integers(source, l, p, count, integers);
            else sums[l] += quantized(source, l, scales[l].forth, p, count, integers);
        }
        const int64_t some = steps - s < LANES ? steps - s : LANES;
        for (int64_t w = 0; w < some; w++) {
            uint32_t *out = target + (s + w) * target_stride;
            for (int l = 0; l < width; l++) out[l] = square[l][w] ^ flip;
        }
    }
    uint32_t *ends = target + steps * target_stride;
    for (int l = 0; l < width; l++) {
        memcpy(ends + l, &scales[l].back, sizeof(float));
        ends[target_stride + l] = (uint32_t)(INT8_BIAS * sums[l]);
    }
}
