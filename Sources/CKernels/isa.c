/* Which instruction set the kernels use: found once, lowered on request. */
#include "isa.h"
#include <stdatomic.h>

static int highest(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        return USPI_ISA_BASELINE;
    }
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
        return USPI_ISA_AVX2;
    }
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")
               ? USPI_ISA_AVX512_BF16
               : USPI_ISA_AVX512;
#else
    return USPI_ISA_BASELINE;
#endif
}

static int has_vnni(int isa) {
#if defined(__x86_64__)
    if (isa >= USPI_ISA_AVX512) return __builtin_cpu_supports("avx512vnni") != 0;
    if (isa == USPI_ISA_AVX2) return __builtin_cpu_supports("avxvnni") != 0;
#endif
    return 0;
}

static atomic_int level = -1, without_vnni = 0;

int uspi_vnni(void) {
    return !atomic_load_explicit(&without_vnni, memory_order_relaxed) && has_vnni(uspi_isa());
}

int uspi_set_vnni(int wanted) {
    atomic_store_explicit(&without_vnni, !wanted, memory_order_relaxed);
    return uspi_vnni();
}

int uspi_isa(void) {
    int now = atomic_load_explicit(&level, memory_order_relaxed);
    return now >= 0 ? now : uspi_set_isa(-1);
}

int uspi_set_isa(int wanted) {
    const int most = highest();
    const int chosen = wanted < 0 || wanted > most ? most : wanted;
    atomic_store_explicit(&level, chosen, memory_order_relaxed);
    return chosen;
}

const char *uspi_isa_name(int which) {
    static const char *const names[] = {"baseline", "avx2", "avx512", "avx512_bf16"};
    return which >= 0 && which < 4 ? names[which] : "unknown";
}
