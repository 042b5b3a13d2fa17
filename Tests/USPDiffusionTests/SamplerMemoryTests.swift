// What samplers keep: the latents and two tensors beside them, and nothing more from step to step.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// The most blocks of the latents' size that a run held at once, its result included.
private func blocks(
    _ run: (_ start: Tensor, _ denoiser: Denoiser) throws -> Tensor
) throws -> Int {
    try alone {
        let start = try normalTensor([1, 4, 300, 301], seed: 1, deviation: 0.1)
        let output = try Tensor(start.shape)
        let denoiser = Denoiser { x, _, _ throws(USPError) in
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

private func process() throws -> Diffusion {
    try gaussian(respacing: "6", variance: "FIXED_LARGE")
}

@Suite struct SamplerMemoryTests {
    @Test(arguments: [("ddpm", 3), ("ddim", 3), ("dpm++", 3), ("dpm++sde", 3)])
    func gaussianSamplersKeepTwoTensors(_ method: String, _ expected: Int) throws {
        let process = try process()
        let held = try blocks {
            try draw(process, method, $1, $0) { $0.eta = method == "ddim" ? 1 : 0 }
        }
        #expect(held == expected)
    }

    @Test func inversionsKeepOneTensor() throws {
        let process = try process()
        #expect(try blocks { try draw(process, "ddim", $1, $0, for: .invert) } == 2)
    }

    @Test(arguments: [
        ("euler", 2), ("midpoint", 2), ("heun", 3), ("heun3", 3), ("rk4", 3),
        ("adams-bashforth", 3), ("adams-bashforth3", 4), ("dopri5", 10),
    ])
    func flowsKeepTwoTensors(_ method: String, _ expected: Int) throws {
        let flow = Sampler.Process.flow(try Transport())
        #expect(try blocks { try draw(flow, method, $1, $0) { $0.steps = 6 } } == expected)
    }

    @Test(arguments: ["Euler", "Heun"])
    func stochasticSamplersKeepTwoTensors(_ method: String) throws {
        let process = Sampler.Process.stochastic(try Transport())
        #expect(try blocks { try draw(process, method, $1, $0) { $0.steps = 6 } } == 3)
    }

    @Test func stepsAllocateNothing() throws {
        try alone {
            let process = try process()
            let start = try normalTensor([2, 4, 16, 16], seed: 1)
            let output = try Tensor(start.shape)
            var allocations: [Int] = []
            let monitor = SamplingMonitor { _ throws(USPError) in
                allocations.append(MemoryPool.shared.systemAllocations)
            }
            let copying = Denoiser { x, _, _ throws(USPError) in
                try output.copy(from: x)
                return output
            }
            _ = try draw(process, "ddpm", copying, start, monitor)
            #expect(Set(allocations).count == 1 && allocations.count == 6)
        }
    }
}
