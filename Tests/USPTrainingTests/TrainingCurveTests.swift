// Whole training runs against PyTorch's in float64: losses, parameters, moments, averages.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

/// Fills the parameters from a case's `param.` tensors.
private func fill(_ parameters: Parameters, from golden: GoldenCase) throws {
    for (position, spec) in parameters.specs.enumerated() {
        try parameters[position].copy(
            from: golden.tensor("param.\(spec.name)").reshaped(spec.shape))
    }
    parameters.invalidateCopies()
}

/// One step's part of a case's stacked input.
private func part(_ stack: Tensor, _ step: Int) throws -> Tensor {
    try stack.detachedRows(step..<step + 1).reshaped(Shape(Array(stack.shape.extents.dropFirst())))
}

/// Largest error of the trained parameters' places in `slab`. The key bias is left out: exact
/// arithmetic gives it no gradient, so AdamW moves it by rounding noise.
private func worstError(
    _ slab: Tensor, _ parameters: Parameters, _ golden: GoldenCase, _ prefix: String
) throws -> Double {
    var worst = 0.0
    for (position, spec) in parameters.specs.enumerated() where spec.isTrainable {
        let start = slab.floats + parameters.offsets[position]
        var values = Array(UnsafeBufferPointer(start: start, count: spec.shape.count))
        var expected = try golden.values("\(prefix).\(spec.name)")
        if spec.name.hasSuffix("attn.qkv.bias") {
            let third = values.count / 3
            values.removeSubrange(third..<2 * third)
            expected.removeSubrange(third..<2 * third)
        }
        worst = max(worst, relativeError(values, expected))
    }
    return worst
}

@Test func maskedPretrainingFollowsPyTorch() throws {
    let golden = try GoldenCase("training/mae_adamw")
    let encoder = TransformerSizes(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2)
    let sizes = MaskedAutoencoder.Configuration(
        encoder, decoderWidth: 16, decoderDepth: 1, decoderHeads: 2)
    let model = try MaskedAutoencoder(sizes, Parameters(sizes.specs()))
    try fill(model.parameters, from: golden)
    var options = TrainerOptions()
    options.optimizer = .pretraining
    options.weightDecay = 0.05
    options.schedule = Schedule(rate: 2.4e-3, warmup: 4, steps: 10, minimum: 1e-5)
    let trainer = try Trainer(model.parameters, options)
    let (images, noise) = (try golden.tensor("in.images"), try golden.tensor("in.noise"))
    var losses: [Float] = []
    for step in 0..<10 {
        let (x, order) = (try part(images, step), try part(noise, step).values)
        let report = try trainer.train { (context, _) throws(USPError) in
            let masking = try Masking(noise: order, batch: 4, tokens: 16, ratio: 0.75)
            return .scalar(try model.forward(x, masking: masking, in: context).loss)
        }
        losses.append(report.loss)
    }
    #expect(relativeError(losses, try golden.values("out.loss")) < 1e-4)
    let slab = try #require(model.parameters.slab)
    #expect(try worstError(slab, model.parameters, golden, "out.param") < 1e-3)
    #expect(try worstError(trainer.optimizer.first, model.parameters, golden, "out.exp_avg") < 1e-3)
    #expect(
        try worstError(trainer.optimizer.second, model.parameters, golden, "out.exp_avg_sq") < 1e-3)
}

/// Ten steps of a SiT of the golden run's sizes.
private func transportRun(
    _ golden: GoldenCase, clip: Float, average: Float
) throws -> (trainer: Trainer, losses: [Float], norms: [Float]) {
    let sizes = DiT.Configuration(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2, classes: 10,
        returnsSigma: false, affine: true)
    let model = try DiT(sizes, Parameters(sizes.specs()))
    try fill(model.parameters, from: golden)
    var options = TrainerOptions()
    options.schedule = Schedule(rate: 1e-3)
    options.averageDecay = average
    options.clipNorm = clip
    let trainer = try Trainer(model.parameters, options)
    let transport = try Transport()
    let (data, noise) = (try golden.tensor("in.data"), try golden.tensor("in.noise"))
    let (times, labels) = (try golden.values("in.t"), try golden.indices("in.labels"))
    var (losses, norms) = ([Float](), [Float]())
    for step in 0..<10 {
        let (x, e) = (try part(data, step), try part(noise, step))
        let range = 4 * step..<4 * step + 4
        let report = try trainer.train { (context, _) throws(USPError) in
            try TrainingTask.flowLoss(
                model, transport, data: x, noise: e, times: Array(times[range]),
                labels: Array(labels[range]), in: context)
        }
        losses.append(report.loss)
        norms.append(report.gradientNorm)
    }
    return (trainer, losses, norms)
}

