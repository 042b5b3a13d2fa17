// Group normalisation (Wu and He 2018) of channels-last images, with the SiLU that follows it in
// convolutional autoencoders.

import CKernels
import USPBase

extension Context {
    /// y = activation((x − mean)/√(variance + ε)·γ + β), statistics over the pixels and channels of
    /// each group of one image (biased variance).
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - weight, bias: `[C]`, f32
    /// - groups: divides C
    /// - activation: `.none` or `.silu`
    /// - output: `.float32`, or `.bfloat16` for a product to read
    /// - Returns: `[B, H, W, C]`
    /// - Throws: `.shape`, `.argument`, `.memory`
    /// - Complexity: x is read twice and y written once. Statistics are f32 moments of blocks of 64
    ///   pixels (mean first, then deviations), combined in f64 in a fixed order.
    package func groupNorm(
        _ x: Tensor, weight: Tensor, bias: Tensor, groups: Int, epsilon: Float,
        activation: Activation = .none, output: DType = .float32
    ) throws(USPError) -> Tensor {
        let call = try GroupNormCall(x, weight, bias, groups, epsilon, activation)
        let statistics = try call.statistics()
        let y = try Tensor(x.shape, output)
        call.normalize(statistics, into: y)
        tape?.record(y, inputs: [x, weight, bias]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            try call.backward(gradient, statistics, tape)
        }
        return y
    }
}

/// Per image and channel: the affine map of the normalisation, and of the normalised value itself.
struct GroupNormStatistics {
    /// `[B, 4, C]`: scale, shift; 1/deviation, mean/deviation.
    let maps: Tensor

    func map(_ image: Int, _ index: Int, channels: Int) -> UnsafeMutablePointer<Float> {
        maps.floats + (image * 4 + index) * channels
    }
}

/// One application of a group norm.
final class GroupNormCall {
    let x: Tensor
    let weight: Tensor
    let bias: Tensor
    let groups: Int
    let epsilon: Float
    let silu: Int32
    let batch: Int
    let pixels: Int
    let channels: Int
    /// Pixels whose moments are taken at once.
    private static let block = 64

    init(
        _ x: Tensor, _ weight: Tensor, _ bias: Tensor, _ groups: Int, _ epsilon: Float,
        _ activation: Activation
    ) throws(USPError) {
        try require(
            x.shape.rank == 4 && x.dtype == .float32, .shape,
            "groupNorm: input \(x.dtype.name) \(x.shape)")
        (self.x, self.weight, self.bias, self.groups, self.epsilon) = (
            x, weight, bias, groups, epsilon
        )
        (batch, pixels, channels) = (x.shape[0], x.shape[1] &* x.shape[2], x.shape[3])
        try require(
            groups > 0 && channels % groups == 0, .argument,
            "groupNorm: \(groups) groups of \(channels) channels")
        try require(
            activation == .none || activation == .silu, .unsupported,
            "groupNorm: activation \(activation.rawValue)")
        try expect(weight, [channels], "groupNorm: weight")
        try expect(bias, [channels], "groupNorm: bias")
        silu = activation == .silu ? 1 : 0
    }

    private var blocks: Int { (pixels + GroupNormCall.block - 1) / GroupNormCall.block }
    /// Blocks of pixels in a thread's part.
    private var grain: Int { max(1, (1 << 15) / max(GroupNormCall.block * channels, 1)) }

    /// Calls the body with an image and a range of its pixels, for all of them.
    private func forPixels(_ body: (_ image: Int, _ block: Int, _ pixels: Range<Int>) -> Void) {
        let blocks = blocks
        parallelRanges(batch * blocks, grain: grain) { range in
            for index in range {
                let (image, block) = index.quotientAndRemainder(dividingBy: blocks)
                let first = block * GroupNormCall.block
                body(image, block, first..<min(pixels, first + GroupNormCall.block))
            }
        }
    }

    func statistics() throws(USPError) -> GroupNormStatistics {
        let moments = try Tensor([batch, blocks, 2, channels])
        let (values, parts) = (x.floats, moments.floats)
        let (channels, blocks) = (channels, blocks)
        forPixels { image, block, range in
            let target = parts + (image * blocks + block) * 2 * channels
            uspi_channel_moments(
                values + (image * pixels + range.lowerBound) * channels, range.count, channels,
                target,
                target + channels)
        }
        let statistics = GroupNormStatistics(maps: try Tensor([batch, 4, channels]))
        parallelRanges(batch * groups, grain: 8) { range in
            for index in range {
                let (image, group) = index.quotientAndRemainder(dividingBy: groups)
                combine(parts + image * blocks * 2 * channels, image, group, statistics)
            }
        }
        return statistics
    }

    /// The moments of one group from those of its blocks and channels (Chan et al. 1979).
    private func combine(
        _ parts: UnsafeMutablePointer<Float>, _ image: Int, _ group: Int,
        _ result: GroupNormStatistics
    ) {
        let width = channels / groups
        let range = group * width..<(group + 1) * width
        var sum = 0.0
        for block in 0..<blocks {
            let count = Double(min(pixels - block * GroupNormCall.block, GroupNormCall.block))
            for channel in range { sum += count * Double(parts[block * 2 * channels + channel]) }
        }
        let total = Double(pixels * width)
        let mean = sum / total
        var deviation = 0.0
        for block in 0..<blocks {
            let count = Double(min(pixels - block * GroupNormCall.block, GroupNormCall.block))
            let row = parts + block * 2 * channels
            for channel in range {
                let offset = Double(row[channel]) - mean
                deviation += Double(row[channels + channel]) + count * offset * offset
            }
        }
        let inverse = 1 / (deviation / total + Double(epsilon)).squareRoot()
        let (scale, shift) = (
            result.map(image, 0, channels: channels), result.map(image, 1, channels: channels)
        )
        let (unit, offset) = (
            result.map(image, 2, channels: channels), result.map(image, 3, channels: channels)
        )
        for channel in range {
            let factor = inverse * Double(weight.floats[channel])
            scale[channel] = Float(factor)
            shift[channel] = Float(Double(bias.floats[channel]) - mean * factor)
            unit[channel] = Float(inverse)
            offset[channel] = Float(mean * inverse)
        }
    }

    func normalize(_ statistics: GroupNormStatistics, into y: Tensor) {
        let (values, result, size) = (x.floats, y.raw, y.dtype.size)
        let (type, channels) = (y.dtype.kernel, channels)
        forPixels { image, _, range in
            let first = (image * pixels + range.lowerBound) * channels
            uspi_normalize(
                values + first, statistics.map(image, 0, channels: channels),
                statistics.map(image, 1, channels: channels), range.count, channels, silu, type,
                result + first * size)
        }
    }
}
