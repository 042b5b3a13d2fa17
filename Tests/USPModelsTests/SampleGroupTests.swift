// Inference in groups of samples: every sample as if it had been alone.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct SampleGroupTests {
    @Test func groupsAreEvenAndWhole() {
        for (batch, tokens) in [(1, 256), (8, 256), (5, 256), (33, 197), (3, 4096), (64, 1)] {
            let groups = sampleGroups(batch, tokens: tokens)
            #expect(groups.flatMap { Array($0) } == Array(0..<batch))
            let sizes = groups.map(\.count)
            #expect(sizes.max()! - sizes.min()! <= 1)
            let rows = 512 * ThreadPool.shared.threads
            #expect(sizes.max()! <= max(3 * ThreadPool.shared.threads / 2, 3 * rows / tokens + 1))
        }
    }

    @Test(arguments: [DType.float32, .bfloat16, .int8])
    func aSampleHasTheBitsItHasAlone(_ compute: DType) throws {
        let golden = try GoldenCase("models/dit_affine")
        let configuration = golden.transformer(returnsSigma: true)
        let model = try DiT(
            configuration,
            try golden.parameters(try configuration.specs(), trainable: false))
        let batch = 2 * 512 * ThreadPool.shared.threads / configuration.tokens + 3
        try #require(sampleGroups(batch, tokens: configuration.tokens).count >= 2)
        let x = try normalTensor(configuration.imageShape(batch), seed: 3)
        let t = (0..<batch).map { Float($0 % 1000) }
        let y = (0..<batch).map { $0 % configuration.classes }
        let context = Context(Arithmetic(compute: compute))
        let together = try model.forward(x, t: t, y: y, in: context)
        for sample in [0, batch / 2 - 1, batch / 2, batch / 2 + 1, batch - 1] {
            let range = sample..<sample + 1
            let alone = try model.forward(
                x.detachedRows(range), t: Array(t[range]), y: Array(y[range]), in: context)
            #expect(try bits(together.detachedRows(range)) == bits(alone))
        }
    }

    private func bits(_ x: Tensor) -> [UInt32] {
        (0..<x.count).map { x.floats[$0].bitPattern }
    }
}
