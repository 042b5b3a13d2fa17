/* exp, erf and the activations on vectors. The polynomials are minimax fits (Lawson iteration on
 * Chebyshev nodes); errors stated are of the fit, rounding adds a few units in the last place. */

/* 2^n for n in -126...127. */
INLINE vf power_of_two(vf n) {
    const vi whole = __builtin_convertvector(n, vi);
    return (vf)((whole + 127) << 23);
}

/* exp(r) for |r| <= ln(2)/2, relative error 3e-9. */
INLINE vf exp_small(vf r) {
    vf p = 0.0013814596459269524f;
    p = p * r + 0.0083687175065279f;
    p = p * r + 0.04166838899254799f;
    p = p * r + 0.1666652113199234f;
    p = p * r + 0.4999999403953552f;
    return p * (r * r) + r + 1.0f;
}

/* p 2^n for whole n, rounded once where the result is subnormal. */
INLINE vf scaled(vf p, vf n) {
#if VECTOR == 16
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    /* two factors, so that neither leaves the range of exponents */
    const vf half = __builtin_elementwise_floor(n * 0.5f);
    return p * power_of_two(half) * power_of_two(n - half);
#endif
}

/* x / d for d in 1...2^126, within two units in the last place. */
INLINE vf quotient(vf x, vf d) {
#if VECTOR == 16
    const vf guess = (vf)_mm512_rcp14_ps((__m512)d);
    return x * (guess + guess * (1.0f - d * guess));
#else
    return x / d;
#endif
}

/* exp(x): 0 below about -104, infinity above 88.7, NaN for NaN. */
INLINE vf vector_exp(vf x) {
    const vf low = -104.0f, high = 89.0f;
    vf bounded = x < low ? low : x;
    bounded = bounded > high ? high : bounded;
    const vf n = __builtin_elementwise_roundeven(bounded * 1.44269504088896341f);
    vf r = bounded - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    return scaled(exp_small(r), n);
}

/* 2^x for x in -126...126; where vectors are 512 bits wide any x, 0 below and infinity above. */
INLINE vf exp2_bounded(vf x) {
#if VECTOR == 16
    const vf f = (vf)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    const vf shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to integers */
    const vf shifted = x + shifter;
    const vf f = x - (shifted - shifter);
#endif
    vf p = 0.00015321136063151523f;
    p = p * f + 0.0013390173778118808f;
    p = p * f + 0.009618526680893084f;
    p = p * f + 0.05550362399847888f;
    p = p * f + 0.24022647832186947f;
    p = p * f + 0.69314718055994531f;
    p = p * f + 1.0f;
#if VECTOR == 16
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)(x - f));
#else
    return (vf)((vi)p + ((vi)shifted << 23));
#endif
}

/* x / (1 + 2^u) */
INLINE vf sigmoid_product(vf x, vf u) {
    const vf most = 126.0f;
    vf bounded = u < -most ? -most : u;
    bounded = bounded > most ? most : bounded;
    return quotient(x, 1.0f + exp2_bounded(bounded));
}

/* erf(z), relative error 2e-8; at |z| = 3.92 it is 1 in f32. */
INLINE vf vector_erf(vf z) {
    const vf edge = 3.92f;
    vf bounded = z > edge ? edge : z;
    bounded = bounded < -edge ? -edge : bounded;
    const vf s = bounded * bounded;
    vf p = 2.05005744646769e-06f;
    p = p * s + 0.0002848762378562242f;
    p = p * s + 0.0037654927000403404f;
    p = p * s + 0.05274833366274834f;
    p = p * s + 0.19040407240390778f;
    p = p * s + 1.1283791065216064f;
    vf q = 3.809106783592142e-05f;
    q = q * s + 0.0011624983744695783f;
    q = q * s + 0.014968972653150558f;
    q = q * s + 0.11410805583000183f;
    q = q * s + 0.5020739436149597f;
    q = q * s + 1.0f;
    return quotient(bounded * p, q);
}

/* 2 sqrt(2/pi) (x + 0.044715 x^3), so that the tanh form is x / (1 + exp(-u)). */
INLINE vf gelu_tanh_argument(vf x) {
    return x * (1.5957691216057308f + 0.07135481282754566f * (x * x));
}

