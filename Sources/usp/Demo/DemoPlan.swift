// The sizes of the demo: what fits into 90 seconds, ten minutes, or as long as it takes.

import USPBase

/// How long a run may take.
enum DemoLength: String, Sendable, CaseIterable {
    case quick
    case standard
    case full
}

/// Every size of a run, so that a report can state all of them.
struct DemoPlan: Sendable, Equatable {
    let length: DemoLength
    let seed: UInt64

    // Images used for training and testing (all, but for the quick run).
    var trainingImages = 60_000
    var testImages = 10_000

    // Autoencoder: 1x32x32 pixels to C x 8 x 8 latents.
    var autoencoderWidth = 16
    var autoencoderMultipliers = [1, 2, 2]
    var latentChannels = 4
    var autoencoderSteps = 400
    var autoencoderBatch = 64
    var autoencoderRate: Float = 2e-3
    var divergenceWeight: Float = 1e-5

    // The classifier whose features judge samples.
    var judgeSteps = 1_000
    var judgeBatch = 128

    // The transformer that is pretrained, transferred and fine-tuned.
    var patch = 2
    var width = 128
    var depth = 6
    var heads = 4
    var decoderWidth = 64
    var decoderDepth = 2
    var decoderHeads = 4

    /// Type of the transformers' products.
    var compute = DType.bfloat16

    // Masked latent modelling. Four visible tokens of sixteen are too few to learn much from: at
    // half of them the probe is better after as much computing.
    var maskRatio = 0.5
    var pretrainingSteps = 8_000
    var pretrainingBatch = 64
    var pretrainingRate: Float = 1e-3
    var pretrainingWarmup = 100
    /// Pretrain on noised latents (USP's `--add_noise`): the diffusion transformer will see such.
    var noisyPretraining = true

    // Diffusion fine-tuning.
    var generationSteps = 800
    var generationBatch = 64
    var generationRate: Float = 5e-4
    var generationWarmup = 0
    /// Where the gates of both diffusion transformers start (USP's `init_gate`).
    var gateBias: Float = 1
    /// Of the averaged weights, from which samples are drawn; it warms up.
    var averageDecay: Float = 0.999
    var evaluateEvery = 100
    var samples = 2_000
    /// Model evaluations a sample.
    var sampleEvaluations = 10

    // Solvers at equal numbers of model evaluations: multiples of 4, for Runge-Kutta, of which DDIM's
    // strides through 1000 steps give each (they never give 64).
    var solverSamples = 500
    var evaluations = [8, 16, 32]

    // Classification.
    var probeSteps = 5_400
    var probeBatch = 1_000
    /// For a batch of 256; it grows with the batch.
    var probeRate: Float = 1
    var finetuneSteps = 300
    var classifierBatch = 128
    var finetuneRate: Float = 5e-4
    var labelsPerClass = 100
    var fewLabelsSteps = 100

    /// The sizes of a run of this length.
    init(_ length: DemoLength, seed: UInt64 = 0) {
        self.length = length
        self.seed = seed
        switch length {
        case .standard: break
        case .quick:
            trainingImages = 8_000
            testImages = 2_000
            autoencoderSteps = 100
            judgeSteps = 80
            pretrainingSteps = 1_000
            generationSteps = 60
            evaluateEvery = 20
            samples = 250
            solverSamples = 100
            evaluations = [8]
            probeSteps = 400
            finetuneSteps = 20
            fewLabelsSteps = 20
        case .full:
            autoencoderSteps = 4_000
            autoencoderWidth = 32
            judgeSteps = 4_000
            pretrainingSteps = 100_000
            generationSteps = 6_000
            evaluateEvery = 500
            samples = 5_000
            sampleEvaluations = 20
            solverSamples = 5_000
            evaluations = [8, 16, 32, 56]
            finetuneSteps = 2_000
            fewLabelsSteps = 600
        }
    }

    /// Whether samples are drawn after this step.
    func evaluates(at step: Int) -> Bool { step % evaluateEvery == 0 || step == generationSteps }

    /// Side of the token grid.
    var grid: Int { 8 / patch }
    var latentText: String { "\(latentChannels)×8×8" }

    /// Passes of the pretraining over the training images.
    var pretrainingEpochs: Double {
        Double(pretrainingSteps * pretrainingBatch) / Double(trainingImages)
    }

    /// All sizes in lines, for the report.
    var summary: String {
        """
        run               \(length.rawValue), seed \(seed)
        images            \(trainingImages) training, \(testImages) test
        autoencoder       width \(autoencoderWidth) × \(autoencoderMultipliers), \(autoencoderSteps) steps of \(autoencoderBatch)
        transformer       width \(width), \(depth) blocks, \(heads) heads, \(grid)×\(grid) tokens, \(compute) products
        decoder           width \(decoderWidth), \(decoderDepth) blocks
        pretraining       \(pretrainingSteps) steps of \(pretrainingBatch), mask \(maskRatio), rate \(pretrainingRate)\(noisyPretraining ? ", noised input" : "")
        fine-tuning SiT   \(generationSteps) steps of \(generationBatch), rate \(generationRate), average \(averageDecay), gates from \(gateBias)
        samples           \(samples) by \(sampleEvaluations) evaluations of Adams-Bashforth 2, every \(evaluateEvery) steps
        solvers           \(solverSamples) samples at \(evaluations) evaluations
        judge             \(judgeSteps) steps of \(judgeBatch)
        classifier        probe \(probeSteps) steps of \(probeBatch), fine-tune \(finetuneSteps), few labels \(fewLabelsSteps) steps of \(classifierBatch)
        """
    }
}
