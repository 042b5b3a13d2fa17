// A norm before a linear layer: the same bits whether its rows exist or are made as they are packed.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// Sizes of a norm and a layer: `[samples, tokens, width]` to `outputs`.
struct NormedLayer: Sendable {
    let samples: Int
    let tokens: Int
    let width: Int
    let outputs: Int
    var modulated = true
    var kind = NormKind.layer
}

@Suite(.serialized) struct LinearNormTests {
    static let layers = [
        NormedLayer(samples: 3, tokens: 70, width: 288, outputs: 192),  // shares sums
        NormedLayer(samples: 2, tokens: 65, width: 256, outputs: 64),  // groups of odd rows
        NormedLayer(samples: 5, tokens: 7, width: 37, outputs: 40),  // tiles of several samples
        NormedLayer(samples: 3, tokens: 70, width: 288, outputs: 192, kind: .rms),
        NormedLayer(samples: 5, tokens: 7, width: 37, outputs: 40, kind: .rms),
        NormedLayer(samples: 1, tokens: 1, width: 24, outputs: 3),
        NormedLayer(samples: 1, tokens: 600, width: 48, outputs: 96, modulated: false),
        // so wide that the columns of some threads pack the rows once more
        NormedLayer(samples: 2, tokens: 256, width: 2400, outputs: 192),
    ]

    @Test(arguments: layers) func bitsAreThoseOfTheNormAlone(_ layer: NormedLayer) throws {
        let width = layer.width
        let x = try normalTensor([layer.samples, layer.tokens, width], seed: 31, deviation: 2)
        let weight = try normalTensor([layer.outputs, width], seed: 32, deviation: 0.1)
        let bias = try normalTensor([layer.outputs], seed: 33)
        var norm = LayerNorm(
            layer.kind, weight: try normalTensor([width], seed: 34),
            bias: layer.kind == .rms ? nil : try normalTensor([width], seed: 35))
        if layer.modulated {
            let modulation = try normalTensor([layer.samples, 3 * width], seed: 36)
            norm.shift = Chunk(modulation, 2, width: width)
            norm.scale = Chunk(modulation, 0, width: width)
        }
        try alone {
            for level in 0...uspi_isa() {
                useInstructions(level)
                for compute in [DType.float32, .bfloat16, .int8] {
                    weight.node.packed.invalidate()
                    let context = Context(compute: compute)
                    let rows = try context.layerNorm(x, norm, output: context.activationType)
                    let expected = try context.linear(rows, weight, bias).values
                    for count in 1...3 {
                        useThreads(count)
                        let y = try context.linear(x, weight, bias, LinearOptions(norm: norm))
                        let same = y.values == expected
                        #expect(same, "level \(level), \(compute), \(count) threads")
                    }
                }
            }
        }
    }

    @Test func gradientsPassTheNorm() throws {
        let values = try [[2, 3, 8], [8], [2, 16], [5, 8]].enumerated().map { index, shape in
            try normalTensor(Shape(shape), seed: UInt64(40 + index))
        }
        let error = try gradientError(values) { v, context throws(USPError) in
            let norm = LayerNorm(
                weight: v[1], shift: Chunk(v[2], 0, width: 8), scale: Chunk(v[2], 1, width: 8))
            return try context.linear(v[0], v[3], nil, LinearOptions(norm: norm))
        }
        #expect(error < 1e-3)
    }
}
