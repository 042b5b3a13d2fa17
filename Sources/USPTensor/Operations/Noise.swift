// Noise as tensors, one stream per sample.

import USPBase

extension Tensor {
    /// Standard normal noise `[B, ..]`: sample i's values come from `key.stream(firstSample + i)`
    /// alone, so neither batch size nor order changes them.
    package static func normal(
        _ shape: Shape, _ key: RandomKey, firstSample: Int = 0
    ) throws(USPError) -> Tensor {
        let result = try Tensor(shape)
        result.fillNormal { key.stream(firstSample + $0) }
        return result
    }

    /// Overwrites all values; sample i draws from `stream(i)`.
    package func fillNormal(_ stream: (_ sample: Int) -> RandomKey) {
        guard count > 0 else { return }
        let samples = shape.rank == 0 ? 1 : shape[0]
        let (base, each) = (floats, count / samples)
        parallelRanges(samples, grain: rowGrain(width: each, elements: 1 << 12)) { range in
            for sample in range {
                var draws = RandomStream(stream(sample))
                let row = base + sample * each
                for index in 0..<each { row[index] = draws.normal() }
            }
        }
    }

    /// Uniform values in [0, 1), one stream per sample.
    package static func uniform(
        _ shape: Shape, _ key: RandomKey, firstSample: Int = 0
    ) throws(USPError) -> Tensor {
        let result = try Tensor(shape)
        guard result.count > 0 else { return result }
        let samples = shape.rank == 0 ? 1 : shape[0]
        let (base, each) = (result.floats, result.count / samples)
        for sample in 0..<samples {
            var stream = RandomStream(key.stream(firstSample + sample))
            for index in 0..<each { base[sample * each + index] = stream.uniform() }
        }
        return result
    }

    /// The rows (samples) at these indices of the first axis, copied.
    package func gatherRows(_ indices: [Int]) throws(USPError) -> Tensor {
        try require(shape.rank > 0, .shape, "rows of a scalar")
        let rows = shape[0]
        let result = try Tensor(Shape([indices.count] + shape.extents.dropFirst()), dtype)
        let bytes = rows == 0 ? 0 : byteCount / rows
        for (position, index) in indices.enumerated() {
            guard index >= 0 && index < rows else {
                throw USPError(.argument, "row \(index) of \(rows)")
            }
            (result.raw + position * bytes).copyMemory(from: raw + index * bytes, byteCount: bytes)
        }
        return result
    }
}
