/* f32 and bf16 over arrays. */

static void bf16_from_f32(const float *x, uint16_t *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) store_halves(y + i, bf16_of_f32(load(x + i)));
    if (i < n) store_some_bf16(y + i, load_some(x + i, n - i), n - i);
}

static void f32_from_bf16(const uint16_t *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) store(y + i, f32_of_bf16(load_halves(x + i)));
    for (; i < n; i++) {
        const uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}
