// Stopping, cutting and cancelling change nothing of what training computes.

import Foundation
import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor
import USPTraining

private let sizes = MaskedAutoencoderConfiguration(
    encoder: ViTConfiguration(grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
    decoderWidth: 16, decoderDepth: 1, decoderHeads: 2)

/// Masked pretraining of a small model on 32 fixed latents, four at a step.
private func pretraining(accumulation: Int = 1) throws -> TrainingRun {
    let model = try MaskedAutoencoder(sizes, key: RandomKey(seed: 3))
    let latents = try Tensor.normal([32, 4, 8, 8], RandomKey(seed: 4))
    var options = TrainerOptions()
    options.optimizer = .pretraining
    options.weightDecay = 0.05
    options.averageDecay = 0.9
    options.accumulation = accumulation
    options.schedule = Schedule(rate: 1e-3, warmup: 2, steps: 8)
    return try TrainingRun(
        Trainer(model.parameters, options), count: 32, batch: 4, seed: 5,
        loss: TrainingTask.masking(
            model, latents: { (indices) throws(USPError) in try latents.gatherRows(indices) }))
}

/// All slabs of a run, one after the other.
private func values(_ run: TrainingRun) throws -> [Float] {
    try run.trainer.state().filter { $0.tensor.dtype == .float32 }.flatMap(\.tensor.values)
}

@Test func resumedTrainingEqualsUninterrupted() throws {
    try alone {
        let whole = try pretraining()
        for _ in 0..<8 { try whole.advance() }
        let path = NSTemporaryDirectory() + "usp-resume-\(getpid()).safetensors"
        defer { unlink(path) }
        let first = try pretraining()
        for _ in 0..<5 { try first.advance() }
        try first.trainer.save(path)
        let second = try pretraining()
        try second.trainer.resume(path)
        #expect(second.step == 5)
        for _ in 0..<3 { try second.advance() }
        #expect(try values(second) == values(whole))
    }
}

@Test func threadsDoNotChangeTraining() throws {
    try alone {
        let before = ThreadPool.shared.threads
        defer { ThreadPool.shared.threads = before }
        var results: [[Float]] = []
        for threads in [1, 2] {
            ThreadPool.shared.threads = threads
            let run = try pretraining()
            for _ in 0..<4 { try run.advance() }
            results.append(try values(run))
        }
        #expect(results[0] == results[1])
    }
}

@Test func microBatchesAddUpToTheBatch() throws {
    let (whole, cut) = (try pretraining(), try pretraining(accumulation: 2))
    for _ in 0..<3 {
        let (a, b) = (try whole.advance(), try cut.advance())
        #expect(abs(a.loss - b.loss) < 1e-5 * abs(a.loss))
    }
}

@Test func cancellingStopsOneStep() throws {
    let run = try pretraining()
    try run.advance()
    let before = try values(run)
    run.trainer.cancellation.cancel()
    #expect(throws: USPError.self) { try run.advance() }
    #expect(try values(run) == before)
    try run.advance()
    #expect(run.step == 2)
}

@Test func lossesThatAreNotFiniteChangeNothing() throws {
    let run = try pretraining()
    let before = try values(run)
    #expect(throws: USPError.self) {
        try run.trainer.train { (_, _) throws(USPError) in .scalar(try Tensor.scalar(.nan)) }
    }
    #expect(try values(run) == before && run.step == 0)
}
