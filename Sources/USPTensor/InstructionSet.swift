// Which variant of the kernels runs on this machine.

import CKernels

/// The widest instructions that the kernels use here, for logs.
package var instructionSet: String {
    switch uspi_isa() {
    case 0: "scalar"
    case 1: "avx2"
    case 2: "avx512"
    default: "avx512-bf16"
    }
}
