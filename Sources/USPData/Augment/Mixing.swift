// Mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019) in timm's form: samples of a batch are mixed
// in pairs, and their labels too.

import CKernels
import Glibc
import USPBase
import USPTensor

/// How samples are mixed, and what labels become; the defaults mix nothing.
public struct Mixing: Sendable, Equatable {
    /// What has a draw of its own.
    public enum Unit: String, CaseIterable, Sendable {
        case batch
        /// Two samples that are mixed with each other.
        case pair
        case sample
    }

    /// Parameter of mixup's symmetric beta distribution; 0: no mixup.
    public var mixup = 0.0
    /// The same of CutMix.
    public var cutmix = 0.0
    /// Chance that anything is mixed.
    public var probability = 1.0
    /// Chance of CutMix where both are on.
    public var switchProbability = 0.5
    public var unit = Unit.batch
    /// What of each label is spread evenly over all classes.
    public var smoothing = 0.1

    public init() {}

    package var isOn: Bool { mixup > 0 || cutmix > 0 }
}

extension Mixing: Described {
    public static let title = "mixing"
    public static let fields: [Field<Mixing>] = [
        .real(
            "mixup", \.mixup, .notNegative,
            "Parameter of mixup's beta distribution (published: 0.8); 0: no mixup."),
        .real(
            "cutmix", \.cutmix, .notNegative,
            "Parameter of CutMix's beta distribution (published: 1); 0: no CutMix."),
        .real("mixing_probability", \.probability, .share, "Chance that anything is mixed."),
        .real(
            "switch_probability", \.switchProbability, .share,
            "Chance of CutMix, not mixup, where both are on."),
        .choice("mixing_unit", \.unit, "What has a draw of its own."),
        .real(
            "label_smoothing", \.smoothing, .share,
            "What of each label, where labels are shares, is spread evenly over all classes."),
    ]
}

/// Which sample of a batch is mixed with which.
package enum Pairing: Sendable {
    /// Sample i of B with B - 1 - i, as timm's.
    case mirrored
    /// 0 with 1, 2 with 3, ..., so that a part of a batch that begins at an even sample and has an
    /// even number needs no other; the last of an odd number is left as it is.
    case neighbours

    func partner(of i: Int, _ count: Int) -> Int {
        switch self {
        case .mirrored: count - 1 - i
        case .neighbours: i ^ 1 < count ? i ^ 1 : i
        }
    }
}

/// How one sample is mixed with its partner.
package struct SampleMix: Sendable, Equatable {
    /// The sample's own share, of its label and, without a box, of its values.
    package let share: Float
    /// What comes from the partner; nil: everything is mixed by `share`.
    package let box: CropBox?

    package static let none = SampleMix(share: 1, box: nil)
}

extension Mixing {
    /// Draws what happens to each of a batch of samples of height x width places.
    package func draw(
        _ count: Int, height: Int, width: Int, _ stream: inout RandomStream,
        _ pairing: Pairing = .mirrored
    ) -> [SampleMix] {
        guard isOn, count > 0 else { return [SampleMix](repeating: .none, count: count) }
        switch unit {
        case .batch:
            let one = draw(height: height, width: width, &stream)
            return [SampleMix](repeating: one, count: count)
        case .sample:
            return (0..<count).map { _ in draw(height: height, width: width, &stream) }
        case .pair:
            var drawn: [Int: SampleMix] = [:]
            return (0..<count).map { i in
                let first = min(i, pairing.partner(of: i, count))
                let mix = drawn[first] ?? draw(height: height, width: width, &stream)
                drawn[first] = mix
                return mix
            }
        }
    }

    private func draw(height: Int, width: Int, _ stream: inout RandomStream) -> SampleMix {
        guard Double(stream.uniform()) < probability else { return .none }
        let cuts = cutmix > 0 && (mixup == 0 || Double(stream.uniform()) < switchProbability)
        let share = stream.beta(cuts ? cutmix : mixup)
        return cuts
            ? cut(share, height: height, width: width, &stream)
            : SampleMix(share: Float(share), box: nil)
    }

    /// A box of 1 - share of the area around a random place, cut to the image: the share follows.
    private func cut(
        _ share: Double, height: Int, width: Int, _ stream: inout RandomStream
    ) -> SampleMix {
        let ratio = (1 - share).squareRoot()
        let (h, w) = (Int(Double(height) * ratio), Int(Double(width) * ratio))
        let (y, x) = (stream.below(height), stream.below(width))
        let (top, bottom) = (max(y - h / 2, 0), min(y + (h + 1) / 2, height))
        let (left, right) = (max(x - w / 2, 0), min(x + (w + 1) / 2, width))
        let box = CropBox(left: left, top: top, width: right - left, height: bottom - top)
        let area = Double(box.width * box.height) / Double(height * width)
        return SampleMix(share: Float(1 - area), box: box)
    }

    /// Samples `[B, C, H, W]`, latents or pixels, after what was drawn for each.
    package func mix(
        _ samples: Tensor, _ draws: [SampleMix], _ pairing: Pairing = .mirrored
    ) throws(USPError) -> Tensor {
        try require(
            samples.shape.rank == 4 && samples.shape[0] == draws.count
                && samples.dtype == .float32, .shape,
            "mixing: \(samples.dtype.name) \(samples.shape), expected f32 [\(draws.count), C, H, W]"
        )
        let result = try samples.copied()
        let (height, width) = (samples.shape[2], samples.shape[3])
        let planes = samples.shape[1]
        let each = planes * height * width
        parallelRanges(draws.count, grain: 1) { range in
            for i in range where draws[i].share != 1 {
                let own = result.floats + i * each
                let other = samples.floats + pairing.partner(of: i, draws.count) * each
                guard let box = draws[i].box else {
                    uspi_scale(own, draws[i].share, own, each, 0)
                    uspi_scale(other, 1 - draws[i].share, own, each, 1)
                    continue
                }
                for plane in 0..<planes {
                    for y in box.top..<box.top + box.height {
                        let place = (plane * height + y) * width + box.left
                        (own + place).update(from: other + place, count: box.width)
                    }
                }
            }
        }
        return result
    }

    /// `[B, K]`: the share of each class in each sample's label, smoothed, a sum of 1 a row.
    ///
    /// - Throws: `.argument` for a label outside of 0 ..< classes
    package func targets(
        _ labels: [Int], classes: Int, _ draws: [SampleMix], _ pairing: Pairing = .mirrored
    ) throws(USPError) -> Tensor {
        try require(
            labels.count == draws.count, .shape,
            "mixing: \(labels.count) labels for \(draws.count) samples")
        try require(
            (1...1 << 24).contains(classes), .argument,
            "classes: \(classes), expected 1 to \(1 << 24)")
        for (i, label) in labels.enumerated() {
            try require(
                (0..<classes).contains(label), .argument,
                "label \(label) of sample \(i): expected 0 to \(classes - 1)")
        }
        let low = Float(smoothing / Double(classes))
        let high = Float(1 - smoothing + smoothing / Double(classes))
        let result = try Tensor.filled([labels.count, classes], low)
        for (i, draw) in draws.enumerated() {
            let row = result.floats + i * classes
            let (own, other) = (labels[i], labels[pairing.partner(of: i, labels.count)])
            if own == other {
                row[own] = high
            } else {
                row[own] = high * draw.share + low * (1 - draw.share)
                row[other] = low * draw.share + high * (1 - draw.share)
            }
        }
        return result
    }
}
