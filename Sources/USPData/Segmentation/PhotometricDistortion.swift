// Photometric distortion of segmentation's published pipelines: brightness, contrast, saturation,
// hue.

import CKernels
import USPBase
import USPFiles

/// What is done to the colours of an image; nil: nothing of it.
public struct PhotometricDistortion: Sendable, Equatable {
    /// Added to every value.
    public var brightness: Double?
    /// Every value is multiplied by it.
    public var contrast: Double?
    /// S of HSV is multiplied by it.
    public var saturation: Double?
    /// Added to H, whose circle is 180; a whole number.
    public var hue: Double?
    /// Contrast comes before saturation and hue, else after them.
    public var contrastFirst = true

    public init() {}
}

extension PhotometricDistortion: Described {
    public static let title = "distortion"
    public static let fields: [Field<PhotometricDistortion>] = [
        .real("brightness", \.brightness, FieldRange(-1e6, 1e6), "Added to every value."),
        .real(
            "contrast", \.contrast, FieldRange(-1e6, 1e6), "Every value is multiplied by it."),
        .real(
            "saturation", \.saturation, FieldRange(-1e6, 1e6),
            "The saturation (of HSV) is multiplied by it."),
        .real(
            "hue", \.hue, FieldRange(-180, 180),
            "Added to the hue, whose circle is 180; a whole number."),
        .flag(
            "contrast_first", \.contrastFirst,
            "Contrast comes before saturation and hue, else after them."),
    ]
}

extension PhotometricDistortion {
    /// Each of the four with a chance of a half: brightness by up to 32, contrast and saturation by
    /// 0.5 to 1.5, hue by -18 to 17.
    package static func draw(_ stream: inout RandomStream) -> PhotometricDistortion {
        var result = PhotometricDistortion()
        func coin() -> Bool { stream.below(2) == 1 }
        if coin() { result.brightness = stream.between(-32, 32) }
        result.contrastFirst = coin()
        if coin() { result.contrast = stream.between(0.5, 1.5) }
        if coin() { result.saturation = stream.between(0.5, 1.5) }
        if coin() { result.hue = Double(stream.below(36) - 18) }
        return result
    }
}

extension PixelImage {
    /// An RGB image with other colours; each step is cut to 0 ... 255 and rounded towards zero.
    ///
    /// - Throws: `.shape` unless it is RGB; `.argument` for a value that a field does not take
    /// - Source: mmseg `PhotoMetricDistortion`; OpenCV's HSV of bytes, whose own variants differ by
    ///   1
    package func distorted(_ distortion: PhotometricDistortion) throws(USPError) -> PixelImage {
        try distortion.checkFields()
        try require(channels == 3, .shape, "distortion: \(channels) channels, expected 3")
        var result = self
        if let brightness = distortion.brightness {
            result = try result.moved(1, Float(brightness))
        }
        if let contrast = distortion.contrast, distortion.contrastFirst {
            result = try result.moved(Float(contrast), 0)
        }
        if let saturation = distortion.saturation {
            let table = (0..<256).map { scaled(UInt8($0), Float(saturation), 0) }
            result = try result.recoloured(hue: Array(0...255), saturation: table)
        }
        if let hue = distortion.hue {
            try require(
                hue == hue.rounded(), .argument, "hue: \(hue), expected a whole number")
            let table = (0..<256).map { UInt8((($0 + Int(hue)) % 180 + 180) % 180) }
            result = try result.recoloured(hue: table, saturation: Array(0...255))
        }
        if let contrast = distortion.contrast, !distortion.contrastFirst {
            result = try result.moved(Float(contrast), 0)
        }
        return result
    }

    private func moved(_ factor: Float, _ shift: Float) throws(USPError) -> PixelImage {
        let table = (0..<256).map { scaled(UInt8($0), factor, shift) }
        let tables = table + table + table
        return try mapped { uspi_lookup($0, width * height, 3, tables, $1) }
    }

    private func recoloured(hue: [UInt8], saturation: [UInt8]) throws(USPError) -> PixelImage {
        try mapped { uspi_hsv_lookup($0, width * height, hue, saturation, $1) }
    }
}

private func scaled(_ value: UInt8, _ factor: Float, _ shift: Float) -> UInt8 {
    UInt8(min(max(Float(value) * factor + shift, 0), 255))
}
