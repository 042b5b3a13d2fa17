/* The instruction sets that the kernels exist for, and the one in use. */
#ifndef USPI_ISA_H
#define USPI_ISA_H

/* Levels in order: a machine that has one has all below it. */
enum {
    USPI_ISA_BASELINE = 0,    /* plain C, as the compiler vectorises it for the platform */
    USPI_ISA_AVX2 = 1,        /* AVX2, FMA and F16C */
    USPI_ISA_AVX512 = 2,      /* AVX-512 F, BW, DQ and VL */
    USPI_ISA_AVX512_BF16 = 3, /* AVX-512 with the dot products of bf16 and of bytes (VNNI) */
};

/* The level in use: the highest that this processor has, unless uspi_set_isa lowered it. */
int uspi_isa(void);

/* Choose a level, clamped to what the processor has; a negative one means the highest.
 * Returns the level now in use. For tests: not while kernels run. */
int uspi_set_isa(int level);

/* Whether dot products of bytes (VNNI), which no level below the highest stands for, are used at the
 * level in use; and for tests: 0 leaves them out where a level does not need them. */
int uspi_vnni(void);
int uspi_set_vnni(int wanted);

/* "baseline", "avx2", "avx512" or "avx512_bf16". */
const char *uspi_isa_name(int level);

#endif
