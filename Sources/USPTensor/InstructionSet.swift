// Which variant of the kernels runs on this machine.

import CKernels

/// The widest instructions that the kernels use here, for logs.
package var instructionSet: String {
    switch uspi_isa() {
    case 0: "baseline"
    case 1: "avx2"
    case 2: "avx512"
    default: "avx512-bf16"
    }
}

/// Whether the processor has dot products of bf16.
var multipliesBFloat16: Bool { uspi_isa() >= Int32(USPI_ISA_AVX512_BF16) }

/// The kind of processor that the library was built for.
package var architecture: String {
    #if arch(x86_64)
        "x86_64"
    #elseif arch(arm64)
        "aarch64"
    #else
        "other"
    #endif
}
