// Stopping, cutting and cancelling change nothing of what training computes.

import Foundation
import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor
import USPTraining

@Test(arguments: SmallRun.allCases)
func resumedTrainingEqualsUninterrupted(_ kind: SmallRun) throws {
    try alone {
        let whole = try kind.start()
        for _ in 0..<8 { try whole.advance() }
        let path = NSTemporaryDirectory() + "usp-resume-\(getpid()).safetensors"
        defer { unlink(path) }
        let first = try kind.start()
        for _ in 0..<5 { try first.advance() }
        try first.trainer.save(path)
        let second = try kind.start()
        try second.trainer.restore(path)
        #expect(second.trainer.steps == 5)
        for _ in 0..<3 { try second.advance() }
        #expect(try second.values == whole.values)
    }
}

@Test(arguments: SmallRun.allCases) func threadsDoNotChangeTraining(_ kind: SmallRun) throws {
    try alone {
        var results: [[Float]] = []
        for threads in [1, 2] {
            useThreads(threads)
            let run = try kind.start()
            for _ in 0..<4 { try run.advance() }
            results.append(try run.values)
        }
        #expect(results[0] == results[1])
    }
}

@Test(arguments: SmallRun.allCases, [0, 2] as [Float])
func steadyTrainingTakesNoMemory(_ kind: SmallRun, clipNorm: Float) throws {
    try alone {
        let run = try kind.start(clipNorm: clipNorm)
        for _ in 0..<4 { try run.advance() }
        let before = MemoryPool.shared.systemAllocations
        for _ in 0..<6 { try run.advance() }
        #expect(MemoryPool.shared.systemAllocations == before)
    }
}

@Test(arguments: SmallRun.allCases) func updatingOneByOneChangesNothing(_ kind: SmallRun) throws {
    try alone {
        // A norm that is never reached needs all gradients at once, and scales none.
        let (single, together) = (try kind.start(clipNorm: 0), try kind.start(clipNorm: 1e30))
        for _ in 0..<4 { #expect(try single.advance().loss == together.advance().loss) }
        #expect(try single.values == together.values)
        #expect(kind == .probing || single.trainer.updates.parameters.gradients == nil)
    }
}

@Test(arguments: SmallRun.allCases, [.float32, .bfloat16] as [DType])
func recomputingChangesNothing(_ kind: SmallRun, compute: DType) throws {
    try alone {
        for clipNorm in [0, 2] as [Float] {
            let kept = try kind.start(clipNorm: clipNorm, compute: compute)
            let others = try [Recomputation.hidden, .blocks].map {
                try kind.start(clipNorm: clipNorm, compute: compute, recomputes: $0)
            }
            for _ in 0..<4 {
                let loss = try kept.advance().loss
                for again in others { #expect(try again.advance().loss == loss) }
            }
            for again in others { #expect(try again.values == kept.values) }
        }
    }
}

@Test func microBatchesAddUpToTheBatch() throws {
    let kind = SmallRun.pretraining
    let (whole, cut) = (try kind.start(), try kind.start(accumulation: 2))
    for _ in 0..<3 {
        let (a, b) = (try whole.advance(), try cut.advance())
        #expect(abs(a.loss - b.loss) < 1e-5 * abs(a.loss))
    }
}

@Test func cancellingStopsOneStep() throws {
    let run = try SmallRun.pretraining.start()
    try run.advance()
    let before = try run.values
    run.trainer.cancel()
    #expect(throws: USPError.self) { try run.advance() }
    #expect(try run.values == before)
    try run.advance()
    #expect(run.trainer.steps == 2)
}

@Test func lossesThatAreNotFiniteChangeNothing() throws {
    let run = try SmallRun.pretraining.start()
    let before = try run.values
    #expect(throws: USPError(.notFinite, "training step 1: the loss is nan")) {
        try run.trainer.updates.train { (_, _) throws(USPError) in .scalar(try Tensor.scalar(.nan))
        }
    }
    #expect(try run.values == before && run.trainer.steps == 0)
}
