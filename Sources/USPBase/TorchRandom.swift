// Random numbers as PyTorch's CPU generator gives them, so that a seed gives the picture that the
// original script gives.

import Glibc

/// `torch.Generator("cpu")`: a 32-bit Mersenne Twister and the second half of a normal pair.
///
/// Source of the rules: ATen's `CPUGeneratorImpl`, `DistributionsHelper` and `normal_fill`. Values
/// agree with PyTorch to a few units in the last place of f32 (its vectorised logarithm and
/// cosine differ that much between processors).
package struct TorchRandom: Sendable {
    private var engine: MersenneTwister
    private var spareNormal: Double?

    /// `torch.manual_seed(seed)`.
    package init(seed: UInt64) { engine = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed)) }

    /// `torch.rand(count)`: uniform in [0, 1), 24 bits.
    package mutating func uniform(count: Int) -> [Float] {
        (0..<max(count, 0)).map { _ in uniform() }
    }

    /// `torch.randn(count)`: a call of fewer than 16 draws goes another way than a longer one.
    package mutating func normal(count: Int) -> [Float] {
        var values = [Float](repeating: 0, count: max(count, 0))
        values.withUnsafeMutableBufferPointer { fillNormal($0) }
        return values
    }

    /// As `normal(count:)`, in place.
    package mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
        guard values.count >= 16 else {
            for index in values.indices { values[index] = Float(pairedNormal()) }
            return
        }
        for index in values.indices { values[index] = uniform() }
        for start in stride(from: 0, through: values.count - 16, by: 16) {
            transformSixteen(values, at: start)
        }
        if values.count % 16 != 0 {
            let start = values.count - 16
            for index in start..<values.count { values[index] = uniform() }
            transformSixteen(values, at: start)
        }
    }

    private mutating func uniform() -> Float { Float(engine.next() & 0xFF_FFFF) * 0x1p-24 }

    private mutating func uniformDouble() -> Double {
        let high = UInt64(engine.next())
        let bits = high << 32 | UInt64(engine.next())
        return Double(bits & (1 << 53 - 1)) * 0x1p-53
    }

    /// Box–Muller over the two halves of sixteen uniforms.
    private func transformSixteen(_ values: UnsafeMutableBufferPointer<Float>, at start: Int) {
        for index in start..<start + 8 {
            let radius = (-2 * logf(1 - values[index])).squareRoot()
            let angle = 2 * Float.pi * values[index + 8]
            values[index] = radius * cosf(angle)
            values[index + 8] = radius * sinf(angle)
        }
    }

    /// Box–Muller in double; the second of each pair waits for the next short call.
    private mutating func pairedNormal() -> Double {
        if let value = spareNormal {
            spareNormal = nil
            return value
        }
        let angle = 2 * Double.pi * uniformDouble()
        let radius = (-2 * log1p(-uniformDouble())).squareRoot()
        spareNormal = radius * sin(angle)
        return radius * cos(angle)
    }
}

/// MT19937 (Matsumoto, Nishimura 1998).
struct MersenneTwister: Sendable {
    private static let size = 624
    private static let middle = 397
    private var state: [UInt32]
    private var position = MersenneTwister.size

    init(seed: UInt32) {
        state = [seed]
        state.reserveCapacity(MersenneTwister.size)
        for index in 1..<MersenneTwister.size {
            let last = state[index - 1]
            state.append(1_812_433_253 &* (last ^ last >> 30) &+ UInt32(index))
        }
    }

    mutating func next() -> UInt32 {
        if position == MersenneTwister.size { regenerate() }
        var word = state[position]
        position += 1
        word ^= word >> 11
        word ^= word << 7 & 0x9D2C_5680
        word ^= word << 15 & 0xEFC6_0000
        return word ^ word >> 18
    }

    private mutating func regenerate() {
        let (size, middle) = (MersenneTwister.size, MersenneTwister.middle)
        for index in 0..<size {
            let word = state[index] & 0x8000_0000 | state[(index + 1) % size] & 0x7FFF_FFFF
            let twist: UInt32 = word & 1 == 0 ? 0 : 0x9908_B0DF
            state[index] = state[(index + middle) % size] ^ word >> 1 ^ twist
        }
        position = 0
    }
}
