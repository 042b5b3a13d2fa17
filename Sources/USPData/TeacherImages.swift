// What frozen teachers of representation alignment are shown: each with its own preprocessing, as
// REPA's `train.py`.

import USPBase
import USPTensor

/// A kind of teacher, by what its images have to be like.
public enum TeacherEncoder: String, Sendable, CaseIterable {
    case dinov2, jepa, clip, mae, mocov3, dinov1
}

extension TeacherEncoder: NamedChoice {
    package static let what = "encoder"

    private static let openAI: (mean: [Float], deviation: [Float]) = (
        [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    )

    private var statistics: (mean: [Float], deviation: [Float]) {
        let imageNet = PixelNormalization.imagenet
        return self == .clip ? Self.openAI : (imageNet.mean, imageNet.deviation)
    }

    /// Whether its images are resized: those with patches of 14 pixels are shown 224 where the model's
    /// have 256, so that there are as many patches as an f8 latent has of 2.
    package var resizes: Bool { self == .dinov2 || self == .jepa || self == .clip }

    /// Rows and columns that it is shown of an image.
    ///
    /// - side: of the square that the image becomes; nil is REPA's rule, 224 for each whole 256
    ///   columns, or the image as it is
    /// - Throws: `.argument` for images too small for that rule
    public func inputSize(
        height: Int, width: Int, side: Int? = nil
    ) throws(USPError) -> (height: Int, width: Int) {
        if let side {
            try require(
                (1...1 << 14).contains(side), .argument, "size: \(side), expected 1 to 16384")
            return (side, side)
        }
        guard resizes else { return (height, width) }
        try require(
            (256...1 << 14).contains(width), .argument,
            "images: \(height)x\(width), expected 256 to 16384 columns, of which each 256 become 224 "
                + "for \(rawValue); give the size that they shall have")
        let side = 224 * (width / 256)
        return (side, side)
    }

    /// Images as the teacher takes them: x/255, bicubic without antialiasing and without limits, less
    /// the mean, over the deviation.
    ///
    /// - images: `[B, 3, H, W]` u8
    /// - side: see `inputSize`
    /// - Returns: `[B, 3, H′, W′]` f32
    /// - Throws: `.shape`, `.dtype`, `.argument`
    public func prepare(_ images: Tensor, side: Int? = nil) throws(USPError) -> Tensor {
        let shape = images.shape
        try require(
            images.dtype == .uint8, .dtype, "images: expected u8, got \(images.dtype.name)")
        try require(
            shape.rank == 4 && shape[1] == 3 && shape.count > 0, .shape,
            "images: shape \(shape), expected [B, 3, H, W]")
        let (height, width) = (shape[2], shape[3])
        let size = try inputSize(height: height, width: width, side: side)
        let result = try Tensor([shape[0], 3, size.height, size.width])
        let middle = try Tensor([shape[0] * 3, height, size.width])
        let resampling = Bicubic(from: (height, width), to: size)
        let (mean, deviation) = statistics
        let source = images.raw.assumingMemoryBound(to: UInt8.self)
        let (scratch, target) = (middle.floats, result.floats)
        parallelRanges(shape[0] * 3, grain: 1) { range in
            for plane in range {
                let own = target + plane * size.height * size.width
                resampling.apply(
                    source + plane * height * width, scratch + plane * height * size.width, own)
                let (shift, scale) = (mean[plane % 3], deviation[plane % 3])
                for i in 0..<size.height * size.width { own[i] = (own[i] - shift) / scale }
            }
        }
        return result
    }
}

/// One plane of bytes to f32 in 0 … 1 of another size; columns first.
private struct Bicubic: Sendable {
    private let source: (height: Int, width: Int)
    private let target: (height: Int, width: Int)
    /// Four to a result position; empty where an axis stays as it is.
    private let rows: [Tap]
    private let columns: [Tap]

    private struct Tap: Sendable {
        let source: Int
        let weight: Float
    }

    init(from source: (height: Int, width: Int), to target: (height: Int, width: Int)) {
        (self.source, self.target) = (source, target)
        func taps(_ old: Int, _ new: Int) -> [Tap] {
            old == new
                ? []
                : cubicTaps(
                    from: old, to: new, ratio: Float(old) / Float(new), antialiased: false
                ).flatMap { $0.map { Tap(source: $0.source, weight: Float($0.weight)) } }
        }
        rows = taps(source.height, target.height)
        columns = taps(source.width, target.width)
    }

    /// - scratch: source's height times the target's width
    func apply(
        _ pixels: UnsafePointer<UInt8>, _ scratch: UnsafeMutablePointer<Float>,
        _ result: UnsafeMutablePointer<Float>
    ) {
        let middle = rows.isEmpty ? result : scratch
        for y in 0..<source.height {
            let (row, to) = (pixels + y * source.width, middle + y * target.width)
            if columns.isEmpty {
                for x in 0..<target.width { to[x] = Float(row[x]) / 255 }
                continue
            }
            columns.withUnsafeBufferPointer { taps in
                for x in 0..<target.width {
                    var sum: Float = 0
                    for tap in taps[4 * x..<4 * x + 4] {
                        sum += tap.weight * (Float(row[tap.source]) / 255)
                    }
                    to[x] = sum
                }
            }
        }
        if rows.isEmpty { return }
        for y in 0..<target.height {
            let to = result + y * target.width
            for x in 0..<target.width { to[x] = 0 }
            for tap in rows[4 * y..<4 * y + 4] {
                let from = scratch + tap.source * target.width
                for x in 0..<target.width { to[x] += tap.weight * from[x] }
            }
        }
    }
}
