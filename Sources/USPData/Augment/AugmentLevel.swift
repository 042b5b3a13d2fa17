// From a magnitude of 0 to 10 to the argument of an operation, as timm's level functions have it.

import USPBase

/// An operation together with the way from magnitude to argument; its name is timm's.
package enum AugmentLevel: String, NamedChoice {
    case autoContrast = "AutoContrast"
    case equalize = "Equalize"
    case invert = "Invert"
    case rotate = "Rotate"
    case posterize = "Posterize"
    case posterizeIncreasing = "PosterizeIncreasing"
    case posterizeOriginal = "PosterizeOriginal"
    case solarize = "Solarize"
    case solarizeIncreasing = "SolarizeIncreasing"
    case solarizeAdd = "SolarizeAdd"
    case color = "Color"
    case colorIncreasing = "ColorIncreasing"
    case contrast = "Contrast"
    case contrastIncreasing = "ContrastIncreasing"
    case brightness = "Brightness"
    case brightnessIncreasing = "BrightnessIncreasing"
    case sharpness = "Sharpness"
    case sharpnessIncreasing = "SharpnessIncreasing"
    case shearX = "ShearX"
    case shearY = "ShearY"
    case translateXRel = "TranslateXRel"
    case translateYRel = "TranslateYRel"

    package static let what = "operation"

    /// timm's 15 operations whose strength grows with the magnitude, and its 15 others.
    package static let increasing: [AugmentLevel] = [
        .autoContrast, .equalize, .invert, .rotate, .posterizeIncreasing, .solarizeIncreasing,
        .solarizeAdd, .colorIncreasing, .contrastIncreasing, .brightnessIncreasing,
        .sharpnessIncreasing, .shearX, .shearY, .translateXRel, .translateYRel,
    ]
    package static let plain: [AugmentLevel] = [
        .autoContrast, .equalize, .invert, .rotate, .posterize, .solarize, .solarizeAdd, .color,
        .contrast, .brightness, .sharpness, .shearX, .shearY, .translateXRel, .translateYRel,
    ]

    package var operation: AugmentOperation {
        AugmentOperation(rawValue: rawValue) ?? AugmentOperation.aliases[rawValue] ?? .invert
    }

    /// The argument at a magnitude; nil for operations without one.
    ///
    /// - negated: the other of the two directions, where there are two
    /// - Throws: `.argument` unless the magnitude is 0 to 10
    package func argument(
        _ magnitude: Double, negated: Bool = false
    ) throws(USPError) -> Double? {
        try require(
            (0...10).contains(magnitude), .argument,
            "\(rawValue): magnitude \(magnitude), expected 0 to 10")
        let level = magnitude / 10
        let sign: Double = negated ? -1 : 1
        switch self {
        case .autoContrast, .equalize, .invert: return nil
        case .rotate: return sign * (level * 30)
        case .posterize: return (level * 4).rounded(.down)
        case .posterizeIncreasing: return 4 - (level * 4).rounded(.down)
        case .posterizeOriginal: return 4 + (level * 4).rounded(.down)
        case .solarize: return (level * 256).rounded(.down)
        case .solarizeIncreasing: return 256 - (level * 256).rounded(.down)
        case .solarizeAdd: return (level * 110).rounded(.down)
        case .color, .contrast, .brightness, .sharpness: return level * 1.8 + 0.1
        case .colorIncreasing, .contrastIncreasing, .brightnessIncreasing, .sharpnessIncreasing:
            return max(0.1, 1 + sign * (level * 0.9))
        case .shearX, .shearY: return sign * (level * 0.3)
        case .translateXRel, .translateYRel: return sign * (level * 0.45)
        }
    }
}
