/* Layer and RMS norm forward, some rows at a time: their sums do not wait for each other, and what
 * modulates them is read once. A row's sums run over sixteen lanes that are folded in one order,
 * whatever the instruction set and however many rows go together. */

enum { NORM_LANES = 16, NORM_PARTS = NORM_LANES / VECTOR, NORM_ROWS = 4 };

INLINE float folded(const vf lane[NORM_PARTS]) {
    float v[NORM_LANES];
    for (int p = 0; p < NORM_PARTS; p++) store(v + p * VECTOR, lane[p]);
    for (int width = NORM_LANES / 2; width >= 4; width /= 2) {
        for (int i = 0; i < width; i++) v[i] += v[i + width];
    }
    return v[0] + v[2] + v[1] + v[3];
}

/* The sums of x, or of the squares of x - shift, of rows that are `stride` elements apart. */
INLINE void row_sums(const int rows, const int squared, const int is_bf16, const void *x,
                     ptrdiff_t stride, ptrdiff_t width, const float *shift, float *sums) {
    const ptrdiff_t whole = width / NORM_LANES * NORM_LANES;
    vf sum[NORM_ROWS][NORM_PARTS];
    for (int r = 0; r < rows; r++) {
        for (int p = 0; p < NORM_PARTS; p++) sum[r][p] = (vf)0.0f;
    }
    for (ptrdiff_t j = 0; j < whole; j += NORM_LANES) {
        for (int r = 0; r < rows; r++) {
            for (int p = 0; p < NORM_PARTS; p++) {
                const vf value =
                    read_as(is_bf16, 1, x, r * stride + j + p * VECTOR, VECTOR);
                const vf d = value - shift[r];
                sum[r][p] = squared ? d * d + sum[r][p] : value + sum[r][p];
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        float total = folded(sum[r]);
        for (ptrdiff_t j = whole; j < width; j++) {
            const float value = read_as(is_bf16, 0, x, r * stride + j, 1)[0];
            const float d = value - shift[r];
            total += squared ? d * d : value;
        }
        sums[r] = total;
    }
}

/* `rows` rows of x; where they end, as many are expected to follow. */
INLINE void norm_rows(const uspi_layer_norm *n, const int rows, const float *x, void *y,
                      float *statistics) {
    const ptrdiff_t width = n->width;
    float mean[NORM_ROWS] = {0}, inverse[NORM_ROWS], sums[NORM_ROWS];
    if (!n->rms) {
        row_sums(rows, 0, 0, x, width, width, mean, sums);
        for (int r = 0; r < rows; r++) mean[r] = sums[r] / (float)width;
    }
    row_sums(rows, 1, 0, x, width, width, mean, sums);
    for (int r = 0; r < rows; r++) {
        inverse[r] = 1.0f / sqrtf(sums[r] / (float)width + n->epsilon);
        if (!statistics) continue;
        statistics[2 * r] = mean[r];
        statistics[2 * r + 1] = inverse[r];
    }
    for (ptrdiff_t j = 0; j < width; j += VECTOR) {
        const int64_t left = width - j;
        const int whole = left >= VECTOR;
#define READ(p) (whole ? load(p) : load_some(p, left))
        vf factor = 1.0f, offset = 0.0f;
        if (n->scale) factor += READ(n->scale + j);
        if (n->shift) offset = READ(n->shift + j);
        if (n->bias) offset += READ(n->bias + j) * factor;
        if (n->weight) factor *= READ(n->weight + j);
        for (int r = 0; r < rows; r++) {
            const vf z = (READ(x + r * width + j) - mean[r]) * inverse[r];
            const vf value = z * factor + offset;
            float *out = (float *)y + r * width + j;
            uint16_t *half = (uint16_t *)y + r * width + j;
            __builtin_prefetch(x + (rows + r) * width + j);
            if (n->output == USPI_F32) {
                if (whole) store(out, value);
                else store_some(out, value, left);
            } else {
                if (whole) store_halves(half, quick_bf16_of_f32(value));
                else store_some_bf16(half, value, left);
            }
        }
#undef READ
    }
}

static void layer_norm(const uspi_layer_norm *given, const float *x, ptrdiff_t rows, void *y,
                       float *statistics) {
    const uspi_layer_norm local = *given, *n = &local; /* a copy that no store can change */
    const ptrdiff_t row_bytes = n->width * (n->output == USPI_BF16 ? 2 : 4);
    ptrdiff_t i = 0;
#define ROWS(count)                                                                                \
    norm_rows(n, count, x + i * n->width, (char *)y + i * row_bytes,                               \
              statistics ? statistics + 2 * i : NULL)
    for (; i + NORM_ROWS <= rows; i += NORM_ROWS) ROWS(NORM_ROWS);
    for (; i < rows; i++) ROWS(1);
#undef ROWS
}
