// What happens to an image before it is encoded.

import USPBase

/// Crops and mirror images of a use of images.
public enum Augmentation: String, CaseIterable, Sendable {
    /// Random resized crops of 20 to 100 % of the area, mirrored half of the time.
    case pretraining
    /// Of 8 to 100 %, likewise.
    case classification
    /// Likewise, by TensorFlow's rule.
    case probe
    /// ADM's crop of the middle, mirrored half of the time.
    case generation
    /// To measure: the middle 224 of 256 pixels, or in that proportion.
    case evaluation
    /// To measure: ADM's crop of the middle, as caches are cut.
    case middle

    /// Whether a sample is always the same: no crop that is drawn, no mirror image.
    var isStill: Bool { self == .evaluation || self == .middle }
}

extension DataOptions {
    /// Whether a sample is always the same.
    package var isStill: Bool { augmentation.isStill && (mirror ?? 0) == 0 }

    /// To measure on the same images: nothing is drawn.
    public func measuring(_ crop: Augmentation) -> DataOptions {
        var result = withoutImagesAlone
        (result.augmentation, result.mirror, result.cropArea) = (crop, nil, [])
        result.mixing = Mixing()
        return result
    }

    /// The pipeline of images, with what was said in place of the augmentation's own.
    package func transform(channels: Int) throws(USPError) -> ImageTransform {
        var result: ImageTransform =
            switch augmentation {
            case .pretraining: .pretraining(size, channels: channels)
            case .classification: .classification(size, channels: channels)
            case .probe: .probe(size, channels: channels)
            case .generation: .generation(size, channels: channels)
            case .evaluation: .evaluation(size, channels: channels)
            case .middle: .caching(size, mirrored: false, channels: channels)
            }
        result.makesGrey = self.channels == 1
        result.steps = result.steps.compactMap { step in
            switch step {
            case .mirror(let share):
                let wanted = mirror ?? share
                return wanted > 0 ? .mirror(wanted) : nil
            case .randomCrop(var crop):
                if cropArea.count == 2 { crop.scale = decimal(cropArea[0])...decimal(cropArea[1]) }
                return .randomCrop(crop)
            default: return step
            }
        }
        let mirrors = result.steps.contains { if case .mirror = $0 { true } else { false } }
        if let mirror, mirror > 0, !mirrors { result.steps.append(.mirror(mirror)) }
        if let policy = try policy { result.steps.append(.augment(policy)) }
        result.erasing = erasing
        return result
    }
}

/// What was written: 0.3 and not 0.30000001192.
private func decimal(_ value: Float) -> Double { Double(value.description) ?? Double(value) }
