// What a data set gives and a trainer takes.

import USPBase
import USPTensor

/// Samples of one step with what belongs to them; what is absent is drawn, or has no part.
public struct Batch {
    /// What is said about the classes of samples.
    public enum Labels {
        /// One class a sample.
        case classes([Int])
        /// `[B, K]` f32: shares of the classes, as mixup makes them.
        case shares(Tensor)
        /// `[B, H, W]` u8 or i64: the class of every pixel.
        case map(Tensor)
    }

    /// `[B, C, H, W]` f32, images or latents; `[B, D]` f32, features of images, where only a head is
    /// trained: they do not change then, so they can be computed once.
    public var inputs: Tensor
    public var labels: Labels?
    /// One a sample: 0 … steps − 1 of a Gaussian process, 0 … 1 of a transport; nil draws them.
    public var times: [Float]?
    /// Of the inputs' shape (DiT, SiT), of the latents' (VAE), or `[B, T]` of masking (MAE); nil
    /// draws it.
    public var noise: Tensor?
    /// `[M, B, T]` whole steps of each token in M copies (MAR, whose noise is `[M, B, C, H, W]`).
    public var tokenTimes: Tensor?
    /// `[B, T]`, 1 for hidden tokens (MAR); nil draws it.
    public var mask: Tensor?
    /// Of the inputs' shape: what a reconstruction is compared with; nil: the inputs.
    public var target: Tensor?
    /// Of frozen teachers, `[B, T, Z]` each.
    public var features: [Tensor] = []

    public init(_ inputs: Tensor, labels: [Int]? = nil) {
        self.inputs = inputs
        self.labels = labels.map(Labels.classes)
    }

    /// B; 0 for a scalar.
    public var count: Int { inputs.shape.rank > 0 ? inputs.shape[0] : 0 }

    /// The classes, where there is one a sample.
    public var classes: [Int]? { if case .classes(let classes) = labels { classes } else { nil } }

    /// The samples of a range, sharing memory.
    ///
    /// - Throws: `.shape` naming what has another number of samples than the inputs
    package func samples(_ range: Range<Int>) throws(USPError) -> Batch {
        func rows(_ tensor: Tensor?, _ name: String) throws(USPError) -> Tensor? {
            guard let tensor else { return nil }
            try require(
                tensor.shape.rank > 0 && tensor.shape[0] == count, .shape,
                "\(name): shape \(tensor.shape), expected [\(count), ..]")
            return try tensor.detachedRows(range)
        }
        func each<Value>(_ values: [Value]?, _ name: String) throws(USPError) -> [Value]? {
            guard let values else { return nil }
            try require(
                values.count == count, .shape, "\(name): \(values.count), expected \(count)")
            return Array(values[range])
        }
        var result = Batch(try inputs.detachedRows(range))
        switch labels {
        case .classes(let classes): result.labels = try each(classes, "labels").map(Labels.classes)
        case .shares(let tensor): result.labels = try rows(tensor, "labels").map(Labels.shares)
        case .map(let tensor): result.labels = try rows(tensor, "labels").map(Labels.map)
        case nil: break
        }
        result.times = try each(times, "times")
        // Of copies the samples are the second axis.
        result.noise = try noise.flatMap { all throws(USPError) in
            try all.shape.rank == 5 ? copies(all, "noise", range) : rows(all, "noise")
        }
        result.tokenTimes = try tokenTimes.map { all throws(USPError) in
            try copies(all, "times", range)
        }
        result.mask = try rows(mask, "mask")
        result.target = try rows(target, "target")
        for tensor in features {
            if let part = try rows(tensor, "features") { result.features.append(part) }
        }
        return result
    }

    /// Some samples of `[M, B, ..]`.
    private func copies(
        _ all: Tensor, _ name: String, _ range: Range<Int>
    ) throws(USPError) -> Tensor {
        try require(
            all.shape.rank > 1 && all.shape[0] > 0 && all.shape[1] == count, .shape,
            "\(name): shape \(all.shape), expected [M, \(count), ..]")
        if range == 0..<count { return all }
        let inner = Array(all.shape.extents.dropFirst(2))
        let size = inner.reduce(1, *)
        let result = try Tensor(Shape([all.shape[0], range.count] + inner))
        for copy in 0..<all.shape[0] {
            (result.floats + copy * range.count * size).update(
                from: all.floats + (copy * count + range.lowerBound) * size,
                count: range.count * size)
        }
        return result
    }
}
