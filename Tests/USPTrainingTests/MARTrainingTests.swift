// Training masked autoregressive generation: five updates of PyTorch's, and what batches may be.

import TestSupport
import Testing
import USPBase
import USPData
import USPModels
import USPTensor
import USPTraining

private func part(_ stack: Tensor, _ step: Int) throws -> Tensor {
    try stack.detachedRows(step..<step + 1).reshaped(Shape(Array(stack.shape.extents.dropFirst())))
}

private func start(_ golden: GoldenCase) throws -> MAR {
    var sizes = MAR.Configuration(
        TransformerSizes(grid: Grid(4, 4), channels: 4, patch: 1, width: 16, depth: 1, heads: 2),
        buffer: 3, classes: 5, headWidth: 12, headDepth: 1)
    sizes.decoderHeads = 2
    let parameters = try Parameters(sizes.specs())
    for (position, spec) in parameters.specs.enumerated() {
        try parameters[position].copy(from: golden.tensor("param.\(spec.name)"))
    }
    return try MAR(sizes, parameters)
}

private func batch(_ golden: GoldenCase, _ step: Int) throws -> Batch {
    let labels = try golden.indices("in.labels")
    var batch = Batch(
        try part(golden.tensor("in.latents"), step), labels: Array(labels[2 * step..<2 * step + 2]))
    (batch.noise, batch.mask) = (
        try part(golden.tensor("in.noise"), step), try part(golden.tensor("in.mask"), step)
    )
    let times = try golden.indices("in.t")[64 * step..<64 * step + 64].map { Float($0) }
    batch.tokenTimes = try Tensor([2, 2, 16], times)
    return batch
}

@Test func fiveUpdatesOfAnAutoregressiveModelArePyTorchs() throws {
    let golden = try GoldenCase("training/mar_adamw")
    var options = TrainerOptions()
    (options.rate, options.weightDecay, options.clipNorm) = (8e-4, 0.02, 0.5)
    (options.beta1, options.beta2, options.averageDecay) = (0.9, 0.95, 0.9)
    let model = try start(golden)
    let trainer = try Trainer(model, options)
    var (losses, norms) = ([Float](), [Float]())
    for step in 0..<5 {
        let report = try trainer.step(batch(golden, step))
        losses.append(report.loss)
        norms.append(report.gradientNorm)
    }
    #expect(relativeError(losses, try golden.values("out.loss")) < 1e-4)
    #expect(relativeError(norms, try golden.values("out.norm")) < 1e-4)
    for (averaged, prefix) in [(false, "out.param"), (true, "out.average")] {
        let trained = try trainer.model(averaged: averaged)
        for name in model.weights.names {
            let before = try golden.values("param.\(name)")
            func change(_ after: [Float]) -> [Float] {
                var change = zip(after, before).map { $0 - $1 }
                // The key's bias has no gradient in exact arithmetic.
                if name.hasSuffix("attn.qkv.bias") { change.removeSubrange(16..<32) }
                return change
            }
            let (own, expected) = (
                change(try trained.weights[name].values),
                change(try golden.values("\(prefix).\(name)"))
            )
            #expect(relativeError(own, expected) < 1e-3, "\(prefix) \(name)")
        }
    }
}

@Test func partsOfABatchDrawTheSame() throws {
    let golden = try GoldenCase("training/mar_adamw")
    let model = try start(golden)
    func parameters(_ accumulation: Int, given: Bool) throws -> [Float] {
        var options = TrainerOptions()
        (options.accumulation, options.labelDropout, options.copies) = (accumulation, 0.5, 2)
        // One step of plain descent's size shows the gradients.
        (options.beta1, options.beta2, options.rate) = (0, 0, 1e-3)
        let trainer = try Trainer(model, options)
        let batch =
            try given ? batch(golden, 0) : Batch(randomTensor([2, 4, 4, 4], "x"), labels: [1, 4])
        return [try trainer.step(batch).loss]
    }
    for given in [false, true] {
        #expect(
            relativeError(try parameters(2, given: given), try parameters(1, given: given)) < 1e-5)
    }
}

@Test func dropoutIsOfTrainingAndAttentionsIsRefused() throws {
    let golden = try GoldenCase("training/mar_adamw")
    let model = try start(golden)
    func loss(_ change: (inout TrainerOptions) -> Void) throws -> Float {
        var options = TrainerOptions()
        change(&options)
        return try Trainer(model, options).gradients(batch(golden, 0)).loss
    }
    let plain = try loss { _ in }
    #expect(try loss { $0.dropout = 0.3 } != plain)
    #expect(try loss { ($0.dropout, $0.recompute) = (0.3, .blocks) } == loss { $0.dropout = 0.3 })
    #expect(try loss { $0.recompute = .blocks } == plain)
    for (change, expected) in [
        ({ $0.attentionDropout = 0.1 }, "attention_dropout: 0.1"),
        ({ $0.layerDecay = 0.5 }, "layer_decay: has no part in a MAR"),
    ] as [((inout TrainerOptions) -> Void, String)] {
        do {
            _ = try loss(change)
            Issue.record("\(expected) was taken")
        } catch let error as USPError { #expect(error.message.contains(expected)) }
    }
}
