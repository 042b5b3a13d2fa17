/* One body, compiled for each instruction set and chosen at run time. */
#ifndef USPI_DISPATCH_H
#define USPI_DISPATCH_H
#include "CKernels.h"

#if defined(__x86_64__)
#define USPI_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define USPI_TARGET_AVX512                                                                         \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))

/* Defines `name(params)` and its variants; the last argument is the body. `uspi_isa()` is 0 for
 * scalar, 1 for AVX2, 2 and more for AVX-512. */
#define USPI_DISPATCH(result, name, params, arguments, ...)                                  \
    static result name##_scalar params __VA_ARGS__                                           \
    USPI_TARGET_AVX2 static result name##_avx2 params __VA_ARGS__                            \
    USPI_TARGET_AVX512 static result name##_avx512 params __VA_ARGS__                        \
    result name params {                                                                     \
        int isa = uspi_isa();                                                                \
        if (isa >= 2) return name##_avx512 arguments;                                        \
        if (isa == 1) return name##_avx2 arguments;                                          \
        return name##_scalar arguments;                                                      \
    }

/* The same where no product may be fused into a sum, so that every rounding is an original's:
 * without instructions that do so the compiler cannot. */
#define USPI_TARGET_AVX2_UNFUSED __attribute__((target("avx2")))
#define USPI_DISPATCH_UNFUSED(result, name, params, arguments, ...)                          \
    static result name##_scalar params __VA_ARGS__                                           \
    USPI_TARGET_AVX2_UNFUSED static result name##_avx2 params __VA_ARGS__                    \
    result name params {                                                                     \
        if (uspi_isa() >= 1) return name##_avx2 arguments;                                   \
        return name##_scalar arguments;                                                      \
    }
#else
#define USPI_DISPATCH_UNFUSED(result, name, params, arguments, ...) result name params __VA_ARGS__
#define USPI_DISPATCH(result, name, params, arguments, ...) result name params __VA_ARGS__
#endif

#endif
