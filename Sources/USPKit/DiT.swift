// The diffusion transformer; SiT is the same network with another process around it.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// A DiT or SiT.
public final class DiT: Model, @unchecked Sendable {
    // SAFETY of @unchecked: the network and its parameters are only read once it is made.
    public struct Configuration: Sendable, Equatable {
        /// `DiT` gives predicted variances out; `SiT` computes and drops them.
        public var family = "DiT"
        /// Rows and columns of patches.
        public var gridHeight = 16
        public var gridWidth = 16
        public var channels = 4
        public var patch = 2
        /// Width of a token, D.
        public var width = 384
        public var depth = 12
        public var heads = 6
        public var classes = 1000
        /// A second set of channels is predicted.
        public var learnsSigma = true
        /// Norms have γ and β, which can take a ViT's: USP's variant.
        public var affineNorms = false

        public init() {}
    }

    package let network: USPModels.DiT
    public let weights: ModelWeights
    package let arithmetic: Arithmetic
    public var family: String { network.configuration.returnsSigma ? "DiT" : "SiT" }

    package init(_ network: USPModels.DiT, _ weights: ModelWeights, _ arithmetic: Arithmetic) {
        self.network = network
        self.weights = weights
        self.arithmetic = arithmetic
    }

    /// Fresh parameters from a seed: as the original, every block starts as the identity.
    public convenience init(_ configuration: Configuration, seed: UInt64 = 0) throws(USPError) {
        let network = try USPModels.DiT(
            DiTConfiguration(configuration), key: RandomKey(seed: seed).stream("dit"))
        self.init(network, ModelWeights(network.parameters), Arithmetic())
    }

    public var configuration: Configuration { Configuration(network.configuration) }

    public var metadata: [(key: String, value: String)] {
        [
            ("usp.family", family), ("usp.heads", "\(network.configuration.heads)"),
            ("usp.grid", "\(network.configuration.grid)"),
        ]
    }

    public func inputShape(batch: Int) -> Shape { network.configuration.latentShape(batch) }
    /// Channels of the output: C, or 2C with variances.
    public var outputChannels: Int { network.configuration.outputChannels }
    public var classes: Int { network.configuration.classes }
    /// The label for no label; nil for a table without one.
    public var nullClass: Int? {
        network.configuration.hasNullClass ? network.configuration.classes : nil
    }

    /// The prediction for latents `[B, C, H, W]` at times t with labels y.
    ///
    /// - t: DiT's timesteps 0 … 999, SiT's times 0 … 1
    /// - y: nil is the null class for all
    /// - Returns: `[B, outputChannels, H, W]`
    public func forward(_ x: Tensor, t: [Float], y: [Int]?) throws(USPError) -> Tensor {
        try network.forward(x, t: t, y: labels(y, t.count), in: Context(arithmetic))
    }

