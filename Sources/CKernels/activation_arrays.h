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

#define FOR_ACTIVATIONS(function, ...)                                                            \
    switch (activation) {                                                                         \
    case USPI_ACT_GELU_ERF: function(USPI_ACT_GELU_ERF, __VA_ARGS__); break;                      \
    case USPI_ACT_GELU_TANH: function(USPI_ACT_GELU_TANH, __VA_ARGS__); break;                    \
    case USPI_ACT_SILU: function(USPI_ACT_SILU, __VA_ARGS__); break;                              \
    case USPI_ACT_RELU: function(USPI_ACT_RELU, __VA_ARGS__); break;                              \
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
