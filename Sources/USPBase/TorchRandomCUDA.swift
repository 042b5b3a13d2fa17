// Random numbers as PyTorch gives them on a CUDA device: Philox, laid out over a grid of threads.

import Glibc

/// `torch.Generator("cuda")`: normal numbers.
///
/// Which thread draws which element depends on how many threads the device runs at once, and so
/// do the numbers of a call with more elements than that. Source of the rules: ATen's
/// `DistributionTemplates.h` and the documented layout of cuRAND's Philox4_32_10.
package struct TorchRandomCUDA: Sendable {
    /// Threads of one block, and numbers of one call, in ATen's kernel.
    private static let block = 256
    private static let perCall = 4

    private let seed: UInt64
    private let residentThreads: Int
    private var offset: UInt64 = 0

    /// `torch.cuda.manual_seed(seed)` on a device that runs `residentThreads` threads at once:
    /// multiprocessors times threads of each (the start value is an A100's, 108 x 2048).
    package init(seed: UInt64, residentThreads: Int = 108 * 2048) {
        self.seed = seed
        self.residentThreads = max(residentThreads, TorchRandomCUDA.block)
    }

    /// `torch.randn(count, device="cuda")`.
    package mutating func normal(count: Int) -> [Float] {
        var values = [Float](repeating: 0, count: max(count, 0))
        values.withUnsafeMutableBufferPointer { fillNormal($0) }
        return values
    }

    /// As `normal(count:)`, in place.
    package mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
        let count = values.count
        guard count > 0 else { return }
        let (block, perCall) = (TorchRandomCUDA.block, TorchRandomCUDA.perCall)
        let blocks = min(residentThreads / block, (count - 1) / block + 1)
        let threads = blocks * block
        let rounds = (count - 1) / (threads * perCall) + 1
        for round in 0..<rounds {
            let start = round * threads * perCall
            for thread in 0..<min(threads, count - start) {
                let bits = philox(
                    counter: offset / 4 &+ UInt64(round), stream: UInt64(thread), key: seed)
                for slot in 0..<perCall {
                    let index = start + thread + slot * threads
                    guard index < count else { continue }
                    let pair = slot < 2 ? boxMuller(bits[0], bits[1]) : boxMuller(bits[2], bits[3])
                    values[index] = slot % 2 == 0 ? pair.0 : pair.1
                }
            }
        }
        offset &+= UInt64(rounds * perCall)
    }
}

/// cuRAND's pair: the sine comes first, and the uniforms never are zero.
private func boxMuller(_ a: UInt32, _ b: UInt32) -> (Float, Float) {
    let u = Float(a) * 0x1p-32 + 0x1p-33
    let angle = Float(b) * (0x1p-32 * 2 * Float.pi) + 0x1p-33 * 2 * Float.pi
    let radius = (-2 * logf(u)).squareRoot()
    return (radius * sinf(angle), radius * cosf(angle))
}
