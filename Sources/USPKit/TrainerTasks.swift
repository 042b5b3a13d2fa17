// What each family is trained for, from a part of the caller's batch.

import USPBase
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

/// A part of a batch, with the random streams of its samples.
struct TrainingPiece {
    let inputs: Tensor
    let labels: [Int]?
    let targets: Tensor?
    let times: [Float]?
    let noise: Tensor?
    let key: RandomKey
    /// Place of the first sample in the batch.
    let first: Int

    init(_ batch: Trainer.Batch, _ range: Range<Int>, _ key: RandomKey) throws(USPError) {
        let samples = batch.inputs.shape[0]
        inputs = try batch.inputs.detachedRows(range)
        if let labels = batch.labels {
            try require(
                labels.count == samples, .shape, "labels: \(labels.count), expected \(samples)")
        }
        if let times = batch.times {
            try require(
                times.count == samples, .shape, "times: \(times.count), expected \(samples)")
        }
        if let targets = batch.targets {
            try require(
                targets.shape.rank == 2 && targets.shape[0] == samples, .shape,
                "targets: shape \(targets.shape), expected [\(samples), K]")
        }
        labels = batch.labels.map { Array($0[range]) }
        targets = try batch.targets.map { targets throws(USPError) in
            try targets.detachedRows(range)
        }
        times = batch.times.map { Array($0[range]) }
        noise = try batch.noise.map { noise throws(USPError) in try noise.detachedRows(range) }
        self.key = key
        first = range.lowerBound
    }

    var count: Int { inputs.shape[0] }

    /// The noise that was given, or standard normal noise of this shape.
    func normalNoise(_ shape: Shape) throws(USPError) -> Tensor {
        if let noise { return noise }
        return try Tensor.normal(shape, key.stream("noise"), firstSample: first)
    }

    /// `count` uniform numbers in [0, 1) for each sample.
    func uniform(_ name: String, count each: Int = 1) throws(USPError) -> [Float] {
        try Tensor.uniform([count, each], key.stream(name), firstSample: first).values
    }

    /// The labels, some of them dropped for the null class.
    func labels(_ model: DiT, dropout: Float) throws(USPError) -> [Int] {
        let null = model.configuration.classes
        guard let labels else {
            try require(model.configuration.hasNullClass, .argument, "labels: are needed")
            return [Int](repeating: null, count: count)
        }
        guard dropout > 0 else { return labels }
        try require(
            model.configuration.hasNullClass, .argument,
            "label dropout: the model has no null class")
        return zip(labels, try uniform("label")).map { $1 < dropout ? null : $0 }
    }
}

/// The model being trained, by family.
enum TrainingTaskKind {
    case autoencode(VAE)
    case pretrain(MaskedAutoencoder)
    case classify(ViT)
    case diffuse(DiT)

    /// The model again over parameters of its own.
    init(
        _ model: any Model, _ parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) {
        switch model {
        case let model as VAE:
            try require(
                options.recomputes == .nothing, .unsupported,
                "recompute: an autoencoder has no transformer blocks")
            self = .autoencode(try VAE(model.configuration, parameters))
        case let model as MaskedAutoencoder:
            let own = try MaskedAutoencoder(model.configuration, parameters)
            own.recomputes = options.recomputes
            self = .pretrain(own)
        case let model as ViT:
            var sizes = model.configuration
            sizes.dropPath = options.dropPath
            let own = try ViT(sizes, parameters)
            own.recomputes = options.recomputes
            self = .classify(own)
        case let model as DiT:
            let own = try DiT(model.configuration, parameters)
            own.recomputes = options.recomputes
            self = .diffuse(own)
        default: throw USPError(.unsupported, "training a \(model.family)")
        }
    }

    /// Blocks, for layer-wise decay.
    var depth: Int {
        switch self {
        case .autoencode: 0
        case .pretrain(let model): model.configuration.depth
        case .classify(let model): model.configuration.depth
        case .diffuse(let model): model.configuration.depth
        }
    }

    /// Which parameters weight decay applies to.
    var decays: (ParameterSpec) -> Bool {
        if case .classify = self { LayerDecay.decays } else { \.decays }
    }

    /// A model of the same sizes over these parameters.
    func model(_ parameters: Parameters, _ arithmetic: Arithmetic) throws(USPError) -> any Model {
        switch self {
        case .autoencode(let model): try VAE(model.configuration, parameters, arithmetic)
        case .pretrain(let model):
            try MaskedAutoencoder(model.configuration, parameters, arithmetic)
        case .classify(let model): try ViT(model.configuration, parameters, arithmetic)
        case .diffuse(let model): try DiT(model.configuration, parameters, arithmetic)
        }
    }

    func loss(
        _ piece: TrainingPiece, _ options: TrainerOptions, _ context: Context
    ) throws(USPError) -> Loss {
        switch self {
        case .autoencode(let model): try autoencoding(model, piece, options, context)
        case .pretrain(let model): try masking(model, piece, options, context)
        case .classify(let model): try classifying(model, piece, options, context)
        case .diffuse(let model):
            model.configuration.returnsSigma
                ? try denoising(model, piece, options, context)
                : try flowing(model, piece, options, context)
        }
    }
}

