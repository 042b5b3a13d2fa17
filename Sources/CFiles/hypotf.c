/* Swift's Glibc module refers to hypotf, which glibc gave a new version in 2.35: the only thing that
 * would keep the library from systems with 2.34 (RHEL 9 and its kin). */
#include <math.h>

float hypotf(float x, float y) {
    if (isinf(x) || isinf(y)) return INFINITY;
    return (float)sqrt((double)x * x + (double)y * y);
}
