/* hypot and hypotf, of which glibc 2.35 has new versions: Swift's Glibc module and the eigensolver refer
 * to them, and they alone would keep the library from systems with 2.34 (RHEL 9 and its kin). */
#include <math.h>

float hypotf(float x, float y) {
    if (isinf(x) || isinf(y)) return INFINITY;
    return (float)sqrt((double)x * x + (double)y * y);
}

/* long double has 64 bits and a wider exponent: nothing overflows, and one rounding is added */
double hypot(double x, double y) {
    if (isinf(x) || isinf(y)) return INFINITY;
    return (double)sqrtl((long double)x * x + (long double)y * y);
}
