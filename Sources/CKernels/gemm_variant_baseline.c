/* The kernels in vectors of four, as every platform of the toolchain has them. */
#include "gemm_variants.h"
#include <math.h>

#define VECTOR 4
#define MOST 4
#define MOST_BF16 4
#define WIDE 2
#define VARIANT uspi_variant_baseline
#include "gemm_variant.h"
