/* The end of a product: scale, bias, activation, gate, residual, and the type of C. */

/* One vector of `count` (<= VECTOR) columns of row i. `whole` is count == VECTOR. */
INLINE void finish_vector(const uspi_gemm *g, const int activation, const int whole,
                          const float *gate, int64_t i, int64_t j, int64_t count,
                          const float *tile) {
#define READ(p) (whole ? load(p) : load_some(p, count))
    vf value = load(tile) * g->alpha;
    if (g->bias) value += READ(g->bias + j);
    const int64_t at = i * g->c_row + j;
    const int is_bf16 = g->c_type == USPI_BF16;
    if (g->pre) {
        if (is_bf16) {
            uint16_t *p = (uint16_t *)g->pre + at;
            if (whole) store_halves(p, bf16_of_f32(value));
            else store_some_bf16(p, value, count);
        } else {
            float *p = (float *)g->pre + at;
            if (whole) store(p, value);
            else store_some(p, value, count);
        }
    }
    value = vector_activation(activation, value);
    if (gate) value *= READ(gate + j);
    if (g->residual) value += READ(g->residual + i * g->residual_row + j);
    if (is_bf16) {
        uint16_t *p = (uint16_t *)g->c + at;
        if (g->accumulate) {
            value += whole ? f32_of_bf16(load_halves(p)) : load_some_bf16(p, count);
        }
        if (whole) store_halves(p, bf16_of_f32(value));
        else store_some_bf16(p, value, count);
    } else {
        float *p = (float *)g->c + at;
        if (g->accumulate) value += READ(p);
        if (whole) store(p, value);
        else store_some(p, value, count);
    }
#undef READ
}

INLINE void finish_rows(const uspi_gemm *g, const int activation, int64_t i, int rows, int64_t j,
                        int columns, const float *tile) {
    for (int r = 0; r < rows; r++) {
        const float *gate =
            g->gate ? g->gate + (g->row0 + i + r) / g->gate_period * g->gate_row : NULL;
        const float *row = tile + r * PANEL;
        int done = 0;
        for (; done + VECTOR <= columns; done += VECTOR) {
            finish_vector(g, activation, 1, gate, i + r, j + done, VECTOR, row + done);
        }
        if (done < columns) {
            finish_vector(g, activation, 0, gate, i + r, j + done, columns - done, row + done);
        }
    }
}

static void finish(const uspi_gemm *g, int64_t i, int rows, int64_t j, int columns,
                   const float *tile) {
    switch (g->activation) {
    case USPI_ACT_GELU_ERF:
        finish_rows(g, USPI_ACT_GELU_ERF, i, rows, j, columns, tile);
        break;
    case USPI_ACT_GELU_TANH:
        finish_rows(g, USPI_ACT_GELU_TANH, i, rows, j, columns, tile);
        break;
    case USPI_ACT_SILU: finish_rows(g, USPI_ACT_SILU, i, rows, j, columns, tile); break;
    default: finish_rows(g, USPI_ACT_NONE, i, rows, j, columns, tile);
    }
}