@Test func transportTrainingFollowsPyTorch() throws {
    let golden = try GoldenCase("training/sit_adamw")
    let run = try transportRun(golden, clip: 0, average: 0.9)
    #expect(relativeError(run.losses, try golden.values("out.loss")) < 1e-4)
    let parameters = run.trainer.parameters
    #expect(try worstError(#require(parameters.slab), parameters, golden, "out.param") < 1e-3)
    #expect(try worstError(#require(run.trainer.average), parameters, golden, "out.average") < 1e-3)
}

@Test func clippedTrainingFollowsPyTorch() throws {
    let golden = try GoldenCase("training/sit_adamw")
    let run = try transportRun(golden, clip: 0.5, average: 0)
    #expect(relativeError(run.losses, try golden.values("out.clipped.loss")) < 1e-4)
    #expect(relativeError(run.norms, try golden.values("out.clipped.gradient_norm")) < 1e-4)
    let name = "final_layer.linear.weight"
    let trained = try run.trainer.parameters.tensor(name)
    #expect(relativeError(trained, try golden.values("out.clipped.param.\(name)")) < 1e-3)
}

@Test func fineTuningFollowsPyTorch() throws {
    let golden = try GoldenCase("training/finetune_layer_decay")
    let encoder = TransformerSizes(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 2, heads: 2)
    let sizes = ViT.Configuration(
        encoder, pool: .avg, head: .linear, classes: 10)
    let model = try ViT(sizes, Parameters(sizes.specs()))
    try fill(model.parameters, from: golden)
    var options = TrainerOptions()
    options.weightDecay = 0.05
    options.schedule = Schedule(rate: 1e-3)
    let trainer = try Trainer(
        model.parameters, options,
        rateScale: { LayerDecay.scale(of: $0.name, depth: 2, decay: 0.75) },
        decays: LayerDecay.decays)
    let (images, labels) = (try golden.tensor("in.images"), try golden.indices("in.labels"))
    var losses: [Float] = []
    for step in 0..<5 {
        let x = try part(images, step)
        let report = try trainer.train { (context, _) throws(USPError) in
            let logits = try model.logits(x, in: context)
            return .scalar(
                try context.softmaxCrossEntropy(
                    logits: logits, labels: Array(labels[4 * step..<4 * step + 4]), smoothing: 0.1))
        }
        losses.append(report.loss)
    }
    #expect(relativeError(losses, try golden.values("out.loss")) < 1e-4)
    let slab = try #require(model.parameters.slab)
    #expect(try worstError(slab, model.parameters, golden, "out.param") < 1e-3)
    // Five steps of decay would change these by 1e-4.
    for name in ["cls_token", "pos_embed"] {
        let trained = try model.parameters.tensor(name)
        #expect(relativeError(trained, try golden.values("out.param.\(name)")) < 3e-5)
    }
}

@Test(arguments: [Float(0), 0.01])
func probeTrainingFollowsPyTorch(decay: Float) throws {
    let golden = try GoldenCase("training/probe_lars")
    let parameters = try Parameters([
        ParameterSpec("head.1.weight", [10, 24], .zeros),
        ParameterSpec("head.1.bias", [10], .zeros),
    ])
    try fill(parameters, from: golden)
    var options = TrainerOptions()
    options.optimizer = .probe
    options.weightDecay = decay
    options.schedule = Schedule(rate: 6.4)
    let trainer = try Trainer(parameters, options)
    let (mean, variance) = (
        try Tensor.zeros([24]), try Tensor([24], [Float](repeating: 1, count: 24))
    )
    let (features, labels) = (try golden.tensor("in.features"), try golden.indices("in.labels"))
    var losses: [Float] = []
    for step in 0..<5 {
        let x = try part(features, step)
        let report = try trainer.train { (context, _) throws(USPError) in
            let normed = try context.batchNorm(
                x,
                BatchNorm(runningMean: mean, runningVariance: variance, epsilon: 1e-6),
                training: true)
            let logits = try context.linear(
                normed, parameters.tensor("head.1.weight"), parameters.tensor("head.1.bias"))
            return .scalar(
                try context.softmaxCrossEntropy(
                    logits: logits, labels: Array(labels[16 * step..<16 * step + 16])))
        }
        losses.append(report.loss)
    }
    let prefix = "out.decay_\(decay == 0 ? "0.0" : "0.01")"
    #expect(relativeError(losses, try golden.values("\(prefix).loss")) < 1e-4)
    #expect(try worstError(#require(parameters.slab), parameters, golden, "\(prefix).param") < 1e-3)
    #expect(
        try worstError(trainer.optimizer.first, parameters, golden, "\(prefix).momentum") < 1e-3)
    #expect(relativeError(mean, try golden.values("\(prefix).running_mean")) < 1e-5)
    #expect(relativeError(variance, try golden.values("\(prefix).running_var")) < 1e-5)
}
