// How bytes of pixels become numbers.

import USPBase

/// What networks of pixels have learned to see; autoencoders take -1 to 1.
public enum PixelNormalization: String, Sendable, CaseIterable {
    /// x/127.5 - 1
    case half
    /// (x/255 - mean)/deviation, a mean and a deviation a channel: timm's, torchvision's and
    /// mmsegmentation's
    case imagenet
}

extension PixelNormalization: NamedChoice {
    package static let what = "normalization"

    /// What pixels become, in words.
    package var words: String {
        self == .half ? "-1 to 1" : "what ImageNet's mean and deviation make of them"
    }

    /// Of values from 0 to 1.
    package var mean: [Float] {
        self == .half ? [0.5, 0.5, 0.5] : [0.485, 0.456, 0.406]
    }

    package var deviation: [Float] {
        self == .half ? [0.5, 0.5, 0.5] : [0.229, 0.224, 0.225]
    }
}
