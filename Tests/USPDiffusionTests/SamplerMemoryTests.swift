// What samplers keep: the latents and two tensors beside them, and nothing more from step to step.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// The most blocks of the latents' size that a run held at once, its result included.
private func blocks(
    _ run: (_ start: Tensor, _ denoiser: @escaping Denoiser) throws -> Tensor
) throws -> Int {
    try alone {
        let start = try normalTensor([1, 4, 300, 301], seed: 1, deviation: 0.1)
        let output = try Tensor(start.shape)
        let denoiser: Denoiser = { x, _ throws(USPError) in
            try output.copy(from: x)
            return output
        }
        MemoryPool.shared.trim()
        let before = MemoryPool.shared.mostInUse
        _ = try run(start, denoiser)
        let held = MemoryPool.shared.mostInUse - before
        let block = MemoryPool.roundedUp(start.byteCount)
        #expect(held % block < block / 8)
        return held / block
    }
}

private func process() throws -> GaussianDiffusion {
    try gaussian(respacing: "6", variance: "FIXED_LARGE")
}

@Suite struct SamplerMemoryTests {
    private let noise = { NoiseSource.streams(RandomKey(seed: 1)) }

    @Test func gaussianSamplersKeepTwoTensors() throws {
        let process = try process()
        #expect(try blocks { try process.sampleAncestral($1, latents: $0, noise: noise()) } == 3)
        #expect(
            try blocks { try process.sampleDDIM($1, latents: $0, eta: 1, noise: noise()) } == 3)
        #expect(try blocks { try process.invertDDIM($1, latents: $0) } == 2)
        #expect(try blocks { try process.sampleMultistep($1, latents: $0) } == 3)
        #expect(
            try blocks { try process.sampleMultistep($1, latents: $0, noise: noise()) } == 3)
    }

    @Test(arguments: [
        (ODEMethod.euler, 2), (.midpoint, 2), (.heun, 3), (.heun3, 3), (.rk4, 3),
        (.adamsBashforth2, 3), (.adamsBashforth3, 4), (.dopri5, 10),
    ])
    func flowsKeepTwoTensors(_ method: ODEMethod, _ expected: Int) throws {
        var options = FlowOptions()
        options.method = method
        options.points = 6
        #expect(try blocks { try Transport().sampleFlow($1, latents: $0, options) } == expected)
    }

    @Test(arguments: [StochasticMethod.euler, .heun])
    func stochasticSamplersKeepTwoTensors(_ method: StochasticMethod) throws {
        var options = StochasticOptions()
        options.method = method
        options.steps = 6
        #expect(
            try blocks {
                try Transport().sampleStochastic($1, latents: $0, noise: noise(), options)
            } == 3)
    }

    @Test func stepsAllocateNothing() throws {
        try alone {
            let process = try process()
            let start = try normalTensor([2, 4, 16, 16], seed: 1)
            let output = try Tensor(start.shape)
            var allocations: [Int] = []
            var options = GaussianSamplingOptions()
            options.monitor.progress = { _ throws(USPError) in
                allocations.append(MemoryPool.shared.systemAllocations)
            }
            _ = try process.sampleAncestral(
                { x, _ throws(USPError) in
                    try output.copy(from: x)
                    return output
                }, latents: start, noise: noise(), options: options)
            #expect(Set(allocations).count == 1 && allocations.count == 6)
        }
    }
}
