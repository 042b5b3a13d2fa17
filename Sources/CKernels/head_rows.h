/* Norm and rotation of one head's rows (see heads.h), a few rows at a time as layer_norm.h. */

enum { AHEAD = 8 /* rows that are asked for before they are read: they lie far apart */ };

/* Elements of a pair change places. */
INLINE vf swapped(vf x) {
#if VECTOR == 16
    return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif VECTOR == 8
    return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
#else
    return __builtin_shufflevector(x, x, 1, 0, 3, 2);
#endif
}

/* The first of each pair changes its sign. */
INLINE vf first_negated(vf x) {
    vu signs;
    for (int i = 0; i < VECTOR; i++) signs[i] = i % 2 ? 0 : 0x80000000u;
    return bits_f(bits_u(x) ^ signs);
}

/* Where the angles of a row are in the tables; negative: it is not rotated. */
INLINE int64_t place_of_row(const uspi_head_rows *h, int64_t row) {
    if (!h->cos || row < h->leading) return -1;
    return (h->places ? h->places[row - h->leading] : row - h->leading) * h->head_dim;
}

/* Mean (0 for RMS norm) and 1 / sqrt(variance + epsilon) of `rows` rows from x on. */
INLINE void head_statistics(const uspi_head_rows *h, const int is_bf16, const int rows,
                            const void *x, float *mean, float *inverse) {
    float sums[NORM_ROWS];
    for (int r = 0; r < rows; r++) mean[r] = 0;
    if (!h->rms) {
        row_sums(rows, 0, is_bf16, x, h->x_row, h->head_dim, mean, sums);
        for (int r = 0; r < rows; r++) mean[r] = sums[r] / (float)h->head_dim;
    }
    row_sums(rows, 1, is_bf16, x, h->x_row, h->head_dim, mean, sums);
    for (int r = 0; r < rows; r++) {
        inverse[r] = 1.0f / sqrtf(sums[r] / (float)h->head_dim + h->epsilon);
    }
}

INLINE void prepare_rows(const uspi_head_rows *h, const int is_bf16, const int rows, int64_t row,
                         void *y, int64_t y_at) {
    const char *x = element(h->x, row * h->x_row, h->type);
    const int64_t size = is_bf16 ? 2 : 4;
    float mean[NORM_ROWS] = {0}, inverse[NORM_ROWS];
    for (int r = 0; r < rows; r++) {
        const char *later = x + (r + AHEAD) * h->x_row * size;
        for (int64_t at = 0; at < h->head_dim * size; at += 64) __builtin_prefetch(later + at);
    }
    if (h->normed) head_statistics(h, is_bf16, rows, x, mean, inverse);
    for (int r = 0; r < rows; r++, y_at += h->head_dim) {
        const int64_t place = place_of_row(h, row + r);
        for (int64_t j = 0; j < h->head_dim; j += VECTOR) {
            const int64_t left = h->head_dim - j;
            const int whole = left >= VECTOR;
#define READ(p) (whole ? load((p) + j) : load_some((p) + j, left))
            vf value = read_as(is_bf16, whole, x, r * h->x_row + j, left);
            if (h->normed) {
                value = (value - mean[r]) * inverse[r];
                if (h->weight) value *= READ(h->weight);
                if (h->bias) value += READ(h->bias);
            }
            if (place >= 0) {
                const vf turned = first_negated(swapped(value));
                value = value * READ(h->cos + place) + turned * READ(h->sin + place);
            }
            store_as(is_bf16, whole, y, y_at + j, value, left);
        }
    }
}

INLINE void head_rows_of(const uspi_head_rows *given, const int is_bf16, int64_t begin,
                         int64_t end, void *y) {
    const uspi_head_rows local = *given, *h = &local; /* a copy that no store can change */
    int64_t i = begin;
    for (; i + NORM_ROWS <= end; i += NORM_ROWS) {
        prepare_rows(h, is_bf16, NORM_ROWS, i, y, i * h->head_dim);
    }
    for (; i < end; i++) prepare_rows(h, is_bf16, 1, i, y, i * h->head_dim);
}

static void head_rows_forward(const uspi_head_rows *h, int64_t begin, int64_t end, void *y) {
    if (h->type == USPI_BF16) head_rows_of(h, 1, begin, end, y);
    else head_rows_of(h, 0, begin, end, y);
}

/* dy of a rotated row becomes that of the row before its rotation. */
INLINE void turn_back(const uspi_head_rows *h, int64_t place, float *dy) {
    for (int64_t j = 0; j < h->head_dim; j += VECTOR) {
        const int64_t left = h->head_dim - j;
        const int whole = left >= VECTOR;
        const vf d = read_as(0, whole, dy, j, left);
        const vf turned = swapped(first_negated(d * READ(h->sin + place)));
        store_as(0, whole, dy, j, d * READ(h->cos + place) + turned, left);
    }
}

/* With h = dy weight and z the normed x: dx = inverse (h - mean(h) - z mean(h z)), without mean(h)
 * for RMS norm. dy becomes dx. */
INLINE void norm_back(const uspi_head_rows *h, const int is_bf16, const void *x, float *dy,
                      float *sums) {
    float mean, inverse;
    head_statistics(h, is_bf16, 1, x, &mean, &inverse);
    vf plain[NORM_PARTS], along[NORM_PARTS];
    for (int p = 0; p < NORM_PARTS; p++) plain[p] = along[p] = (vf)0.0f;
    for (int64_t j = 0; j < h->head_dim; j += VECTOR) {
        const int64_t left = h->head_dim - j, part = j / VECTOR % NORM_PARTS;
        const int whole = left >= VECTOR;
        const vf d = read_as(0, whole, dy, j, left);
        vf z = (read_as(is_bf16, whole, x, j, left) - mean) * inverse;
        const vf f = h->weight ? d * READ(h->weight) : d;
        plain[part] += f;
        along[part] += f * z;
        if (!sums) continue;
        store_as(0, whole, sums, j, READ(sums) + d * z, left);
        store_as(0, whole, sums, h->head_dim + j, READ(sums + h->head_dim) + d, left);
    }
    const float m1 = h->rms ? 0.0f : folded(plain) / (float)h->head_dim;
    const float m2 = folded(along) / (float)h->head_dim;
    for (int64_t j = 0; j < h->head_dim; j += VECTOR) {
        const int64_t left = h->head_dim - j;
        const int whole = left >= VECTOR;
        const vf z = (read_as(is_bf16, whole, x, j, left) - mean) * inverse;
        vf f = read_as(0, whole, dy, j, left);
        if (h->weight) f *= READ(h->weight);
        store_as(0, whole, dy, j, inverse * (f - m1 - z * m2), left);
    }
}
#undef READ

static void head_rows_backward(const uspi_head_rows *h, int64_t count, float *dy, float *dx,
                               int64_t dx_row, int32_t accumulate, float *sums) {
    for (int64_t i = 0; i < count; i++, dy += h->head_dim) {
        const int64_t place = place_of_row(h, i);
        const void *x = element(h->x, i * h->x_row, h->type);
        if (place >= 0) turn_back(h, place, dy);
        if (h->normed && h->type == USPI_BF16) norm_back(h, 1, x, dy, sums);
        else if (h->normed) norm_back(h, 0, x, dy, sums);
        if (!dx) continue;
        for (int64_t j = 0; j < h->head_dim; j++) {
            dx[i * dx_row + j] = accumulate ? dx[i * dx_row + j] + dy[j] : dy[j];
        }
    }
}
