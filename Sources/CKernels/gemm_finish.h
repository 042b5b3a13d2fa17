/* The end of a product: scale, bias, activation, gate, residual, or a gated unit; the type of C. */

/* For what a product reads next: as bf16_of_f32, but subnormal values may become zeros. */
INLINE vh quick_bf16_of_f32(vf x) {
#if defined(HAS_BF16_PRODUCTS)
    return (vh)_mm512_cvtneps_pbh((__m512)x);
#else
    return bf16_of_f32(x);
#endif
}

INLINE void store_as(const int is_bf16, const int whole, void *base, int64_t at, vf value,
                     int64_t count) {
    if (is_bf16) {
        uint16_t *p = (uint16_t *)base + at;
        if (whole) store_halves(p, quick_bf16_of_f32(value));
        else store_some_bf16(p, value, count);
    } else {
        float *p = (float *)base + at;
        if (whole) store(p, value);
        else store_some(p, value, count);
    }
}

/* One vector of `count` (<= VECTOR) columns of row i. `whole` is count == VECTOR. */
INLINE void finish_vector(const uspi_gemm *g, const int activation, const int whole,
                          const float *gate, int64_t i, int64_t j, int64_t count,
                          const float *tile) {
#define READ(p) (whole ? load(p) : load_some(p, count))
    vf value = load(tile) * g->alpha;
    if (g->bias) value += READ(g->bias + j);
    const int64_t at = i * g->c_row + j;
    const int is_bf16 = g->c_type == USPI_BF16;
    if (g->pre) store_as(is_bf16, whole, g->pre, at, value, count);
    value = is_bf16 ? vector_activation_bf16(activation, value)
                    : vector_activation(activation, value);
    /* Gate and residual in one rounding, as in whole tiles and in uspi_gate_forward. */
    const float *residual = g->residual ? g->residual + i * g->residual_row + j : NULL;
    if (gate && residual) value = value * READ(gate + j) + READ(residual);
    else if (gate) value *= READ(gate + j);
    else if (residual) value += READ(residual);
    if (g->accumulate && is_bf16) {
        const uint16_t *p = (const uint16_t *)g->c + at;
        value += whole ? f32_of_bf16(load_halves(p)) : load_some_bf16(p, count);
    } else if (g->accumulate) {
        value += READ((const float *)g->c + at);
    }
    store_as(is_bf16, whole, g->c, at, value, count);
#undef READ
}

/* What a whole tile's end has, known when its loop is compiled; the rest is finish_vector's. */
typedef struct whole_tile_end {
    int activation, is_bf16, gated, residual;
} whole_tile_end;

/* A whole tile without pre or accumulation: most of what products write. */
INLINE void finish_whole_tile(const uspi_gemm *g, const whole_tile_end e, int64_t i, int rows,
                              const int apart, int64_t j, const float *tile) {
    vf bias[PANEL / VECTOR];
    for (int v = 0; v < PANEL / VECTOR; v++) {
        bias[v] = g->bias ? load(g->bias + j + v * VECTOR) : (vf)0.0f;
    }
    const float alpha = g->alpha;
    const int size = e.is_bf16 ? 2 : 4;
    char *c = (char *)g->c + (i * g->c_row + j) * size;
    const float *residual = e.residual ? g->residual + i * g->residual_row + j : NULL;
    const int64_t first = g->row0 + i, period = e.gated ? g->gate_period : 1;
    const float *gate = e.gated ? g->gate + first / period * g->gate_row + j : NULL;
    int64_t left = period - first % period;
    for (int r = 0; r < rows; r++, c += apart * g->c_row * size, tile += apart * PANEL) {
        for (int v = 0; v < PANEL / VECTOR; v++) {
            vf value = load(tile + v * VECTOR) * alpha + bias[v];
            value = e.is_bf16 ? vector_activation_bf16(e.activation, value)
                              : vector_activation(e.activation, value);
            if (e.gated) value *= load(gate + v * VECTOR);
            if (e.residual) value += load(residual + v * VECTOR);
            if (e.is_bf16) store_halves((uint16_t *)c + v * VECTOR, quick_bf16_of_f32(value));
            else store((float *)c + v * VECTOR, value);
        }
        if (e.residual) residual += apart * g->residual_row;
        if (e.gated) {
            for (left -= apart; left <= 0; left += period) gate += g->gate_row;
        }
    }
}

