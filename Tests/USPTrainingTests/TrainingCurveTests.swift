// Whole training runs against PyTorch's in float64: losses, parameters, moments, averages.

import TestSupport
import Testing
import USPBase
import USPData
import USPModels
import USPTensor
import USPTraining

/// Fills the parameters (that `chosen` accepts) from a case's `param.` tensors.
private func fill(
    _ parameters: Parameters, from golden: GoldenCase, _ chosen: (String) -> Bool = { _ in true }
) throws {
    for (position, spec) in parameters.specs.enumerated() where chosen(spec.name) {
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
    for (position, spec) in parameters.specs.enumerated() where parameters.isTrained(position) {
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
    (options.beta2, options.weightDecay) = (0.95, 0.05)
    (options.rate, options.warmup, options.steps, options.minimumRate) = (2.4e-3, 4, 10, 1e-5)
    let trainer = try Trainer(model, options)
    let (images, noise) = (try golden.tensor("in.images"), try golden.tensor("in.noise"))
    var losses: [Float] = []
    for step in 0..<10 {
        var batch = Batch(try part(images, step))
        batch.noise = try part(noise, step)
        losses.append(try trainer.step(batch).loss)
    }
    #expect(relativeError(losses, try golden.values("out.loss")) < 1e-4)
    let (parameters, optimizer) = (trainer.updates.parameters, trainer.updates.optimizer)
    #expect(try worstError(#require(parameters.slab), parameters, golden, "out.param") < 1e-3)
    #expect(try worstError(optimizer.first, parameters, golden, "out.exp_avg") < 1e-3)
    #expect(try worstError(optimizer.second, parameters, golden, "out.exp_avg_sq") < 1e-3)
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
    (options.rate, options.averageDecay, options.clipNorm) = (1e-3, average, clip)
    let trainer = try Trainer(model, options)
    let (data, noise) = (try golden.tensor("in.data"), try golden.tensor("in.noise"))
    let (times, labels) = (try golden.values("in.t"), try golden.indices("in.labels"))
    var (losses, norms) = ([Float](), [Float]())
    for step in 0..<10 {
        let range = 4 * step..<4 * step + 4
        var batch = Batch(try part(data, step), labels: Array(labels[range]))
        (batch.noise, batch.times) = (try part(noise, step), times[range].map { Float($0) })
        let report = try trainer.step(batch)
        losses.append(report.loss)
        norms.append(report.gradientNorm)
    }
    return (trainer, losses, norms)
}

@Test func transportTrainingFollowsPyTorch() throws {
    let golden = try GoldenCase("training/sit_adamw")
    let run = try transportRun(golden, clip: 0, average: 0.9)
    #expect(relativeError(run.losses, try golden.values("out.loss")) < 1e-4)
    let parameters = run.trainer.updates.parameters
    #expect(try worstError(#require(parameters.slab), parameters, golden, "out.param") < 1e-3)
    #expect(
        try worstError(#require(run.trainer.updates.average), parameters, golden, "out.average")
            < 1e-3)
}

@Test func clippedTrainingFollowsPyTorch() throws {
    let golden = try GoldenCase("training/sit_adamw")
    let run = try transportRun(golden, clip: 0.5, average: 0)
    #expect(relativeError(run.losses, try golden.values("out.clipped.loss")) < 1e-4)
    #expect(relativeError(run.norms, try golden.values("out.clipped.gradient_norm")) < 1e-4)
    let name = "final_layer.linear.weight"
    let trained = try run.trainer.updates.parameters.tensor(name)
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
    (options.rate, options.weightDecay, options.layerDecay) = (1e-3, 0.05, 0.75)
    options.labelSmoothing = 0.1
    let trainer = try Trainer(model, options)
    let (images, labels) = (try golden.tensor("in.images"), try golden.indices("in.labels"))
    var losses: [Float] = []
    for step in 0..<5 {
        let batch = Batch(try part(images, step), labels: Array(labels[4 * step..<4 * step + 4]))
        losses.append(try trainer.step(batch).loss)
    }
    #expect(relativeError(losses, try golden.values("out.loss")) < 1e-4)
    let parameters = trainer.updates.parameters
    #expect(try worstError(#require(parameters.slab), parameters, golden, "out.param") < 1e-3)
    // Five steps of decay would change these by 1e-4.
    for name in ["cls_token", "pos_embed"] {
        let trained = try parameters.tensor(name)
        #expect(relativeError(trained, try golden.values("out.param.\(name)")) < 3e-5)
    }
}

@Test(arguments: [Float(0), 0.01])
func probeTrainingFollowsPyTorch(decay: Float) throws {
    let golden = try GoldenCase("training/probe_lars")
    let sizes = ViT.Configuration(
        TransformerSizes(grid: Grid(2, 2), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
        pool: .token, head: .probe, classes: 10)
    let model = try ViT(sizes, key: RandomKey(seed: 1))
    try fill(model.parameters, from: golden) { $0.hasPrefix("head.1.") }
    var options = TrainerOptions()
    (options.optimizer, options.headOnly) = (.lars, true)
    (options.rate, options.weightDecay) = (6.4, decay)
    let trainer = try Trainer(model, options)
    let (features, labels) = (try golden.tensor("in.features"), try golden.indices("in.labels"))
    var losses: [Float] = []
    for step in 0..<5 {
        let range = 16 * step..<16 * step + 16
        losses.append(
            try trainer.step(Batch(try part(features, step), labels: Array(labels[range]))).loss)
    }
    let prefix = "out.decay_\(decay == 0 ? "0.0" : "0.01")"
    #expect(relativeError(losses, try golden.values("\(prefix).loss")) < 1e-4)
    let parameters = trainer.updates.parameters
    #expect(try worstError(#require(parameters.slab), parameters, golden, "\(prefix).param") < 1e-3)
    let velocity = trainer.updates.optimizer.first
    #expect(try worstError(velocity, parameters, golden, "\(prefix).momentum") < 1e-3)
    for (ours, theirs) in [("mean", "running_mean"), ("var", "running_var")] {
        let statistics = try parameters.tensor("head.0.running_\(ours)")
        #expect(relativeError(statistics, try golden.values("\(prefix).\(theirs)")) < 1e-5)
    }
}
