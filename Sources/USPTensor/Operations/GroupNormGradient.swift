// The gradient of group normalisation: sums of each image and channel first, then one pass.

import CKernels
import USPBase

extension GroupNormCall {
    /// With z the value before the activation, n the normalised one and N the count of a group:
    /// dγ = Σ dz·n, dβ = Σ dz, dx = (γ·dz − (Σ γ·dz + n·Σ γ·dz·n)/N) / deviation.
    func backward(
        _ gradient: Tensor, _ statistics: GroupNormStatistics, _ tape: Tape
    ) throws(USPError) {
        let sums = try channelSums(gradient, statistics)
        try parameterGradients(sums, tape)
        guard let target = try tape.target(for: x) else { return }
        let corrections = try corrections(sums, statistics)
        let channels = channels
        let (values, dy, dx) = (x.floats, gradient.floats, target.tensor.floats)
        let accumulates: Int32 = target.accumulates ? 1 : 0
        let rows = max(1, (1 << 15) / max(channels, 1))
        let parts = (pixels + rows - 1) / rows
        parallelRanges(batch * parts, grain: 1) { range in
            for index in range {
                let (image, part) = index.quotientAndRemainder(dividingBy: parts)
                let first = (image * pixels + part * rows) * channels
                let count = min(rows, pixels - part * rows)
                uspi_normalize_backward(
                    values + first, dy + first, statistics.map(image, 0, channels: channels),
                    statistics.map(image, 1, channels: channels),
                    corrections.floats + image * 2 * channels,
                    corrections.floats + (image * 2 + 1) * channels, count, channels, silu,
                    accumulates,
                    dx + first)
            }
        }
    }

    /// `[B, 2, C]`: Σ dz and Σ dz·n of each image, from parts of 256 pixels in order.
    private func channelSums(
        _ gradient: Tensor, _ statistics: GroupNormStatistics
    ) throws(USPError) -> Tensor {
        let rows = 256
        let (channels, parts) = (channels, (pixels + 255) / 256)
        let partial = try Tensor([batch, parts, 2, channels])
        let (values, dy, sums) = (x.floats, gradient.floats, partial.floats)
        parallelRanges(
            batch * parts, grain: max(1, (1 << 15) / max(min(rows, pixels) * channels, 1))
        ) { range in
            for index in range {
                let (image, part) = index.quotientAndRemainder(dividingBy: parts)
                let first = (image * pixels + part * rows) * channels
                uspi_normalize_sums(
                    values + first, dy + first, statistics.map(image, 0, channels: channels),
                    statistics.map(image, 1, channels: channels),
                    statistics.map(image, 2, channels: channels),
                    statistics.map(image, 3, channels: channels), min(rows, pixels - part * rows),
                    channels,
                    silu, sums + index * 2 * channels, sums + (index * 2 + 1) * channels)
            }
        }
        if parts == 1 { return try partial.reshaped([batch, 2, channels]) }
        let result = try Tensor([batch, 2, channels])
        let totals = result.floats
        parallelRanges(batch, grain: max(1, (1 << 15) / max(parts * 2 * channels, 1))) { images in
            for image in images {
                uspi_sum_rows(
                    sums + image * parts * 2 * channels, 2 * channels, parts, 2 * channels,
                    totals + image * 2 * channels, 0)
            }
        }
        return result
    }

    private func parameterGradients(_ sums: Tensor, _ tape: Tape) throws(USPError) {
        for (parameter, index) in [(bias, 0), (weight, 1)] {
            guard let target = try tape.target(for: parameter) else { continue }
            uspi_sum_rows(
                sums.floats + index * channels, 2 * channels, batch, channels, target.tensor.floats,
                target.accumulates ? 1 : 0)
        }
    }

    /// `[B, 2, C]`: a and b of dx = scale·dz − a − b·x.
    private func corrections(
        _ sums: Tensor, _ statistics: GroupNormStatistics
    ) throws(USPError) -> Tensor {
        let result = try Tensor([batch, 2, channels])
        let width = channels / groups
        let count = Double(pixels * width)
        for image in 0..<batch {
            let (sum, product) = (
                sums.floats + image * 2 * channels, sums.floats + (image * 2 + 1) * channels
            )
            let (a, b) = (
                result.floats + image * 2 * channels, result.floats + (image * 2 + 1) * channels
            )
            let unit = statistics.map(image, 2, channels: channels)
            let offset = statistics.map(image, 3, channels: channels)
            for group in 0..<groups {
                let range = group * width..<(group + 1) * width
                var (total, projected) = (0.0, 0.0)
                for channel in range {
                    total += Double(weight.floats[channel]) * Double(sum[channel])
                    projected += Double(weight.floats[channel]) * Double(product[channel])
                }
                for channel in range {
                    let inverse = Double(unit[channel])
                    b[channel] = Float(inverse * inverse * projected / count)
                    a[channel] = Float(
                        inverse * (total - Double(offset[channel]) * projected) / count)
                }
            }
        }
        return result
    }
}
