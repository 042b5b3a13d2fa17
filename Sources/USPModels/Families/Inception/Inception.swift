// Features of images by the Inception network that published FID values are measured with.

import USPBase
import USPTensor

/// How byte images become what the network reads.
package enum InceptionInput: String, NamedChoice {
    /// TensorFlow 1's resizing and (x − 128)/128: ADM's evaluator, TTUR, torch-fidelity.
    case tensorFlow = "tensorflow"
    /// Half-pixel resizing and x/127.5 − 1: pytorch-fid.
    case pytorchFID = "pytorch-fid"

    package static let what = "preprocessing"

    fileprivate func apply(_ images: Tensor) throws(USPError) -> Tensor {
        try resizedBilinear(
            images, height: Inception.side, width: Inception.side,
            self == .tensorFlow ? .fromCorner : .fromCentre,
            scale: self == .tensorFlow ? 1 / 128 : 1 / 127.5, shift: -1)
    }
}

/// Inception v3 as in TensorFlow's graph of 2015-12-05 (Szegedy et al. 2015) with 1008 outputs, for
/// inference; FID, sFID, inception score, precision and recall are made of its features.
public final class Inception: Model {
    /// Of the images that the first convolution reads.
    package static let side = 299
    package static let poolFeatures = 2048
    /// Of the spatial features: a grid of 17x17 with 7 channels.
    package static let spatialChannels = 7
    package static let spatialFeatures = 17 * 17 * spatialChannels
    package static let outputs = 1008

    /// Images that pass through the blocks together, and through the large maps before them.
    private static let group = 16
    private static let stemGroup = 2

    public static let families = [Family.inception]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// `NAME.weight` and `NAME.bias` of each convolution, with its batch norm in them.
    private let folded: Parameters

    /// - Throws: `.missingWeight`, `.shape`; `.argument` for values that are not finite
    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        (self.configuration, self.weights, self.arithmetic) = (configuration, weights, arithmetic)
        folded = try Inception.folded(weights.parameters)
    }

    /// What scores are made of, f32, a row an image.
    public struct Features {
        /// `[B, 2048]`: FID, precision and recall; means of the last block.
        public let pool: Tensor
        /// `[B, 2023]`: sFID; the first 7 channels of `Mixed_6d.branch1x1` (TensorFlow's
        /// `mixed_6/conv`) in the order row, column, channel.
        public let spatial: Tensor
        /// `[B, 1008]`, pool·Wᵀ without the bias: the inception score.
        public let logits: Tensor
    }

    /// Features of images; those of one do not depend on the others.
    ///
    /// - images: `[B, H, W, 3]`, u8, RGB
    /// - Throws: `.shape`, `.dtype`, `.memory`
    /// - Complexity: 11.4 GFLOP an image
    /// - Source: guided-diffusion `evaluations/evaluator.py`; torch-fidelity
    ///   `feature_extractor_inceptionv3.py`
    package func features(
        _ images: Tensor, input: InceptionInput = .tensorFlow, in context: Context
    ) throws(USPError) -> Features {
        try require(
            images.dtype == .uint8 && images.shape.rank == 4 && images.shape[0] > 0, .shape,
            "images: \(images.dtype.name) \(images.shape), expected u8 [B, H, W, 3], B > 0")
        let count = images.shape[0]
        let pool = try Tensor([count, Inception.poolFeatures])
        let spatial = try Tensor([count, Inception.spatialFeatures])
        for first in stride(from: 0, to: count, by: Inception.group) {
            let range = first..<min(first + Inception.group, count)
            try pass(
                images.detachedRows(range), input, pool.detachedRows(range),
                spatial.detachedRows(range), context)
        }
        let logits = try context.linear(pool, parameters.tensor("fc.weight"))
        return Features(pool: pool, spatial: spatial, logits: logits)
    }

    private func pass(
        _ images: Tensor, _ input: InceptionInput, _ pool: Tensor, _ spatial: Tensor,
        _ context: Context
    ) throws(USPError) {
        let count = images.shape[0]
        let start = try Tensor(
            shape(of: Inception.stem, [count, Inception.side, Inception.side, 3]))
        for first in stride(from: 0, to: count, by: Inception.stemGroup) {
            let range = first..<min(first + Inception.stemGroup, count)
            try run(
                Inception.stem, input.apply(images.detachedRows(range)),
                into: ImageChannels(start.detachedRows(range)), context)
        }
        let middle = try run(Inception.middle, start, context)
        let chosen = try context.sliceChannels(middle, 0..<Inception.spatialChannels)
        try spatial.copy(from: chosen)
        let last = try run(Inception.end, middle, context)
        try context.meanPool(
            last, size: last.shape[1], stride: 1,
            into: ImageChannels(pool.reshaped([count, 1, 1, Inception.poolFeatures])))
    }

    private func shape(of steps: [InceptionStep], _ x: Shape) throws(USPError) -> Shape {
        var shape = x
        for step in steps { shape = try step.result(shape) }
        return shape
    }

    private func run(
        _ steps: [InceptionStep], _ x: Tensor, _ context: Context
    ) throws(USPError) -> Tensor {
        let y = try Tensor(shape(of: steps, x.shape))
        try run(steps, x, into: ImageChannels(y), context)
        return y
    }

    /// The last step writes into y, the others into tensors of their own.
    private func run(
        _ steps: [InceptionStep], _ x: Tensor, into y: ImageChannels, _ context: Context
    ) throws(USPError) {
        var x = x
        for (index, step) in steps.enumerated() {
            if index == steps.count - 1 { return try run(step, x, into: y, context) }
            let next = try Tensor(step.result(x.shape))
            try run(step, x, into: ImageChannels(next), context)
            x = next
        }
    }

    private func run(
        _ step: InceptionStep, _ x: Tensor, into y: ImageChannels, _ context: Context
    ) throws(USPError) {
        switch step {
        case .convolution(let name, _, let height, let width, let stride, let isPadded):
            let (rows, columns) = isPadded ? (height / 2, width / 2) : (0, 0)
            try context.rectifiedConvolution(
                x, weight: folded.tensor("\(name).weight"), bias: folded.tensor("\(name).bias"),
                stride: stride,
                padding: Padding(top: rows, left: columns, bottom: rows, right: columns), into: y)
        case .maxPool(let stride, let isPadded):
            try context.maxPool(x, size: 3, stride: stride, padding: isPadded ? 1 : 0, into: y)
        case .meanPool: try context.meanPool(x, size: 3, stride: 1, padding: 1, into: y)
        case .branches(let branches):
            var first = y.channels.lowerBound
            for branch in branches {
                let width = try shape(of: branch, x.shape)[3]
                try run(
                    branch, x, into: ImageChannels(y.tensor, first..<first + width), context)
                first += width
            }
        }
    }
}