private func autoencoding(
    _ model: VAE, _ piece: TrainingPiece, _ options: TrainerOptions, _ context: Context
) throws(USPError) -> Loss {
    let sizes = model.configuration
    let shape = piece.inputs.shape
    try require(
        shape.rank == 4 && shape[1] == sizes.imageChannels, .shape,
        "images: shape \(shape), expected [B, \(sizes.imageChannels), H, W]")
    let noise = try piece.normalNoise(
        [piece.count, sizes.latentChannels, shape[2] / sizes.factor, shape[3] / sizes.factor])
    guard let error = VAE.ReconstructionError(rawValue: options.reconstruction) else {
        throw unknownName(
            options.reconstruction, what: "reconstruction",
            known: VAE.ReconstructionError.allCases.map(\.rawValue))
    }
    let loss = try model.loss(
        piece.inputs, noise: noise, error: error, divergenceWeight: options.divergenceWeight,
        in: context)
    return .scalar(loss.total)
}

private func masking(
    _ model: MaskedAutoencoder, _ piece: TrainingPiece, _ options: TrainerOptions,
    _ context: Context
) throws(USPError) -> Loss {
    let tokens = model.configuration.tokens
    try expect(piece.inputs, model.configuration.imageShape(piece.count), "latents")
    let noise: [Float]
    if let given = piece.noise {
        noise = given.values
    } else {
        noise = try piece.uniform("mask", count: tokens)
    }
    let masking = try Masking(
        noise: noise, batch: piece.count, tokens: tokens, ratio: options.maskRatio)
    var input = piece.inputs
    if options.addsNoise {
        let noise = try Tensor.normal(
            input.shape, piece.key.stream("noise"), firstSample: piece.first)
        input = try MaskedAutoencoder.noisy(
            input, t: piece.uniform("time").map { 0.5 + 0.5 * $0 }, noise: noise)
    }
    let output = try model.forward(
        input, masking: masking, target: piece.inputs,
        normalisation: options.normalizesPatches ? .patch : .none, in: context)
    return .scalar(output.loss)
}

private func classifying(
    _ model: ViT, _ piece: TrainingPiece, _ options: TrainerOptions,
    _ context: Context
) throws(USPError) -> Loss {
    let logits: Tensor
    if options.headOnly && piece.inputs.shape.rank == 2 {
        try expect(piece.inputs, [piece.count, model.configuration.width], "features")
        logits = try model.logits(features: piece.inputs, trainsStatistics: true, in: context)
    } else {
        try expect(piece.inputs, model.configuration.imageShape(piece.count), "images")
        logits = try model.logits(piece.inputs, trainsStatistics: true, in: context)
    }
    if let targets = piece.targets {
        return .scalar(try context.softmaxCrossEntropy(logits: logits, targets: targets))
    }
    guard let labels = piece.labels else { throw USPError(.argument, "labels: are needed") }
    return .scalar(
        try context.softmaxCrossEntropy(
            logits: logits, labels: labels, smoothing: options.labelSmoothing))
}

/// DiT: the Gaussian process's loss, whose gradient is known in closed form.
private func denoising(
    _ model: DiT, _ piece: TrainingPiece, _ options: TrainerOptions, _ context: Context
) throws(USPError) -> Loss {
    let process: Diffusion
    if let given = options.diffusion { process = given } else { process = try Diffusion() }
    let noise = try piece.normalNoise(piece.inputs.shape)
    for time in piece.times ?? [] {
        try require(
            time == time.rounded() && abs(time) < 1e9, .argument,
            "times: \(time), expected a whole number, the step")
    }
    let steps =
        piece.times.map { $0.map { Int($0) } }
        ?? process.drawSteps(
            piece.key.stream("steps"), count: piece.count, firstSample: piece.first)
    let noised = try process.noised(piece.inputs, steps: steps, noise: noise)
    let output = try model.forward(
        noised, t: process.times(steps), y: piece.labels(model, dropout: options.labelDropout),
        in: context)
    let losses = try process.losses(
        output: output, start: piece.inputs, noised: noised, noise: noise, steps: steps)
    return .seeded(value: losses.mean, output: output, gradient: losses.gradient)
}

/// SiT: the transport's loss, likewise.
private func flowing(
    _ model: DiT, _ piece: TrainingPiece, _ options: TrainerOptions, _ context: Context
) throws(USPError) -> Loss {
    let process: Transport
    if let given = options.transport { process = given } else { process = try Transport() }
    let noise = try piece.normalNoise(piece.inputs.shape)
    let times =
        piece.times
        ?? process.drawTimes(piece.key.stream("time"), count: piece.count, firstSample: piece.first)
    return try TrainingTask.flowLoss(
        model, process, data: piece.inputs, noise: noise, times: times,
        labels: piece.labels(model, dropout: options.labelDropout), in: context)
}
