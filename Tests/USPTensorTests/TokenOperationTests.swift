// Token operations: gradients by central differences, one result for any number of threads and
// instruction set, bad shapes refused.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

@Suite(.serialized) struct TokenOperationTests {
    @Test func gradientsOfTokenMoves() throws {
        let x = try normalTensor([2, 5, 4], seed: 1)
        let other = try normalTensor([2, 3, 4], seed: 2)
        let table = try normalTensor([1, 7, 4], seed: 3)
        let token = try normalTensor([1, 1, 4], seed: 4)
        let error = try gradientError([x, other, table, token]) {
            inputs, context throws(USPError) in
            let joined = try context.concatenateTokens([
                inputs[0], inputs[1], try context.broadcastToken(inputs[3], batch: 2, count: 2),
            ])
            let moved = try context.gatherTokens(
                joined, [0, 9, 3, 3, 8, 1, 2, 9, 0, 5], perSample: 5)
            let placed = try context.addTable(moved, inputs[2], rows: 1..<6)
            let part = try context.sliceTokens(placed, 1..<4)
            let mean = try context.meanTokens(placed, from: 2)
            return try context.add(
                try context.meanTokens(part),
                try context.multiply(mean, try context.tokenAt(placed, 4)))
        }
        #expect(error < 1e-3)
    }

    @Test func gradientOfPatchesBackAndForth() throws {
        let x = try normalTensor([2, 3, 4, 6], seed: 5)
        let error = try gradientError([x]) { inputs, context throws(USPError) in
            let patches = try context.patchify(inputs[0], patch: 2, order: .channelLast)
            let image = try context.unpatchify(patches, patch: 2, channels: 3, height: 4, width: 6)
            return try context.multiply(image, inputs[0])
        }
        #expect(error < 1e-3)
        let context = Context()
        let patches = try context.patchify(x, patch: 2, order: .channelLast)
        let again = try context.unpatchify(patches, patch: 2, channels: 3, height: 4, width: 6)
        #expect(again.values == x.values)
    }

    @Test func gradientsOfAttentionWithFewerQueries() throws {
        let query = try normalTensor([2, 2, 8], seed: 6)
        let key = try normalTensor([2, 5, 8], seed: 7)
        let value = try normalTensor([2, 5, 8], seed: 8)
        let error = try gradientError([query, key, value]) { inputs, context throws(USPError) in
            try context.attention(query: inputs[0], key: inputs[1], value: inputs[2], heads: 2)
        }
        #expect(error < 2e-3)
        let shared = try gradientError([value]) { inputs, context throws(USPError) in
            try context.attention(query: inputs[0], key: inputs[0], value: inputs[0], heads: 2)
        }
        #expect(shared < 2e-3)
    }

    @Test func gradientsOfLossesAndTables() throws {
        let a = try normalTensor([3, 4], seed: 9)
        let b = try normalTensor([3, 4], seed: 10)
        let error = try gradientError([a, b], step: 1e-3) { inputs, context throws(USPError) in
            let rows = try context.embedding(inputs[0], [2, 0, 2])
            return try context.add(
                try context.meanAbsoluteError(inputs[0], inputs[1]),
                try context.scale(try context.meanSquaredError(rows, inputs[1]), by: 3))
        }
        #expect(error < 2e-3)
    }

    @Test func dropoutKeepsTheMeanAndIgnoresTheBatch() throws {
        let x = try Tensor([4, 4096], [Float](repeating: 1, count: 4 * 4096))
        let context = Context(random: RandomKey(seed: 3))
        let all = try context.dropout(x, rate: 0.25)
        let mean = all.values.reduce(0, +) / Float(all.count)
        #expect(abs(mean - 1) < 0.03)
        let first = try context.dropout(try x.detachedRows(0..<1), rate: 0.25)
        #expect(Array(all.values.prefix(4096)) == first.values)
        #expect(try Context().dropout(x, rate: 0.25) === x)
        let paths = try context.dropPath(x, rate: 0.5)
        #expect(Set(paths.values).isSubset(of: [0, 2]))
        #expect(throws: USPError.self) { try context.dropout(x, rate: 1) }
    }

