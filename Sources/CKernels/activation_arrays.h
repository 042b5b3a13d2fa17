/* Activations over arrays. */

INLINE void forward_of(const int activation, const float *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) {
        store(y + i, vector_activation(activation, load(x + i)));
    }
    if (i < n) {
        const int64_t rest = n - i;
        store_some(y + i, vector_activation(activation, load_some(x + i, rest)), rest);
    }
}

INLINE void backward_of(const int activation, const float *x, const float *dy, float *dx,
                        int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) {
        store(dx + i, vector_activation_slope(activation, load(x + i)) * load(dy + i));
    }
    if (i < n) {
        const int64_t rest = n - i;
        const vf slope = vector_activation_slope(activation, load_some(x + i, rest));
        store_some(dx + i, slope * load_some(dy + i, rest), rest);
    }
}

INLINE void forward_bf16_of(const int activation, const uint16_t *x, uint16_t *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) {
        const vf value = f32_of_bf16(load_halves(x + i));
        store_halves(y + i, bf16_of_f32(vector_activation_bf16(activation, value)));
    }
    if (i < n) {
        const int64_t rest = n - i;
        const vf value = load_some_bf16(x + i, rest);
        store_some_bf16(y + i, vector_activation_bf16(activation, value), rest);
    }
}

/* `count` of VECTOR elements from `at` on; whole is count == VECTOR. */
INLINE vf read_as(const int is_bf16, const int whole, const void *base, int64_t at,
                  int64_t count) {
    if (is_bf16) {
        const uint16_t *p = (const uint16_t *)base + at;
        return whole ? f32_of_bf16(load_halves(p)) : load_some_bf16(p, count);
    }
    const float *p = (const float *)base + at;
    return whole ? load(p) : load_some(p, count);
}

/* value = activation(first) * second, in the type of both. */
INLINE void gated_forward_of(const int activation, const int is_bf16, const void *first,
                             const void *second, void *y, int64_t n) {
    for (int64_t i = 0; i < n; i += VECTOR) {
        const int64_t left = n - i;
        const int whole = left >= VECTOR;
        const vf x = read_as(is_bf16, whole, first, i, left);
        const vf other = read_as(is_bf16, whole, second, i, left);
        const vf value = is_bf16 ? vector_activation_bf16(activation, x)
                                 : vector_activation(activation, x);
        store_as(is_bf16, whole, y, i, value * other, left);
    }
}

INLINE void gated_backward_of(const int activation, const int is_bf16, const void *first,
                              const void *second, const float *dy, float *dfirst, float *dsecond,
                              int64_t n) {
    for (int64_t i = 0; i < n; i += VECTOR) {
        const int64_t left = n - i;
        const int whole = left >= VECTOR;
        const vf x = read_as(is_bf16, whole, first, i, left);
        const vf other = read_as(is_bf16, whole, second, i, left);
        const vf d = read_as(0, whole, dy, i, left);
        const vf slope = vector_activation_slope(activation, x);
        store_as(0, whole, dfirst, i, d * other * slope, left);
        store_as(0, whole, dsecond, i, d * vector_activation(activation, x), left);
    }
}

#define FOR_ACTIVATIONS(function, ...)                                                            \
    switch (activation) {                                                                         \
    case USPI_ACT_GELU_ERF: function(USPI_ACT_GELU_ERF, __VA_ARGS__); break;                      \
    case USPI_ACT_GELU_TANH: function(USPI_ACT_GELU_TANH, __VA_ARGS__); break;                    \
    case USPI_ACT_SILU: function(USPI_ACT_SILU, __VA_ARGS__); break;                              \
    case USPI_ACT_RELU: function(USPI_ACT_RELU, __VA_ARGS__); break;                              \
    case USPI_ACT_GELU_QUICK: function(USPI_ACT_GELU_QUICK, __VA_ARGS__); break;                  \
    default: function(USPI_ACT_NONE, __VA_ARGS__);                                                \
    }

static void activation_forward(int32_t activation, const float *x, float *y, int64_t n) {
    FOR_ACTIVATIONS(forward_of, x, y, n)
}

static void activation_backward(int32_t activation, const float *x, const float *dy, float *dx,
                                int64_t n) {
    FOR_ACTIVATIONS(backward_of, x, dy, dx, n)
}

static void activation_forward_bf16(int32_t activation, const uint16_t *x, uint16_t *y,
                                    int64_t n) {
    FOR_ACTIVATIONS(forward_bf16_of, x, y, n)
}

static void gated_forward(int32_t activation, int32_t type, const void *first, const void *second,
                          void *y, int64_t n) {
    if (type == USPI_BF16) FOR_ACTIVATIONS(gated_forward_of, 1, first, second, y, n)
    else FOR_ACTIVATIONS(gated_forward_of, 0, first, second, y, n)
}

static void gated_backward(int32_t activation, int32_t type, const void *first, const void *second,
                           const float *dy, float *dfirst, float *dsecond, int64_t n) {
    if (type == USPI_BF16) {
        FOR_ACTIVATIONS(gated_backward_of, 1, first, second, dy, dfirst, dsecond, n)
    } else {
        FOR_ACTIVATIONS(gated_backward_of, 0, first, second, dy, dfirst, dsecond, n)
    }
}