    /// The originals' guided pass: n samples given twice, with labels and then with null labels.
    ///
    /// - x: `[2n, C, H, W]`; both halves see the first half's latents
    /// - channels: leading channels that are guided
    public func forwardGuided(
        _ x: Tensor, t: [Float], y: [Int], scale: Float, channels: Int = 3
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 4 && x.shape[0] % 2 == 0, .shape,
            "guidance: latents \(x.shape), expected an even batch")
        try require(
            t.count == x.shape[0], .shape, "\(t.count) timesteps for \(x.shape[0]) latents")
        let samples = x.shape[0] / 2
        let output = try network.forward(
            x.detachedRows(0..<samples), t: t, y: y, in: Context(arithmetic))
        Guidance.combine(
            output, scales: [Float](repeating: scale, count: samples),
            channels: min(channels, network.configuration.channels), alsoNull: true)
        return output
    }

    /// Mean of the squared output, with the gradient of every trainable parameter.
    public func gradients(_ x: Tensor, t: [Float], y: [Int]?) throws(USPError) -> LossGradients {
        let labels = try labels(y, t.count)
        return try USPKit.gradients(of: weights, arithmetic) {
            parameters, context throws(USPError) in
            let output = try USPModels.DiT(network.configuration, parameters)
                .forward(x, t: t, y: labels, in: context)
            return .scalar(try context.meanSquaredError(output, Tensor.zeros(output.shape)))
        }
    }

    /// Tokens after the first `depth` blocks, averaged: `[B, D]`. Diffusion models learn
    /// features too; USP probes t = 0 and the null class.
    public func features(
        _ x: Tensor, t: [Float], y: [Int]?, depth: Int
    ) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        let conditioning = try network.conditioning(t: t, y: labels(y, t.count), in: context)
        let tokens = try network.features(x, conditioning, depth: depth, in: context)
        return try context.meanTokens(tokens, from: 0)
    }

    /// What samplers and losses ask. What depends on times and labels alone is kept from one call
    /// to the next, for solvers that come back to a time.
    public var denoiser: Denoiser {
        let conditions = ConditionMemo(network, Context(arithmetic))
        let derivative: Denoiser.Derivative = { [self] x, times, y, probe throws(USPError) in
            try differentiate(x, t: times, y: try labels(y, times.count), along: probe)
        }
        return Denoiser(
            nullClass: nullClass, repeatsLatents: true, derivative: derivative
        ) { [self] x, times, y throws(USPError) in
            let conditioning = try conditions.at(times, try labels(y, times.count))
            return try network.forward(x, conditioning, in: Context(arithmetic))
        }
    }

    /// One pass forwards and one back: the gradient goes to the latents alone.
    private func differentiate(
        _ x: Tensor, t: [Float], y: [Int], along probe: Tensor
    ) throws(USPError) -> (output: Tensor, product: Tensor) {
        let leaf = Tensor(x.shape, x.dtype, storage: x.storage, byteOffset: x.byteOffset)
        let product = try Tensor.zeros(x.shape)
        leaf.node.setLeaf(gradient: product)
        let tape = Tape()
        defer { tape.forget() }
        let output = try network.forward(
            leaf, t: t, y: y, in: Context(arithmetic, tape: tape))
        let seed = try Tensor.zeros(output.shape)
        let (count, stride) = (probe.count / t.count, output.count / t.count)
        for sample in t.indices {
            (seed.floats + sample * stride).update(
                from: probe.floats + sample * count, count: count)
        }
        try tape.backward(from: output, gradient: seed)
        return (output, product)
    }

    private func labels(_ y: [Int]?, _ count: Int) throws(USPError) -> [Int] {
        if let y { return y }
        guard let nullClass else {
            throw USPError(.argument, "labels: are needed, the model has no null class")
        }
        return [Int](repeating: nullClass, count: count)
    }
}

/// The conditioning of the last times and labels.
private final class ConditionMemo {
    private let network: USPModels.DiT
    private let context: Context
    private var last: (times: [Float], labels: [Int], conditioning: DiTConditioning)?

    init(_ network: USPModels.DiT, _ context: Context) {
        self.network = network
        self.context = context
    }

    func at(_ times: [Float], _ labels: [Int]) throws(USPError) -> DiTConditioning {
        if let last, last.times == times, last.labels == labels { return last.conditioning }
        last = nil
        let conditioning = try network.conditioning(t: times, y: labels, in: context)
        last = (times, labels, conditioning)
        return conditioning
    }
}

extension DiT.Configuration {
    init(_ sizes: DiTConfiguration) {
        family = sizes.returnsSigma ? "DiT" : "SiT"
        gridHeight = sizes.grid.height
        gridWidth = sizes.grid.width
        channels = sizes.channels
        patch = sizes.patch
        width = sizes.width
        depth = sizes.depth
        heads = sizes.heads
        classes = sizes.classes
        learnsSigma = sizes.learnsSigma
        affineNorms = sizes.affineNorms
    }
}

extension DiTConfiguration {
    /// - Throws: for an unknown family.
    init(_ wanted: DiT.Configuration) throws(USPError) {
        guard ["DiT", "SiT"].contains(wanted.family) else {
            throw unknownName(wanted.family, what: "family", known: ["DiT", "SiT"])
        }
        self.init(
            grid: Grid(wanted.gridHeight, wanted.gridWidth), channels: wanted.channels,
            patch: wanted.patch, width: wanted.width, depth: wanted.depth, heads: wanted.heads,
            classes: wanted.classes, learnsSigma: wanted.learnsSigma,
            returnsSigma: wanted.family == "DiT", affineNorms: wanted.affineNorms)
    }
}