    @Test func batchNormMovesItsStatistics() throws {
        let x = try Tensor([2, 1], [1, 3])
        let mean = try Tensor([1], [0])
        let variance = try Tensor([1], [1])
        _ = try Context().batchNorm(
            x,
            BatchNorm(runningMean: mean, runningVariance: variance, epsilon: 1e-6),
            training: true)
        #expect(abs(mean.values[0] - 0.2) < 1e-6)
        #expect(abs(variance.values[0] - 1.1) < 1e-6)
    }

    @Test func threadsAndInstructionSetsAgree() throws {
        try alone { try compareThreadsAndInstructionSets() }
    }

    private func compareThreadsAndInstructionSets() throws {
        useThreads(1)
        let one = try transformerLikeStep()
        useThreads(2)
        let two = try transformerLikeStep()
        #expect(one == two)
        let best = uspi_isa()
        for level in 0..<best {
            useInstructions(level)
            let other = try transformerLikeStep()
            for (mine, theirs) in zip(other, one) { #expect(relativeError(mine, theirs) < 1e-5) }
        }
    }

    /// Output and gradients of layer norm, attention, loss on sizes with tails.
    private func transformerLikeStep() throws -> [[Float]] {
        let x = try normalTensor([3, 70, 72], seed: 11)
        let gamma = try normalTensor([72], seed: 12)
        let modulation = try normalTensor([3, 144], seed: 13)
        let weight = try normalTensor([216, 72], seed: 14, deviation: 0.1)
        let leaves = [x, gamma, modulation, weight]
        let gradients = try leaves.map { try trainable($0) }
        let tape = Tape()
        let context = Context(tape: tape)
        let h = try context.layerNorm(
            x,
            LayerNorm(
                weight: gamma, shift: Chunk(modulation, 0, width: 72),
                scale: Chunk(modulation, 1, width: 72)))
        let qkv = try context.linear(h, weight)
        let y = try context.add(x, try context.attention(qkv: qkv, heads: 3))
        let loss = try context.meanSquaredError(y, x)
        try tape.backward(from: loss)
        return [y.values, loss.values] + gradients.map(\.values)
    }

    @Test func bfloat16OutputsAreRounded() throws {
        let x = try normalTensor([2, 3, 40], seed: 15)
        let full = try Context().layerNorm(x)
        let half = try Context(compute: .bfloat16).layerNorm(x, output: .bfloat16)
        #expect(half.dtype == .bfloat16)
        #expect(relativeError(half.values, full.values) < 4e-3)
    }

    @Test func refusesWrongShapes() throws {
        let context = Context()
        let x = try Tensor.zeros([2, 3, 8])
        let seven = LayerNorm(weight: try Tensor.zeros([7]))
        #expect(throws: USPError.self) { try context.layerNorm(x, seven) }
        #expect(throws: USPError.self) {
            try context.linear(x, try Tensor.zeros([4, 8]), nil, LinearOptions(norm: seven))
        }
        #expect(throws: USPError.self) { try context.attention(qkv: x, heads: 3) }
        #expect(throws: USPError.self) { try context.embedding(try Tensor.zeros([3, 2]), [3]) }
        #expect(throws: USPError.self) { try context.gatherTokens(x, [0, -1], perSample: 1) }
        #expect(throws: USPError.self) { try context.sliceTokens(x, 2..<4) }
        #expect(throws: USPError.self) {
            try context.patchify(try Tensor.zeros([1, 1, 5, 4]), patch: 2, order: .channelLast)
        }
        #expect(throws: USPError.self) {
            try context.softmaxCrossEntropy(logits: try Tensor.zeros([1, 3]), labels: [3])
        }
    }
}
