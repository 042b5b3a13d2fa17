// How a network that is only asked computes.

import ArgumentParser
import USPBase
import USPKit

struct ComputeArguments: ParsableArguments {
    @Option(
        help: """
            Inputs of the transformer's products: f32; bf16 with f32 sums; int8 in the linear layers of \
            its blocks, with a scale for each token and output.
            """)
    var dtype = "f32"

    func apply(to options: inout LoadOptions) throws(USPError) {
        switch dtype.lowercased() {
        case "f32": options.compute = .float32
        case "bf16": options.compute = .bfloat16
        case "int8", "i8": options.compute = .int8
        default: throw unknownName(dtype, what: "dtype", known: ["f32", "bf16", "int8"])
        }
    }
}
