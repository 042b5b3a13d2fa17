// How a model is trained: one row an option.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// Optimiser, schedule, and what the task of each family can be told.
public struct TrainerOptions: Sendable {
    public var optimizer = OptimizerName.adamw
    public var rate: Float = 1e-4
    public var minimumRate: Float = 0
    public var warmup = 0
    public var steps = 0
    public var weightDecay: Float = 0
    public var beta1: Float = 0.9
    public var beta2: Float = 0.999
    public var averageDecay: Float = 0
    public var averageWarmsUp = false
    public var clipNorm: Float = 0
    public var layerDecay: Float = 1
    public var accumulation = 1
    public var dtype = DType.float32
    public var exact = false
    public var seed: UInt64 = 0
    public var recompute = Recomputation.nothing
    public var maskRatio = 0.75
    public var normPixLoss = true
    public var normImage = false
    public var addNoise = false
    public var klWeight: Float = 1e-6
    public var reconstruction = ReconstructionError.squared
    public var labelSmoothing: Float = 0
    public var dropPath: Float = 0
    public var headOnly = false
    public var labelDropout: Float = 0
    public var diffusion: Diffusion?
    public var transport: Transport?
    public var ranks: Ranks?
    public var schedule = ScheduleName.cosine
    public var dropout: Float = 0
    public var average = Segmenter.Average.all
    public var ignored = 255
    public var copies = 4
    public var attentionDropout: Float = 0
    public var align: Float = 0
    public var teacherWidth = 0
    public var distmatMargin: Float = 0
    public var cosMargin: Float = 0
    public var parts: Int?
    public var shard = false
    public var overlap = true
    public var reduction = DType.float32

    public init() {}
}

/// Which rule updates the parameters.
public enum OptimizerName: String, CaseIterable, Sendable { case adamw, lars }

/// How the learning rate falls behind the warm-up.
public enum ScheduleName: String, CaseIterable, Sendable { case cosine, poly }

extension TrainerOptions: Described {
    public static let title = "trainer"

