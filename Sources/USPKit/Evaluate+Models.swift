// How good models are on data sets.

import Glibc
import USPBase
import USPData
import USPEvaluation
import USPModels
import USPTensor
import USPTraining

extension Evaluate {
    /// Shares of the samples whose label is first, or among the first five where there are more
    /// classes; none if it is stopped.
    ///
    /// - data: latents, or the frozen encoder's features, with labels
    /// - ranks: share the work; all get the result
    public static func accuracy(
        of model: ViT, on data: DataSet, over ranks: Ranks = .alone,
        isStopped: () -> Bool = { false }
    ) throws(USPError) -> [(k: Int, share: Double)] {
        try data.requireLabels()
        let data = try data.numbered(for: model)
        let ks = data.classes > 5 ? [1, 5] : [1]
        var accuracy = try TopAccuracy(ks)
        for round in stride(from: 0, to: data.count, by: 64 * ranks.count) {
            if try ranks.any([isStopped()])[0] { return [] }
            try ranks.together { () throws(USPError) in
                let first = round + 64 * ranks.rank
                guard first < data.count else { return }
                let batch = try data.samples(first..<min(first + 64, data.count))
                let logits =
                    try batch.inputs.shape.rank == 2
                    ? model.logits(features: batch.inputs) : model.logits(batch.inputs)
                try accuracy.add(logits, labels: batch.classes ?? [])
            }
        }
        try accuracy.sum(over: ranks)
        return Array(zip(accuracy.ks, accuracy.shares)).map { (k: $0.0, share: $0.1) }
    }
}

extension ViT {
    /// See `Evaluate.accuracy`.
    public func accuracy(
        on data: DataSet, over ranks: Ranks = .alone, isStopped: () -> Bool = { false }
    ) throws(USPError) -> [(k: Int, share: Double)] {
        try Evaluate.accuracy(of: self, on: data, over: ranks, isStopped: isStopped)
    }
}

extension DataSet {
    /// With labels that count in a classifier's classes, as far as both tell theirs.
    ///
    /// - Throws: `.argument` for data of other classes
    func numbered(for model: ViT) throws(USPError) -> DataSet {
        try require(
            model.classes > 0, .argument,
            "model: has no head of classes, expected a classifier, such as finetune makes")
        let names = model.notes.classNames
        let result = try numbered(as: names.count == model.classes ? names : [])
        try require(
            result.classes <= model.classes, .argument,
            "\(place): classes \(classText); the classifier's are 0 to \(model.classes - 1)")
        return result
    }
}

extension VAE {
    /// Peak signal-to-noise ratio of reconstructions of images in −1 … 1, in dB, over all pixels;
    /// reconstructions are limited to the same range.
    public func peakSignalToNoise(on data: DataSet) throws(USPError) -> Double {
        var (squares, count) = (0.0, 0)
        for first in stride(from: 0, to: data.count, by: 8) {
            let images = try data.samples(first..<min(first + 8, data.count)).inputs
            let again = try decode(encode(images).mean)
            for index in 0..<images.count {
                let value = min(max(again.floats[index], -1), 1)
                let error = Double(value - images.floats[index])
                squares += error * error
            }
            count += images.count
        }
        try require(count > 0, .argument, "a data set of no samples")
        return -10 * log10(max(squares / Double(count), 1e-12) / 4)
    }

    /// The same autoencoder, with latents of unit variance on the first images of a set: at most
    /// 512.
    public func scaled(to data: DataSet) throws(USPError) -> VAE {
        var options = Options()
        options.scaled = false
        let count = min(data.count, 512)
        var latents: Tensor?
        for first in stride(from: 0, to: count, by: 8) {
            let range = first..<min(first + 8, count)
            // Spread over the set, which is in the order of its classes.
            let numbers = range.map { $0 * data.count / count }
            let images = try data.selecting(numbers).samples(0..<range.count).inputs
            let mean = try encode(images, options).mean
            if latents == nil {
                latents = try Tensor(Shape([count] + mean.shape.extents.dropFirst()))
            }
            try latents?.detachedRows(range).copy(from: mean)
        }
        guard let latents else { throw USPError(.argument, "a data set of no samples") }
        var sizes = configuration
        sizes.normalization = try LatentNormalization(measuring: latents)
        return try VAE(sizes, weights, arithmetic)
    }
}