INLINE void finish_rows(const uspi_gemm *given, const int activation, int64_t i, int rows,
                        const int apart, int64_t j, int columns, const float *tile) {
    const uspi_gemm local = *given, *g = &local; /* a copy that no store can change */
    const int whole = columns == PANEL && !g->pre && !g->accumulate;
    if (whole && !g->gate && !g->residual) {
        const whole_tile_end f32 = {activation, 0, 0, 0}, bf16 = {activation, 1, 0, 0};
        if (g->c_type == USPI_BF16) finish_whole_tile(g, bf16, i, rows, apart, j, tile);
        else finish_whole_tile(g, f32, i, rows, apart, j, tile);
        return;
    }
    if (activation == USPI_ACT_NONE && whole && g->residual && g->c_type == USPI_F32) {
        const whole_tile_end gated = {activation, 0, 1, 1}, plain = {activation, 0, 0, 1};
        if (g->gate) finish_whole_tile(g, gated, i, rows, apart, j, tile);
        else finish_whole_tile(g, plain, i, rows, apart, j, tile);
        return;
    }
    for (int r = 0; r < rows; r++, i += apart, tile += apart * PANEL) {
        const float *gate =
            g->gate ? g->gate + (g->row0 + i) / g->gate_period * g->gate_row : NULL;
        int done = 0;
        for (; done + VECTOR <= columns; done += VECTOR) {
            finish_vector(g, activation, 1, gate, i, j + done, VECTOR, tile + done);
        }
        if (done < columns) {
            finish_vector(g, activation, 0, gate, i, j + done, columns - done, tile + done);
        }
    }
}

/* One vector of a gated unit: `count` columns from j of row i; the second half is LANES further in
 * the tile. */
INLINE void finish_gated_vector(const uspi_gemm *g, const int activation, const int is_bf16,
                                const int whole, int64_t i, int64_t j, int64_t count,
                                const float *tile) {
#define READ(p) (whole ? load(p) : load_some(p, count))
    vf first = load(tile) * g->alpha, second = load(tile + LANES) * g->alpha;
    if (g->bias) {
        first += READ(g->bias + j);
        second += READ(g->bias + g->halves + j);
    }
    if (g->pre) {
        store_as(is_bf16, whole, g->pre, (2 * i) * g->c_row + j, first, count);
        store_as(is_bf16, whole, g->pre, (2 * i + 1) * g->c_row + j, second, count);
    }
    const vf value = is_bf16 ? vector_activation_bf16(activation, first)
                             : vector_activation(activation, first);
    store_as(is_bf16, whole, g->c, i * g->c_row + j, value * second, count);
#undef READ
}

INLINE void finish_gated_rows(const uspi_gemm *given, const int activation, const int is_bf16,
                              int64_t i, int rows, const int apart, int64_t j, const float *tile) {
    const uspi_gemm local = *given, *g = &local; /* a copy that no store can change */
    const int64_t columns = g->halves - j < LANES ? g->halves - j : LANES;
    for (int r = 0; r < rows; r++, i += apart, tile += apart * PANEL) {
        int64_t done = 0;
        for (; done + VECTOR <= columns; done += VECTOR) {
            finish_gated_vector(g, activation, is_bf16, 1, i, j + done, VECTOR, tile + done);
        }
        if (done < columns) {
            finish_gated_vector(g, activation, is_bf16, 0, i, j + done, columns - done,
                                tile + done);
        }
    }
}

/* The same of a gated unit, j counting columns of C. */
INLINE void finish_gated(const uspi_gemm *g, int64_t i, int rows, const int apart, int64_t j,
                         const float *tile) {
#define OF(activation)                                                                             \
    case activation:                                                                               \
        if (g->c_type == USPI_BF16) finish_gated_rows(g, activation, 1, i, rows, apart, j, tile);  \
        else finish_gated_rows(g, activation, 0, i, rows, apart, j, tile);                         \
        break
    switch (g->activation) {
        OF(USPI_ACT_GELU_ERF);
        OF(USPI_ACT_GELU_TANH);
        OF(USPI_ACT_SILU);
        OF(USPI_ACT_RELU);
        OF(USPI_ACT_GELU_QUICK);
        OF(USPI_ACT_NONE);
    }
#undef OF
}

/* Rows i, i + apart, ... of C from rows of the tile that are as far apart. */
INLINE void finish_apart(const uspi_gemm *g, int64_t i, int rows, const int apart, int64_t j,
                         int columns, const float *tile) {
    if (g->halves) {
        finish_gated(g, i, rows, apart, j / 2, tile);
        return;
    }
    switch (g->activation) {
    case USPI_ACT_GELU_ERF:
        finish_rows(g, USPI_ACT_GELU_ERF, i, rows, apart, j, columns, tile);
        break;
    case USPI_ACT_GELU_TANH:
        finish_rows(g, USPI_ACT_GELU_TANH, i, rows, apart, j, columns, tile);
        break;
    case USPI_ACT_SILU: finish_rows(g, USPI_ACT_SILU, i, rows, apart, j, columns, tile); break;
    case USPI_ACT_RELU: finish_rows(g, USPI_ACT_RELU, i, rows, apart, j, columns, tile); break;
    case USPI_ACT_GELU_QUICK:
        finish_rows(g, USPI_ACT_GELU_QUICK, i, rows, apart, j, columns, tile);
        break;
    default: finish_rows(g, USPI_ACT_NONE, i, rows, apart, j, columns, tile);
    }
}

static void finish(const uspi_gemm *g, int64_t i, int rows, int64_t j, int columns,
                   const float *tile) {
    finish_apart(g, i, rows, 1, j, columns, tile);
}

static void finish_interleaved(const uspi_gemm *g, int64_t i, int rows, int64_t j,
                               const float *tile) {
    finish_apart(g, i, rows, 2, j, PANEL, tile);
}