    public static let fields: [Field<TrainerOptions>] = [
        .choice("optimizer", \.optimizer, "The rule that updates parameters: AdamW or LARS."),
        .real("rate", \.rate, .notNegative, "Peak learning rate."),
        .real(
            "minimum_rate", \.minimumRate, .notNegative,
            "The learning rate at which the schedule ends."),
        .integer("warmup", \.warmup, .from(0), "Steps of linear warm-up from 0."),
        .integer(
            "steps", \.steps, .from(0),
            "Steps in all, over which the rate falls; 0 keeps it constant after the warm-up."),
        .real(
            "weight_decay", \.weightDecay, .notNegative,
            "Decay of matrices; vectors, biases, a classifier's class token and its positions do "
                + "not decay."),
        .real("beta1", \.beta1, .belowOne, "AdamW's first decay; the momentum of LARS."),
        .real("beta2", \.beta2, .belowOne, "AdamW's second decay."),
        .real(
            "average_decay", \.averageDecay, .belowOne,
            "Decay of the exponential moving average of the parameters; 0 keeps none."),
        .flag(
            "average_warms_up", \.averageWarmsUp,
            "Let that decay grow with the steps n, min(average_decay, (1 + n)/(10 + n)), so that "
                + "the average of a short run looks back over its last tenth."),
        .real(
            "clip_norm", \.clipNorm, .notNegative,
            "Largest norm of all gradients together; 0 does not clip."),
        .real(
            "layer_decay", \.layerDecay, .notNegative,
            "Factor of the rate for each layer away from the head.",
            in: Family.transformers { !($0 is MAR.Configuration) }),
        .integer(
            "accumulation", \.accumulation, .from(1),
            "Equal parts that a batch is cut into; their gradients are averaged."),
        .dtype(
            "dtype", \.dtype, [.float32, .bfloat16],
            "Type of the products' inputs; sums and parameters stay f32."),
        .flag("exact", \.exact, "Sum every product plainly, as a model that is loaded so."),
        .seed("seed", \.seed, "Seed of all that is drawn: noise, times, masks, dropped labels."),
        .choice(
            "recompute", \.recompute,
            "What a transformer's step computes again for its gradients instead of keeping it, to "
                + "the same bits: the hidden layer of each block (MAE-B, batch 16: 0.86 of the "
                + "memory in 1.09 of the time; bf16 0.92 in 1.08), or whole blocks (0.69 in 1.20; "
                + "bf16 0.81 in 1.18)."),
        .real("mask_ratio", \.maskRatio, .belowOne, "Share of masked tokens.", in: ["MAE"]),
        .flag(
            "norm_pix_loss", \.normPixLoss, "Normalise each patch of the target.", in: ["MAE"]),
        .flag(
            "norm_image", \.normImage,
            "Normalise each target over all of its patches, in place of each patch.", in: ["MAE"]),
        .flag(
            "add_noise", \.addNoise,
            "Noise the input, sqrt(t) x + sqrt(1 - t) e with t in 0.5 to 1; the target stays clean.",
            in: ["MAE"]),
        .real("kl_weight", \.klWeight, .notNegative, "Weight of the divergence.", in: ["VAE"]),
        .choice(
            "reconstruction", \.reconstruction,
            "How a reconstruction is compared with its image: squared or absolute error.",
            in: ["VAE"]),
        .real(
            "label_smoothing", \.labelSmoothing, .share,
            "Share of the label that is spread over all classes.", in: ["ViT"]),
        .real(
            "drop_path", \.dropPath, .belowOne,
            "Rate of drop path in the last block; it grows linearly from 0.",
            in: ["ViT", "Segmenter"]),
        .flag(
            "head_only", \.headOnly, "Train the head alone: a linear probe.",
            in: ["ViT", "Segmenter"]),
        .real(
            "label_dropout", \.labelDropout, .share,
            "Share of labels that become the null class.",
            in: DiT.families.map(\.name) + ["MAR"]),
        .object(
            "diffusion", \.diffusion, "usp_diffusion",
            "The Gaussian process, kept; absent: 1000 steps, a DiT's linear, a MAR's cosine.",
            in: ["DiT", "MAR"]),
        .object(
            "transport", \.transport, "usp_transport",
            "The transport, kept; absent: Linear, velocity.", in: Family.flows),
        .object(
            "ranks", \.ranks, "usp_ranks",
            "This process among those that train together, kept; absent: it trains alone."),
        .choice(
            "schedule", \.schedule,
            "How the rate falls behind the warm-up: half a cosine, or a line as mmengine's PolyLR of "
                + "power 1, whose warm-up starts at 1e-6 of the rate."),
        .real(
            "dropout", \.dropout, .belowOne,
            "Rate at which a Segmenter's head's channels are zeroed, and a MAR's values behind "
                + "attention's projection and both layers of the MLPs.", in: ["Segmenter", "MAR"]),
        .choice(
            "average", \.average,
            "The pixels' losses are divided by the number of all, ignored ones too, or of the valid "
                + "ones.", in: ["Segmenter"]),
        .integer(
            "ignored", \.ignored, FieldRange(-32768, 65535), "The label that is no class.",
            in: ["Segmenter"]),
        .integer(
            "copies", \.copies, FieldRange(1, 4096),
            "How often each hidden token is denoised in a step, each time at another step and with "
                + "other noise.", in: ["MAR"]),
        .real(
            "attention_dropout", \.attentionDropout, .belowOne,
            "Share of attention's probabilities that are dropped: not built, so 0.", in: ["MAR"]),
        .real(
            "align", \.align, .notNegative,
            "Weight of the alignment with a teacher's features: of a flow minus the mean cosine of its "
                + "projected tokens with them (REPA, 0.5); of an autoencoder how its latents' cosines "
                + "differ from theirs (VA-VAE, 0.1 to 0.5), balanced with the reconstruction.",
            in: Family.flows + ["VAE"]),
        .integer(
            "parts", \.parts, FieldRange(1, 1024),
            "What a batch of all ranks is cut into, a power of two that divides it: gradients are "
                + "summed over parts in pairs, so the number of ranks changes no bit. Absent: with "
                + "ranks that have collectives the largest one up to 64, else the batch is not cut."
        ),
        .integer(
            "teacher_width", \.teacherWidth, FieldRange(0, 65536),
            "Width of the features that an autoencoder aligns with, to which a 1x1 convolution of the "
                + "training's own takes its latents; needed by align.", in: ["VAE"]),
        .real(
            "distmat_margin", \.distmatMargin, .notNegative,
            "Difference of two latents' cosine from their features' that costs nothing (VA-VAE: 0, "
                + "in the end 0.25).", in: ["VAE"]),
        .real(
            "cos_margin", \.cosMargin, .notNegative,
            "Distance 1 - cosine of a latent from its feature that costs nothing (VA-VAE: 0, in the end "
                + "0.5).", in: ["VAE"]),
        .flag(
            "shard", \.shard,
            "Keep moments and average in shares, one on each rank: the same bits, files and traffic, "
                + "and the memory of weights, gradients and a share. All ranks save, and ask for the "
                + "averaged model, together; of one rank nothing changes."),
        .flag(
            "overlap", \.overlap,
            "Sum gradients over ranks while the backward pass goes on, each as soon as it is complete, "
                + "on a thread beside; else behind it, to the same bits."),
        .dtype(
            "reduction", \.reduction, [.float32, .bfloat16],
            "Type in which parts' gradients are handed on where they are added in pairs, in f32: bf16 "
                + "halves the traffic of ranks and rounds at every pair, on any number of ranks to the "
                + "same bits."),
    ]

    package var arithmetic: Arithmetic { Arithmetic(compute: dtype, exact: exact) }

    var rates: Schedule {
        Schedule(
            rate: rate, warmup: warmup, steps: steps, minimum: minimumRate, shape: schedule)
    }

    var rule: OptimizerKind {
        switch optimizer {
        case .adamw: .adamW(beta1: beta1, beta2: beta2, epsilon: 1e-8)
        case .lars: .lars(momentum: beta1, trust: 0.001)
        }
    }

    /// The average's decay in the update after `step` steps.
    func averageDecay(at step: Int) -> Float {
        averageWarmsUp ? min(averageDecay, Float(1 + step) / Float(10 + step)) : averageDecay
    }
}
