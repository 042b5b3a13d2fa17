// Where a sampler's noise comes from: streams per sample, a stack of tensors, or PyTorch's order.

import USPBase
import USPTensor

/// Gives a run its noise: once for the start, once for each noisy step. One source may serve several
/// runs, one after the other.
package final class NoiseSource {
    /// Fills a f32 batch `[B, C, H, W]`; draw 0 is a run's start, 1, 2, … are its steps.
    package typealias Fill = (_ draw: Int, _ batch: Tensor) throws(USPError) -> Void

    private let fillNext: Fill
    private var draws = 1

    package init(_ fill: @escaping Fill) { fillNext = fill }

    /// The noise of the next step.
    package func fill(_ batch: Tensor) throws(USPError) {
        try fillNext(draws, batch)
        draws += 1
    }

    /// A fresh batch of noise: the start of a run.
    ///
    /// - Throws: `.shape` unless the shape is a non-empty `[B, C, H, W]`.
    package func start(_ shape: Shape) throws(USPError) -> Tensor {
        let batch = try Tensor(shape)
        try checkLatents(batch, "noise")
        try fillNext(0, batch)
        draws = 1
        return batch
    }

    /// One counter-based stream for each sample and draw: a sample's noise depends on its number
    /// alone, not on the batch it is in.
    package static func streams(_ key: RandomKey, firstSample: Int = 0) -> NoiseSource {
        NoiseSource { draw, batch throws(USPError) in
            batch.fillNormal { key.stream(firstSample + $0).stream(draw) }
        }
    }

    /// A stack `[N, B, C, H, W]` that is consumed in order, by starts and steps alike.
    ///
    /// - Throws: `.shape` when a batch has another shape, or when the stack is used up.
    package static func stack(_ noise: Tensor) throws(USPError) -> NoiseSource {
        try require(
            noise.shape.rank == 5 && noise.dtype == .float32, .shape,
            "noise stack: expected f32 [steps, B, C, H, W], got \(noise.dtype.name) \(noise.shape)")
        var used = 0
        return NoiseSource { _, batch throws(USPError) in
            try require(
                Array(noise.shape.extents.dropFirst()) == batch.shape.extents, .shape,
                "noise stack: expected [steps] + \(batch.shape), got \(noise.shape)")
            try require(
                used < noise.shape[0], .shape,
                "noise stack: its \(noise.shape[0]) entries are used up, one more is needed")
            batch.floats.update(from: noise.floats + used * batch.count, count: batch.count)
            used += 1
        }
    }

    /// The order in which the original scripts draw on a CPU after `torch.manual_seed(seed)`.
    ///
    /// - doubled: the scripts' guided samplers draw for both halves of the batch and use the first;
    ///   the start of a run is drawn once.
    package static func torch(_ generator: TorchRandom, doubled: Bool) -> NoiseSource {
        let box = Box(generator)
        return ordered(doubled: doubled) { box.value.fillNormal($0) }
    }

    /// As `torch(_:doubled:)` with a CUDA device's numbers.
    package static func torchCUDA(_ generator: TorchRandomCUDA, doubled: Bool) -> NoiseSource {
        let box = Box(generator)
        return ordered(doubled: doubled) { box.value.fillNormal($0) }
    }

    private static func ordered(
        doubled: Bool, _ fill: @escaping (UnsafeMutableBufferPointer<Float>) -> Void
    ) -> NoiseSource {
        NoiseSource { draw, batch throws(USPError) in
            guard doubled && draw > 0 else {
                return fill(UnsafeMutableBufferPointer(start: batch.floats, count: batch.count))
            }
            let both = try Tensor([2, batch.count])
            fill(UnsafeMutableBufferPointer(start: both.floats, count: both.count))
            batch.floats.update(from: both.floats, count: batch.count)
        }
    }
}

extension NoiseSource {
    /// What samplers take as a generator beside none.
    static let generators = ["torch", "torch-cuda"]

    /// The noise between the steps of a run from these latents.
    ///
    /// - given: `[S, B, C, H, W]`, consumed in order in place of drawn noise
    /// - doubled: whether the original script would draw for both halves of a guided batch
    static func between(
        _ options: SampleOptions, _ latents: Tensor, given: Tensor?, doubled: Bool
    ) throws(USPError) -> NoiseSource {
        if let given { return try stack(given) }
        let seed = options.seed
        switch options.generator {
        case "torch":
            return try torch(TorchRandom(seed: seed), doubled: doubled)
                .part(of: options, latents.shape)
        case "torch-cuda":
            return try torchCUDA(TorchRandomCUDA(seed: seed), doubled: doubled)
                .part(of: options, latents.shape)
        default:
            return streams(
                RandomKey(seed: seed).stream("sampler"), firstSample: options.firstSample)
        }
    }

    /// This batch's rows of noise that is drawn for all samples at once, after the start.
    private func part(of options: SampleOptions, _ shape: Shape) throws(USPError) -> NoiseSource {
        guard shape.rank == 4, shape.count > 0 else { return self }
        let (batch, first) = (shape[0], options.firstSample)
        let total = options.totalSamples ?? batch
        try require(
            total >= batch && total - batch >= first, .argument,
            "samples \(first) to \(first + batch - 1), but there are \(total) in all")
        let all = try start(Shape.checked([total] + shape.extents.dropFirst()))
        if total == batch { return self }
        let rows = try all.detachedRows(first..<first + batch)
        return NoiseSource { _, target throws(USPError) in
            try self.fill(all)
            try target.copy(from: rows)
        }
    }
}

/// A generator that several closures advance.
private final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}
