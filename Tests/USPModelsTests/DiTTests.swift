// DiT and SiT against the originals: plain and affine.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct DiTTests {
    static let small = ["dit", "dit_affine", "sit", "sit_affine"]
    /// With the published patches and with the latents of 512x512 images.
    static let cases =
        small + ["dit_patch4", "sit_patch4", "dit_patch8", "sit_patch8", "dit_512"]

    private func times(_ golden: GoldenCase) throws -> [Float] {
        if let floats = golden.floats["in.t"] { return floats.values }
        return try golden.indices("in.t").map { Float($0) }
    }

    private func model(
        _ golden: GoldenCase, _ name: String, trainable: Bool = true
    ) throws -> DiT {
        let configuration = golden.transformer(returnsSigma: name.hasPrefix("dit"))
        return try DiT(
            configuration,
            try golden.parameters(try configuration.specs(), trainable: trainable))
    }

    @Test(arguments: cases) func matchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        for recomputes in Recomputation.allCases {
            let model = try model(golden, name)
            model.recomputes = recomputes
            let x = try golden.tensor("in.x")
            let inputGradient = try trainable(x)
            let tape = Tape()
            let context = Context(tape: tape)
            let y = try model.forward(
                x, t: try times(golden), y: try golden.indices("in.labels"), in: context)
            #expect(try golden.error(y.values, "y") < 1e-5)
            let loss = try context.meanSquaredError(y, try Tensor.zeros(y.shape))
            #expect(relativeError(loss, try golden.values("out.loss")) < 1e-5)
            try tape.backward(from: loss)
            try golden.checkGradients(model.parameters, input: inputGradient, "x")
        }
    }

    @Test(arguments: cases) func bfloat16IsNoWorseThanAutocast(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let y = try model(golden, name, trainable: false).forward(
            try golden.tensor("in.x"), t: try times(golden), y: try golden.indices("in.labels"),
            in: Context(compute: .bfloat16))
        try golden.checkHalf(y, "y")
    }

    /// Fresh models start with the originals' tables.
    @Test(arguments: cases) func positions(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let configuration = golden.transformer(returnsSigma: true)
        let table = try PositionTable.sincos(width: configuration.width, grid: configuration.grid)
        #expect(relativeError(table, try golden.values("param.pos_embed")) < 1e-6)
    }

    @Test func sharedConditionsAreComputedOnce() throws {
        try alone {
            let golden = try GoldenCase("models/dit_affine")
            let model = try model(golden, "dit_affine")
            let (t, y): ([Float], [Int]) = ([5, 7, 5, 5], [1, 1, 1, 2])
            let x = try normalTensor([4, 4, 16, 16], seed: 1)
            let together = try model.forward(x, t: t, y: y, in: Context())
            let size = together.count / 4
            for sample in 0..<4 {
                let single = try model.forward(
                    try x.detachedRows(sample..<sample + 1), t: [t[sample]], y: [y[sample]],
                    in: Context())
                let part = Array(together.values[sample * size..<(sample + 1) * size])
                #expect(relativeError(single, part) < 1e-5)
            }
            let conditioning = try model.conditioning(t: t, y: y, in: Context())
            #expect(try model.forward(x, conditioning, in: Context()).values == together.values)
            let tokens = try model.features(x, conditioning, depth: 1, in: Context())
            // Two passes over the same latents are those passes one after the other.
            let both = try model.forward(x, t: t + t, y: y + [3, 3, 3, 3], in: Context())
            let other = try model.forward(x, t: t, y: [3, 3, 3, 3], in: Context())
            #expect(both.values == together.values + other.values)
            #expect(tokens.shape == [4, 64, 48])
            let context = Context()
            let ofBlocks = try model.meansOfBlocks(x, conditioning, in: context)
            for (index, mean) in ofBlocks.enumerated() {
                let alone = try model.features(x, conditioning, depth: index + 1, in: context)
                let wanted = try context.meanTokens(alone, from: 0)
                #expect(mean.values == wanted.values)
            }
            #expect(ofBlocks.count == model.configuration.depth)
        }
    }

    /// A guided step of eight samples with five labels: one time, five labels and the null class.
    @Test func stepsEmbedTheirTimeOnce() {
        let labels = [1, 2, 3, 4, 5, 1, 2, 3]
        let distinct = DistinctConditions(
            [Float](repeating: 7, count: 16), labels + [Int](repeating: 10, count: 8))
        #expect(distinct.times == [7])
        #expect(distinct.labels == [1, 2, 3, 4, 5, 10])
        #expect(distinct.timeRows == [0, 0, 0, 0, 0, 0])
        #expect(distinct.rows == [0, 1, 2, 3, 4, 0, 1, 2] + [Int](repeating: 5, count: 8))
        let training = DistinctConditions([3, 8, 3], [1, 1, 1])
        #expect(training.times == [3, 8] && training.rows == [0, 1, 0])
    }

    @Test func freshBlocksAreIdentities() throws {
        try alone {
            var configuration = try GoldenCase("models/dit").transformer(returnsSigma: true)
            configuration.depth = 3
            let model = try DiT(configuration, key: RandomKey(seed: 9))
            let x = try normalTensor([2, 4, 16, 16], seed: 2)
            let conditioning = try model.conditioning(t: [1, 2], y: [3, 10], in: Context())
            let first = try model.features(x, conditioning, depth: 0, in: Context())
            let last = try model.features(x, conditioning, depth: 3, in: Context())
            #expect(first.values == last.values)
            let output = try model.forward(x, conditioning, in: Context())
            #expect(output.values.allSatisfy { $0 == 0 })
        }
    }

    @Test func threadsDoNotMatter() throws {
        let golden = try GoldenCase("models/dit_affine")
        try expectSameOnAllThreads {
            let model = try model(golden, "dit_affine")
            let tape = Tape()
            let context = Context(tape: tape)
            let y = try model.forward(
                try golden.tensor("in.x"), t: try times(golden),
                y: try golden.indices("in.labels"), in: context)
            try tape.backward(from: try context.meanSquaredError(y, try Tensor.zeros(y.shape)))
            return [y.values, model.parameters.gradients?.values ?? []]
        }
    }

    @Test func refusesWrongInputs() throws {
        let golden = try GoldenCase("models/dit")
        let model = try model(golden, "dit")
        let x = try golden.tensor("in.x")
        #expect(throws: USPError.self) {
            try model.forward(x, t: [0, 0, 0], y: [0, 0, 11], in: Context())
        }
        #expect(throws: USPError.self) { try model.forward(x, t: [0], y: [0], in: Context()) }
        #expect(throws: USPError.self) {
            try model.forward(try Tensor.zeros([1, 4, 8, 8]), t: [0], y: [0], in: Context())
        }
    }
}
