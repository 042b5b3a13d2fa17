/* Number formats over arrays. */

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

/* Halves with 5 bits of exponent, by integer operations: exact, and the same everywhere. */
INLINE vf f32_of_f16(vh x) {
    const vu h = __builtin_convertvector(x, vu);
    const vu sign = (h & 0x8000) << 16, magnitude = h & 0x7fff;
    const vu normal = (magnitude << 13) + ((127 - 15) << 23);
    const vu special = (magnitude << 13) | 0x7f800000 | (magnitude > 0x7c00 ? (vu)0x400000 : 0);
    /* below 2^-14 the value is magnitude * 2^-24, exact in f32 */
    const vu tiny = bits_u(__builtin_convertvector(magnitude, vf) * 0x1p-24f);
    const vu value = magnitude >= 0x7c00 ? special : (magnitude < 0x400 ? tiny : normal);
    return bits_f(value | sign);
}

INLINE vh f16_of_f32(vf x) {
    const vu u = bits_u(x);
    const vu sign = (u >> 16) & 0x8000, magnitude = u & 0x7fffffff;
    const vu odd = (magnitude >> 13) & 1;
    const vu normal = (magnitude - ((127 - 15) << 23) + 0xfff + odd) >> 13;
    /* adding 0.5 leaves units of 2^-24 in the last place, rounded by the addition */
    const vu tiny = bits_u(bits_f(magnitude) + 0.5f) - 0x3f000000;
    const vu special =
        magnitude > 0x7f800000 ? (vu)0x7e00 | ((magnitude >> 13) & 0x3ff) : (vu)0x7c00;
    const vu value = magnitude >= 0x477ff000 ? special : (magnitude < 0x38800000 ? tiny : normal);
    return __builtin_convertvector(value | sign, vh);
}

static void f32_from_f16(const uint16_t *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) store(y + i, f32_of_f16(load_halves(x + i)));
    if (i < n) {
        uint16_t part[VECTOR] = {0};
        memcpy(part, x + i, (size_t)(n - i) * sizeof(uint16_t));
        store_some(y + i, f32_of_f16(load_halves(part)), n - i);
    }
}

static void f16_from_f32(const float *x, uint16_t *y, int64_t n) {
    int64_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) store_halves(y + i, f16_of_f32(load(x + i)));
    if (i < n) {
        uint16_t part[VECTOR];
        store_halves(part, f16_of_f32(load_some(x + i, n - i)));
        memcpy(y + i, part, (size_t)(n - i) * sizeof(uint16_t));
    }
}
