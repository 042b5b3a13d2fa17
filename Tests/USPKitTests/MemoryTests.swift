// What a process holds: weights once, whether they lie in the file, packed, or in a trainer's slab.

import Foundation
import TestSupport
import Testing
import USPBase
import USPKit
import USPTensor

/// Bytes resident at most while the body runs, beyond those before it; nil where the system does
/// not forget an earlier peak.
private func peakGrowth(_ body: () throws -> Void) throws -> Int? {
    MemoryPool.shared.trim()
    guard let file = fopen("/proc/self/clear_refs", "w") else { return nil }
    defer { fclose(file) }
    guard fputs("5", file) >= 0, fflush(file) == 0 else { return nil }
    let before = try resident("VmRSS")
    try body()
    return try resident("VmHWM") - before
}

private func resident(_ field: String) throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix(field) }
    return (line?.split(separator: " ").dropLast().last).flatMap { Int($0) }.map { $0 << 10 } ?? 0
}

/// A DiT of 57 MB on disk; 16 tokens a sample, so that weights are nearly all there is.
private let sizes = {
    var sizes = DiT.Configuration()
    (sizes.grid, sizes.depth, sizes.classes) = (Grid(4, 4), 5, 10)
    return sizes
}()

private func withFile(_ body: (_ path: String, _ byteCount: Int) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "usp-memory-\(getpid()).safetensors"
    defer { unlink(path) }
    let byteCount = try {
        let model = try DiT(sizes, seed: 1)
        try model.save(path)
        return model.weights.parameters.specs.reduce(0) { $0 + $1.shape.count * 4 }
    }()
    try body(path, byteCount)
}

private let slack = 12 << 20

@Test(arguments: [(DType.float32, 1.0), (.bfloat16, 0.5)])
func aLoadedModelHoldsItsWeightsOnce(_ dtype: DType, share: Double) throws {
    try alone {
        try withFile { path, byteCount in
            var options = LoadOptions()
            options.compute = dtype
            let growth = try peakGrowth {
                let model = try DiT.load(path, options)
                let x = try Tensor.normal(model.inputShape(batch: 2), seed: 7)
                for _ in 0..<3 { _ = try model.forward(x, t: [3, 700], y: [1, 10]) }
            }
            guard let growth else { return }
            #expect(growth < Int(share * Double(byteCount)) + slack)
        }
    }
}

@Test func aTrainerHoldsWeightsMomentsAndAverage() throws {
    try alone {
        try withFile { path, byteCount in
            let growth = try peakGrowth {
                var options = TrainerOptions()
                options.averageDecay = 0.99
                let trainer = try Trainer(DiT.load(path), options)
                var batch = Batch(
                    try Tensor.normal([2, 4, 8, 8], seed: 7), labels: [1, 10])
                batch.times = [3, 700]
                for _ in 0..<3 { try trainer.step(batch) }
            }
            guard let growth else { return }
            #expect(growth < 4 * byteCount + slack)
        }
    }
}

@Test func steadyInferenceTakesNoMemory() throws {
    try alone {
        let model = try DiT(sizes, seed: 1)
        let x = try Tensor.normal(model.inputShape(batch: 2), seed: 7)
        for _ in 0..<2 { _ = try model.forward(x, t: [3, 700], y: [1, 10]) }
        let before = MemoryPool.shared.systemAllocations
        for _ in 0..<5 { _ = try model.forward(x, t: [3, 700], y: [1, 10]) }
        #expect(MemoryPool.shared.systemAllocations == before)
    }
}
