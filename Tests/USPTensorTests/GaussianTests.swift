// The diagonal Gaussian and layout changes: values and gradients.

import TestSupport
import Testing
import USPBase
import USPTensor

@Test func layoutChangesAreInverses() throws {
    let x = try randomTensor([3, 5, 17, 19], "x")
    let last = try Context().toChannelsLast(x)
    #expect(last.shape == [3, 17, 19, 5])
    #expect(last.values[((1 * 17 + 4) * 19 + 7) * 5 + 3] == x.values[index(x, 1, 3, 4, 7)])
    #expect(try Context().toChannelsFirst(last).values == x.values)
    let error = try gradientError([x]) { _, context throws(USPError) in
        let y = try context.toChannelsLast(x)
        return try context.add(context.toChannelsFirst(y), x)
    }
    #expect(error < 1e-3)
}

private func index(_ x: Tensor, _ b: Int, _ c: Int, _ i: Int, _ j: Int) -> Int {
    ((b * x.shape[1] + c) * x.shape[2] + i) * x.shape[3] + j
}

@Test func channelSlicesCarryGradients() throws {
    let x = try randomTensor([2, 3, 3, 8], "x")
    let y = try Context().sliceChannels(x, 2..<5)
    #expect(y.shape == [2, 3, 3, 3])
    #expect(y.values[0..<3] == x.values[2..<5])
    let error = try gradientError([x]) { _, context throws(USPError) in
        try context.add(context.sliceChannels(x, 0..<4), context.sliceChannels(x, 3..<7))
    }
    #expect(error < 1e-3)
    #expect(throws: USPError.self) { try Context().sliceChannels(x, 5..<9) }
}

@Test func gaussianGradientsFollowDifferences() throws {
    let mean = try randomTensor([2, 3, 4], "mean")
    let logVariance = try randomTensor([2, 3, 4], "variance")
    let noise = try randomTensor([2, 3, 4], "noise")
    let sampled = try gradientError([mean, logVariance]) { _, context throws(USPError) in
        let limited = try context.clamp(logVariance, -1, 1)
        return try context.sampleGaussian(mean: mean, logVariance: limited, noise: noise)
    }
    #expect(sampled < 1e-3)
    let divergence = try gradientError([mean, logVariance]) { _, context throws(USPError) in
        try context.klDivergence(mean: mean, logVariance: logVariance)
    }
    #expect(divergence < 1e-3)
}

@Test func standardNormalDivergesByNothing() throws {
    let zero = try Tensor.zeros([4, 7])
    #expect(try Context().klDivergence(mean: zero, logVariance: zero).values == [0])
    let wide = try Tensor([4], [-100, -30, 3, 21])
    #expect(try Context().clampLogVariance(wide).values == [-30, -30, 3, 20])
}
