// What samples are judged by: the Fréchet distance of a network's features to those of real images.

import USPBase
import USPData
import USPModels
import USPTensor

/// A network whose features are compared.
enum Judge {
    /// A small vision transformer on pixels.
    case network(ViT)
    case inception(Inception)
    /// A vision transformer on latents.
    case latents(ViT)

    /// Sizes of the small one: 8x8 tokens.
    static func sizes(_ options: StudyOptions) -> TransformerSizes {
        TransformerSizes(
            grid: Grid(8, 8), channels: options.channels, patch: options.size / 8, width: 64,
            depth: 3, heads: 4)
    }

    var width: Int {
        switch self {
        case .network(let model), .latents(let model): model.width
        case .inception: Inception.widths.pool
        }
    }

    /// `[B, D]` of images `[B, C, H, W]`, which are limited to −1 … 1.
    func features(_ images: Tensor) throws(USPError) -> Tensor {
        switch self {
        case .network(let model): return try model.features(limited(images))
        case .latents: throw USPError(.internal, "a judge of latents is shown images")
        case .inception(let network):
            let shape = images.shape
            let (pixels, channels) = (try images.pixels(), shape[1])
            let bytes = try Tensor([shape[0], shape[2], shape[3], 3], .uint8)
            let target = bytes.raw.assumingMemoryBound(to: UInt8.self)
            for index in 0..<bytes.count {
                target[index] = pixels[channels == 3 ? index : index / 3]
            }
            return try network.features(bytes).pool
        }
    }

    /// The share of images that it takes for these classes; nil for a network that knows none.
    func accuracy(_ images: Tensor, _ labels: [Int]) throws(USPError) -> Double? {
        guard case .network(let model) = self else { return nil }
        return try Evaluate.accuracy(model.logits(limited(images)), labels: labels)
    }

    private func limited(_ images: Tensor) throws(USPError) -> Tensor {
        let result = try images.copied()
        for index in 0..<result.count {
            result.floats[index] = min(max(result.floats[index], -1), 1)
        }
        return result
    }
}

/// What latents are decoded and judged with.
struct Judging {
    let autoencoder: VAE
    let judge: Judge
    let key: String
    /// Features of real images.
    let real: Tensor
    /// The class of each sample, as often as among real images; samples begin with each once.
    let labels: LabelQuota

    var width: Int { judge.width }

    /// The same judge of latents of another autoencoder.
    func through(_ vae: VAE) -> Judging {
        Judging(autoencoder: vae, judge: judge, key: key, real: real, labels: labels)
    }

    private init(
        autoencoder: VAE, judge: Judge, key: String, real: Tensor, labels: LabelQuota
    ) {
        (self.autoencoder, self.judge, self.key) = (autoencoder, judge, key)
        (self.real, self.labels) = (real, labels)
    }

    init(
        autoencoder: VAE, judge: Judge, key: String, reference: ImageSet, labels: LabelQuota
    ) throws(USPError) {
        (self.autoencoder, self.judge, self.key, self.labels) = (autoencoder, judge, key, labels)
        real = try Tensor([reference.count, judge.width])
        try inBatches(reference.count, 250) { range throws(USPError) in
            try real.detachedRows(range).copy(from: judge.features(reference.batch(range).images))
        }
    }
}

/// Classes in turn, each as often as it is among a set's images.
struct LabelQuota {
    private let counts: [Int]
    private let total: Int

    init(_ labels: [Int], classes: Int) {
        var counts = [Int](repeating: 0, count: max(classes, 1))
        for label in labels { counts[label] += 1 }
        (self.counts, total) = (counts, max(labels.count, 1))
    }

    /// So many labels: the class that is furthest behind comes next.
    func first(_ count: Int) -> [Int] {
        var given = [Int](repeating: 0, count: counts.count)
        return (0..<count).map { index in
            var (best, lag) = (0, -Double.infinity)
            for (label, number) in counts.enumerated() {
                let own = Double(number) * Double(index + 1) / Double(total) - Double(given[label])
                if own > lag + 1e-9 { (best, lag) = (label, own) }
            }
            given[best] += 1
            return best
        }
    }
}
