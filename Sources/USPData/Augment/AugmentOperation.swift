// The operations that RandAugment draws from, on 8-bit RGB images, to the bit as Pillow computes
// them and with the arguments that timm gives it.

import CKernels
import USPBase
import USPFiles

/// One operation; its name is timm's.
package enum AugmentOperation: String, NamedChoice {
    /// Each channel stretched to 0 ... 255.
    case autoContrast = "AutoContrast"
    /// Each channel's histogram flattened.
    case equalize = "Equalize"
    case invert = "Invert"
    /// Degrees, counter-clockwise around the middle.
    case rotate = "Rotate"
    /// Bits that are kept.
    case posterize = "Posterize"
    /// Values from the argument on are inverted.
    case solarize = "Solarize"
    /// The argument is added to values below 128.
    case solarizeAdd = "SolarizeAdd"
    /// Factor: 0 is grey, 1 the image, more than 1 more colourful.
    case color = "Color"
    /// Factor: 0 is the mean grey.
    case contrast = "Contrast"
    /// Factor: 0 is black.
    case brightness = "Brightness"
    /// Factor: 0 is smoothed.
    case sharpness = "Sharpness"
    /// Pixels to the right for each pixel down, negated.
    case shearX = "ShearX"
    case shearY = "ShearY"
    /// Share of the width that the image moves to the left.
    case translateX = "TranslateX"
    /// Share of the height that the image moves up.
    case translateY = "TranslateY"

    package static let what = "operation"

    /// Names under which timm has the same operation with another way from magnitude to argument.
    package static let aliases: [String: AugmentOperation] = [
        "PosterizeIncreasing": .posterize, "PosterizeOriginal": .posterize,
        "SolarizeIncreasing": .solarize, "ColorIncreasing": .color,
        "ContrastIncreasing": .contrast, "BrightnessIncreasing": .brightness,
        "SharpnessIncreasing": .sharpness, "TranslateXRel": .translateX,
        "TranslateYRel": .translateY,
    ]

    /// What the argument may be; nil: there is none.
    private var argument: (range: ClosedRange<Double>, isWhole: Bool)? {
        switch self {
        case .autoContrast, .equalize, .invert: nil
        case .posterize: (0...8, true)
        case .solarize: (0...256, false)
        case .solarizeAdd: (0...255, true)
        case .rotate, .color, .contrast, .brightness, .sharpness, .shearX, .shearY, .translateX,
            .translateY:
            (-1e6...1e6, false)
        }
    }

    /// - Throws: `.argument` unless the operation takes this
    func checked(_ argument: Double?) throws(USPError) -> Double {
        guard let expected = self.argument else {
            try require(
                argument == nil, .argument, "\(rawValue): \(argument ?? 0), expected no argument")
            return 0
        }
        let kind = expected.isWhole ? "a whole number" : "a number"
        let range = "\(kind) from \(expected.range.lowerBound) to \(expected.range.upperBound)"
        guard let argument else {
            throw USPError(.argument, "\(rawValue): no argument, expected \(range)")
        }
        try require(
            expected.range.contains(argument)
                && (!expected.isWhole || argument == argument.rounded()),
            .argument, "\(rawValue): \(argument), expected \(range)")
        return argument
    }
}

extension PixelImage {
    /// The image after one operation; what comes from outside of it is grey 128.
    ///
    /// - Throws: `.shape` unless it is RGB, `.argument` for an argument that the operation does not
    ///   take.
    /// - Source: timm `auto_augment.py`; Pillow `ImageOps`, `ImageEnhance`, `Image.transform`.
    package func augmented(
        _ operation: AugmentOperation, _ argument: Double? = nil
    ) throws(USPError) -> PixelImage {
        let value = try operation.checked(argument)
        try require(
            channels == 3, .shape, "\(operation.rawValue): \(channels) channels, expected 3")
        switch operation {
        case .autoContrast, .equalize, .invert, .posterize, .solarize, .solarizeAdd:
            let tables = lookupTables(operation, value)
            return try mapped { uspi_lookup($0, width * height, 3, tables, $1) }
        case .contrast, .brightness:
            let level = try operation == .contrast ? meanLuminance() : 0
            return try mapped { uspi_blend_level($0, level, Float(value), pixels.count, $1) }
        case .color:
            return try mapped { uspi_blend_luminance($0, Float(value), width * height, $1) }
        case .sharpness:
            return try mapped { from, to in
                uspi_smooth(from, height, width, to)
                uspi_blend(to, from, Float(value), pixels.count, to)
            }
        case .rotate, .shearX, .shearY, .translateX, .translateY:
            let matrix = affineMap(operation, value)
            return try mapped { uspi_affine_bicubic($0, height, width, matrix, 128, 0, height, $1) }
        }
    }

    /// An image of this size and kind whose pixels a kernel makes of these.
    func mapped(
        _ kernel: (UnsafePointer<UInt8>?, UnsafeMutablePointer<UInt8>?) -> Void
    ) throws(USPError) -> PixelImage {
        try made(width: width, height: height, channels: channels, kernel)
    }

    /// An image whose pixels a kernel makes of these.
    func made(
        width: Int, height: Int, channels: Int,
        _ kernel: (UnsafePointer<UInt8>?, UnsafeMutablePointer<UInt8>?) -> Void
    ) throws(USPError) -> PixelImage {
        let count = width * height * channels
        try SystemMemory.expect(count, of: UInt8.self)
        let result = [UInt8](unsafeUninitializedCapacity: count) { target, initialised in
            pixels.withUnsafeBufferPointer { kernel($0.baseAddress, target.baseAddress) }
            initialised = count
        }
        return try PixelImage(width: width, height: height, channels: channels, pixels: result)
    }
}
