// What people ask of a diffusion transformer.

import USPBase
import USPTensor

extension DiT {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }
    /// Channels of the output: C, or 2C with variances.
    public var outputChannels: Int { configuration.outputChannels }
    public var classes: Int { configuration.classes }
    /// The label for no label; nil for a table without one.
    public var nullClass: Int? {
        configuration.hasNullClass ? configuration.classes : nil
    }

    /// The prediction for latents `[B, C, H, W]` at times t with labels y.
    ///
    /// - t: DiT's timesteps 0 … 999, SiT's times 0 … 1
    /// - y: nil is the null class for all
    /// - Returns: `[B, outputChannels, H, W]`
    public func forward(_ x: Tensor, t: [Float], y: [Int]?) throws(USPError) -> Tensor {
        try forward(x, t: t, y: labels(y, t.count), in: Context(arithmetic))
    }

    /// Tokens after the first `depth` blocks, averaged: `[B, D]`. Diffusion models learn
    /// features too; USP probes t = 0 and the null class.
    public func features(
        _ x: Tensor, t: [Float], y: [Int]?, depth: Int
    ) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        let conditioning = try conditioning(t: t, y: labels(y, t.count), in: context)
        let tokens = try features(x, conditioning, depth: depth, in: context)
        return try context.meanTokens(tokens, from: 0)
    }

    /// Tokens after these blocks (1 is the first), `[B, T, D]` each, or their means, `[B, D]`, from one
    /// pass.
    ///
    /// - y: nil is the null class for all
    public func features(
        _ x: Tensor, t: [Float], y: [Int]?, layers: [Int], tokens: Bool = false
    ) throws(USPError) -> [Tensor] {
        let context = Context(arithmetic)
        let conditioning = try conditioning(t: t, y: labels(y, t.count), in: context)
        var result = try self.tokens(x, conditioning, layers: layers, in: context)
        if !tokens {
            for place in result.indices { result[place] = try context.meanTokens(result[place]) }
        }
        return result
    }

    /// Attention's probabilities in a block (1 is the first), for each head: row t is what token t takes
    /// from each, registers in front. `[B, N, leading + T, leading + T]`.
    public func attention(
        _ x: Tensor, t: [Float], y: [Int]?, layer: Int
    ) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        return try attention(
            x, conditioning(t: t, y: labels(y, t.count), in: context), layer: layer, in: context)
    }

    /// The same after every block, from one pass.
    package func featuresOfBlocks(_ x: Tensor, t: [Float]) throws(USPError) -> [Tensor] {
        let context = Context(arithmetic)
        return try meansOfBlocks(
            x, conditioning(t: t, y: labels(nil, t.count), in: context), in: context)
    }

    /// What each projector (REPA's) makes of the tokens behind block `encoder_depth`: `[B, T, Z]`
    /// each, in the order of the teachers.
    ///
    /// - Throws: `.unsupported` for a model without projectors
    public func projections(
        _ x: Tensor, t: [Float], y: [Int]?
    ) throws(USPError) -> [Tensor] {
        try projections(x, t: t, y: labels(y, t.count), in: Context(arithmetic))
    }

    /// The labels, or the null class for all.
    package func labels(_ y: [Int]?, _ count: Int) throws(USPError) -> [Int] {
        if let y { return y }
        guard let nullClass else {
            throw USPError(.argument, "labels: are needed, the model has no null class")
        }
        return [Int](repeating: nullClass, count: count)
    }
}
