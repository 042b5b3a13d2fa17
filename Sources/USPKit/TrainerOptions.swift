// How a model is trained.

import USPBase
import USPModels
import USPTensor
import USPTraining

/// Optimiser, schedule and what the task of each family can be told.
public struct TrainerOptions: Sendable {
    /// `adamw` or `lars`.
    public var optimizer = "adamw"
    /// Peak learning rate.
    public var rate: Float = 1e-4
    /// Where the half cosine ends.
    public var minimumRate: Float = 0
    /// Steps of linear warm-up.
    public var warmup = 0
    /// Steps in all; 0 keeps the rate constant after the warm-up.
    public var steps = 0
    /// Of matrices; not of vectors and biases, nor of a classifier's class token and positions.
    public var weightDecay: Float = 0
    public var beta1: Float = 0.9
    public var beta2: Float = 0.999
    /// Of the exponential moving average; 0 keeps none.
    public var averageDecay: Float = 0
    /// Let that decay grow with the steps n: min(averageDecay, (1 + n)/(10 + n)), so that the
    /// average of a short run looks back over its last tenth.
    public var averageWarmsUp = false
    /// Largest norm of all gradients together; 0 does not clip.
    public var clipNorm: Float = 0
    /// Parts that a batch is cut into; their gradients are averaged.
    public var accumulation = 1
    /// Learning rates fall by this factor a layer away from the head.
    public var layerDecay: Float = 1
    /// Type of the products' inputs.
    public var compute = DType.float32
    /// Plain sums everywhere, as `LoadOptions.exact`.
    public var exact = false
    public var seed: UInt64 = 0
    /// Transformers: what a step computes again for its gradients instead of keeping it.
    public var recomputes = Recomputation.nothing

    /// MAE: share of masked tokens, and whether target patches are normalised.
    public var maskRatio = 0.75
    public var normalizesPatches = true
    /// MAE: the input becomes √t·x + √(1 − t)·ε with t in 0.5 … 1, the target stays clean: USP's
    /// `--add_noise`.
    public var addsNoise = false
    /// VAE: weight of the divergence, and `squared` or `absolute` reconstruction.
    public var divergenceWeight: Float = 1e-6
    public var reconstruction = "squared"
    /// ViT: label smoothing, drop path's rate in the last block (it grows linearly from 0), and
    /// whether only the head is trained.
    public var labelSmoothing: Float = 0
    public var dropPath: Float = 0
    public var headOnly = false
    /// DiT, SiT: share of labels that become the null class.
    public var labelDropout: Float = 0
    /// DiT: the process; nil is the published one (1000 linear steps).
    public var diffusion: Diffusion?
    /// SiT: the transport; nil is the published one (Linear, velocity).
    public var transport: Transport?

    public init() {}

    /// Which parameters are trained.
    func trains(_ spec: ParameterSpec) -> Bool { !headOnly || spec.name.hasPrefix("head.") }

    var arithmetic: Arithmetic { Arithmetic(compute: compute, exact: exact) }

    /// - Throws: `.argument` for an option that has no part in training a model of this family
    func check(for family: String) throws(USPError) {
        let plain = TrainerOptions()
        try expectPart(
            in: family,
            [
                ("mask ratio", maskRatio != plain.maskRatio, ["MAE"]),
                ("norm_pix_loss", normalizesPatches != plain.normalizesPatches, ["MAE"]),
                ("add noise", addsNoise, ["MAE"]),
                ("kl weight", divergenceWeight != plain.divergenceWeight, ["VAE"]),
                ("reconstruction", reconstruction != plain.reconstruction, ["VAE"]),
                ("label smoothing", labelSmoothing != plain.labelSmoothing, ["ViT"]),
                ("drop path", dropPath != plain.dropPath, ["ViT"]),
                ("head only", headOnly, ["ViT"]),
                ("label dropout", labelDropout != plain.labelDropout, ["DiT", "SiT"]),
                ("layer decay", layerDecay != plain.layerDecay, ["MAE", "ViT", "DiT", "SiT"]),
                ("diffusion", diffusion != nil, ["DiT"]),
                ("transport", transport != nil, ["SiT"]),
            ])
    }

    func `internal`() throws(USPError) -> USPTraining.TrainerOptions {
        var result = USPTraining.TrainerOptions()
        switch optimizer {
        case "adamw": result.optimizer = .adamW(beta1: beta1, beta2: beta2, epsilon: 1e-8)
        case "lars": result.optimizer = .lars(momentum: beta1, trust: 0.001)
        default: throw unknownName(optimizer, what: "optimizer", known: ["adamw", "lars"])
        }
        try checkRanges()
        result.schedule = Schedule(rate: rate, warmup: warmup, steps: steps, minimum: minimumRate)
        result.weightDecay = weightDecay
        result.averageDecay = averageDecay
        result.averageWarmsUp = averageWarmsUp
        result.clipNorm = clipNorm
        result.accumulation = accumulation
        result.arithmetic = arithmetic
        result.seed = seed
        return result
    }

    /// - Throws: `.argument` for what no training means, whatever the model's family.
    private func checkRanges() throws(USPError) {
        let amounts = [
            ("rate", rate), ("minimum rate", minimumRate), ("weight decay", weightDecay),
            ("clip norm", clipNorm), ("layer decay", layerDecay),
            ("divergence weight", divergenceWeight),
        ]
        for (name, value) in amounts {
            try require(
                value >= 0 && value.isFinite, .argument, "\(name): \(value), expected 0 or more")
        }
        let belowOne = [
            ("beta1", Double(beta1)), ("beta2", Double(beta2)), ("mask ratio", maskRatio),
        ]
        for (name, value) in belowOne {
            try require(
                value >= 0 && value < 1, .argument, "\(name): \(value), expected 0 ..< 1")
        }
        for (name, value) in [("label dropout", labelDropout), ("label smoothing", labelSmoothing)]
        {
            try require(
                value >= 0 && value <= 1, .argument, "\(name): \(value), expected 0 to 1")
        }
    }
}
