// Counter-based random numbers: one stream per sample, so results depend neither on batch split,
// nor on order, nor on threads. Torch-compatible generators live beside it in TorchRandom.swift.

import Glibc

/// Names one stream: what it is for, and which sample, step or tensor it belongs to.
package struct RandomKey: Sendable, Hashable {
    package let seed: UInt64
    package let stream: UInt64

    package init(seed: UInt64, stream: UInt64 = 0) {
        self.seed = seed
        self.stream = stream
    }

    /// A stream of its own for each index; streams of different paths of indices do not meet.
    package func stream(_ index: Int) -> RandomKey {
        RandomKey(
            seed: seed,
            stream: mix(stream ^ mix(UInt64(bitPattern: Int64(index)) &+ 0x9E37_79B9_7F4A_7C15)))
    }

    /// A stream of its own for each name.
    package func stream(_ name: String) -> RandomKey {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return RandomKey(seed: seed, stream: mix(stream ^ mix(hash)))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that scatters every bit.
@inlinable
package func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

/// Philox4x32-10 (Salmon et al. 2011) over the counters 0, 1, 2, … of one key.
package struct RandomStream: RandomNumberGenerator, Sendable {
    private let key: RandomKey
    private var counter: UInt64 = 0
    private var block: SIMD4<UInt32> = .zero
    private var used = 4
    private var spare: Float?

    package init(_ key: RandomKey) { self.key = key }

    package mutating func next() -> UInt64 {
        let low = UInt64(nextWord())
        return low | UInt64(nextWord()) << 32
    }

    /// 32 uniform bits.
    package mutating func nextWord() -> UInt32 {
        if used == 4 {
            block = philox(counter: counter, stream: key.stream, key: key.seed)
            counter &+= 1
            used = 0
        }
        defer { used += 1 }
        return block[used]
    }

    /// Uniform in [0, 1), 24 bits.
    package mutating func uniform() -> Float { Float(nextWord() >> 8) * 0x1p-24 }

    /// Uniform in 0 ..< bound without bias (Lemire 2019).
    package mutating func below(_ bound: Int) -> Int {
        Int(bitPattern: UInt(next(upperBound: UInt64(max(bound, 1)))))
    }

    /// Standard normal by Box–Muller, in pairs.
    package mutating func normal() -> Float {
        if let value = spare {
            spare = nil
            return value
        }
        let radius = (-2 * logf(1 - uniform())).squareRoot()
        let angle = 2 * Float.pi * uniform()
        spare = radius * sinf(angle)
        return radius * cosf(angle)
    }

    /// Normal with this mean and deviation, given that it is in the range; without a deviation the
    /// mean, or the nearest that the range has.
    ///
    /// By rejection: from normals where the range holds a fair share of them, else from uniform
    /// numbers over the part of the range that holds all but 4e-8 of what is in it.
    package mutating func truncatedNormal(
        mean: Double, deviation: Double, in range: ClosedRange<Double>
    ) -> Double {
        guard deviation > 0, mean.isFinite else {
            return min(max(mean, range.lowerBound), range.upperBound)
        }
        var low = (range.lowerBound - mean) / deviation
        var high = (range.upperBound - mean) / deviation
        if low <= 1 && high >= -1 && high - low > 2 {
            while true {
                let value = Double(normal())
                if value >= low && value <= high { return mean + deviation * value }
            }
        }
        if low > 1 { high = min(high, low + 17 / low) }
        if high < -1 { low = max(low, high + 17 / high) }
        let nearest = max(low, min(high, 0))
        while true {
            let value = low + (high - low) * Double(uniform())
            let chance = exp((nearest - value) * (nearest + value) / 2)
            if Double(uniform()) < chance { return mean + deviation * value }
        }
    }

    /// A permutation of 0 ..< count (Fisher–Yates).
    package mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        var last = count - 1
        while last > 0 {
            order.swapAt(last, below(last + 1))
            last -= 1
        }
        return order
    }
}

/// One block of Philox4x32-10: four words from a 128-bit counter and a 64-bit key.
package func philox(counter: UInt64, stream: UInt64, key: UInt64) -> SIMD4<UInt32> {
    var x = SIMD4<UInt32>(
        UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
    var k0 = UInt32(truncatingIfNeeded: key)
    var k1 = UInt32(truncatingIfNeeded: key >> 32)
    for _ in 0..<10 {
        let a = UInt64(x[0]) &* 0xD251_1F53
        let b = UInt64(x[2]) &* 0xCD9E_8D57
        x = SIMD4(
            UInt32(truncatingIfNeeded: b >> 32) ^ x[1] ^ k0, UInt32(truncatingIfNeeded: b),
            UInt32(truncatingIfNeeded: a >> 32) ^ x[3] ^ k1, UInt32(truncatingIfNeeded: a))
        k0 = k0 &+ 0x9E37_79B9
        k1 = k1 &+ 0xBB67_AE85
    }
    return x
}