/* max(x, 0); NaN stays. */
INLINE vf vector_relu(vf x) { return x < 0.0f ? (vf)0.0f : x; }

INLINE vf vector_activation(const int activation, vf x) {
    switch (activation) {
    case USPI_ACT_GELU_ERF: {
        const vf half = x * 0.5f;
        return half + half * vector_erf(x * 0.70710678118654752f);
    }
    case USPI_ACT_GELU_TANH:
        return sigmoid_product(x, x * (-2.302208198f - 0.1029432346f * (x * x)));
    case USPI_ACT_SILU: return sigmoid_product(x, x * -1.44269504088896341f);
    case USPI_ACT_GELU_QUICK: return sigmoid_product(x, x * -2.45546695930140957f);
    case USPI_ACT_RELU: return vector_relu(x);
    default: return x;
    }
}

#if VECTOR == 16
/* 2^x for any x, relative error 2^-13.2; exact and continuous where x is whole. */
INLINE vf quick_exp2(vf x) {
    const vf f = (vf)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p = 0.07826796919107437f;
    p = p * f + 0.226307675242424f;
    p = p * f + 0.6954243183135986f;
    p = p * f + 1.0f;
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)x); /* by 2^floor(x) */
}

/* x / (1 + 2^u), relative error 2^-12.5, for any u. */
INLINE vf quick_sigmoid_product(vf x, vf u) {
    return x * (vf)_mm512_rcp14_ps((__m512)(1.0f + quick_exp2(u)));
}
#endif

/* An activation whose value will be a bf16: relative error 2^-12, but for the erf form below -2.7,
 * where it is 2e-5 in all. That form's logistic argument log2(1 / Phi(x) - 1) / x is a minimax fit
 * in x^2 up to |x| = 5. */
INLINE vf vector_activation_bf16(const int activation, vf x) {
#if VECTOR == 16
    const vf square = x * x;
    switch (activation) {
    case USPI_ACT_GELU_ERF: {
        const vf s = square > 25.0f ? (vf)25.0f : square;
        vf p = -2.1056805508123944e-06f;
        p = p * s + 6.0230231611058116e-05f;
        p = p * s + 0.0005778719787485898f;
        p = p * s - 0.1058097705245018f;
        p = p * s - 2.301657199859619f;
        return quick_sigmoid_product(x, x * p);
    }
    case USPI_ACT_GELU_TANH:
        return quick_sigmoid_product(x, x * (-2.302208198f - 0.1029432346f * square));
    case USPI_ACT_SILU: return quick_sigmoid_product(x, x * -1.44269504088896341f);
    case USPI_ACT_GELU_QUICK: return quick_sigmoid_product(x, x * -2.45546695930140957f);
    case USPI_ACT_RELU: return vector_relu(x);
    default: return x;
    }
#else
    return vector_activation(activation, x);
#endif
}

/* s = 1 / (1 + exp(-u)); *rest = s (1 - s), without cancellation. */
INLINE vf logistic(vf u, vf *rest) {
    const vf most = 87.0f;
    const vf e = vector_exp(-u > most ? most : -u);
    const vf s = quotient((vf)1.0f, 1.0f + e);
    *rest = s * e * s;
    return s;
}

/* The derivative at x. */
INLINE vf vector_activation_slope(const int activation, vf x) {
    switch (activation) {
    case USPI_ACT_GELU_ERF: {
        const vf density = 0.39894228040143268f * vector_exp(x * x * -0.5f);
        return 0.5f + 0.5f * vector_erf(x * 0.70710678118654752f) + x * density;
    }
    case USPI_ACT_GELU_TANH: {
        vf rest;
        const vf s = logistic(gelu_tanh_argument(x), &rest);
        return s + x * (1.5957691216057308f + 0.21406443848263698f * (x * x)) * rest;
    }
    case USPI_ACT_SILU: {
        vf rest;
        const vf s = logistic(x, &rest);
        return s + x * rest;
    }
    case USPI_ACT_GELU_QUICK: {
        vf rest;
        const vf s = logistic(1.702f * x, &rest);
        return s + 1.702f * x * rest;
    }
    case USPI_ACT_RELU: return x > 0.0f ? (vf)1.0f : (vf)0.0f;
    default: return (vf)1.0f;
    }
}
