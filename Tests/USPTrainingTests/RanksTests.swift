// Any number of ranks ends with the same bits, and with the same errors.

import Foundation
import TestSupport
import Testing
import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// Values and losses of some steps.
private struct Outcome: Sendable, Equatable { let values, losses: [Float] }

private func outcome(
    _ kind: SmallRun, batch: Int, clipNorm: Float = 2, parts: Int? = nil, ranks: Ranks? = nil
) throws -> Outcome {
    let run = try kind.start(clipNorm: clipNorm, batch: batch, parts: parts, ranks: ranks)
    let losses = try (0..<3).map { _ in try run.advance().loss }
    return Outcome(values: try run.values, losses: losses)
}

@Suite struct RanksTests {
    /// Probes normalise over the batch: their parts are of 16 samples or more.
    @Test(arguments: SmallRun.allCases, [0, 2] as [Float])
    func theNumberOfRanksChangesNoBit(_ kind: SmallRun, clipNorm: Float) throws {
        try alone {
            let parts = kind == .probing ? 2 : 8
            let batch = kind == .probing ? 32 : 8
            let one = try outcome(kind, batch: batch, clipNorm: clipNorm, parts: parts)
            for count in [1, 2, 4, 8] where count <= parts {
                let all = try Meeting.run(count) {
                    try outcome(kind, batch: batch, clipNorm: clipNorm, ranks: $0)
                }
                for result in all { #expect(try result.get() == one) }
            }
            // One part is a batch that is not cut.
            let whole = try outcome(kind, batch: batch, clipNorm: clipNorm)
            #expect(try outcome(kind, batch: batch, clipNorm: clipNorm, parts: 1) == whole)
        }
    }

    /// Gradients of a loss that is linear in the sample: the sum's order can be read off.
    @Test func partsAreSummedInPairs() throws {
        try alone {
            let values: [Float] = [1, 1e8, -1e8, 1, 3, -7e7, 7e7, 2]
            let expected =
                ((values[0] + values[1]) + (values[2] + values[3]))
                + ((values[4] + values[5]) + (values[6] + values[7]))
            #expect(Ranks.pairwiseSum(values) == expected)
            #expect(values.reduce(0, +) != expected)
            for count in [1, 2, 4] {
                let sums = try Meeting.run(count) { ranks -> [Float] in
                    let parameters = try smallParameters()
                    var options = TrainerOptions()
                    (options.rate, options.ranks) = (1, ranks)
                    let trainer = try ParameterTrainer(
                        parameters, options, rule: .lars(momentum: 0, trust: 1))
                    let own = 8 / count
                    try trainer.train(parts: 8) { (context, part) throws(USPError) in
                        try lossOfVector(parameters, [values[ranks.rank * own + part], 0])(
                            context, part)
                    }
                    return try #require(parameters.gradients).values
                }
                for sum in sums { #expect(try sum.get().contains(expected)) }
            }
        }
    }

    @Test func anErrorOfOneRankIsAnErrorOfAll() throws {
        try alone {
            let all = try Meeting.run(4) { ranks -> String in
                let run = try SmallRun.pretraining.start(batch: 4, ranks: ranks)
                try run.advance()
                let before = try run.values
                let bad = try Tensor.filled([1, 4, 8, 8], ranks.rank == 2 ? .nan : 1)
                let error = #expect(throws: USPError.self) { try run.trainer.step(Batch(bad)) }
                #expect(error?.kind == .notFinite && run.trainer.steps == 1)
                #expect(try run.values == before && ranks.hasFailedTogether)
                return error?.message ?? ""
            }
            for text in all {
                #expect(try text.get() == "rank 2: training step 2: the loss is nan")
            }
        }
    }

    @Test func differentOptionsAreToldAtTheFirstStep() throws {
        try alone {
            let all = try Meeting.run(2) { ranks -> String in
                let model = try ViT(
                    ViT.Configuration(
                        TransformerSizes(
                            grid: Grid(2, 2), channels: 4, patch: 1, width: 8, depth: 1, heads: 1),
                        pool: .avg, head: .linear, classes: 3), key: RandomKey(seed: 1))
                var options = TrainerOptions()
                (options.ranks, options.labelSmoothing) = (ranks, ranks.rank == 0 ? 0.1 : 0.2)
                let batch = Batch(try Tensor.zeros([2, 4, 2, 2]), labels: [0, 1])
                let trainer = try Trainer(model, options)
                return #expect(throws: USPError.self) { try trainer.step(batch) }?.message ?? ""
            }
            for text in all {
                #expect(
                    try text.get()
                        == "rank 1: label_smoothing 0.2, rank 0 has 0.1; all ranks are given the same"
                )
            }
        }
    }

    /// The original's multi-node bug: every node reads the same.
    @Test func dataWithoutTheTrainersRanksIsRefused() throws {
        try alone {
            let run = try SmallRun.pretraining.start(batch: 4, ranks: Meeting(2).ranks(1))
            var reading = DataOptions()
            reading.batch = 4
            let data = try DataSet(latents: Tensor.zeros([4, 4, 8, 8]), reading)
            let told = #expect(throws: USPError.self) {
                try Run(run.trainer, on: data, to: "/tmp/never.safetensors", RunOptions())
            }
            #expect(
                told?.message
                    == "run: the trainer is rank 1 of 2, the data is rank 0 of 1: give both the same "
                    + "ranks")
        }
    }

    @Test func sharesOfOtherSizesAreToldToAll() throws {
        try alone {
            let all = try Meeting.run(2) { ranks -> String in
                let run = try SmallRun.pretraining.start(batch: 4, ranks: ranks)
                try run.advance()
                let batch = Batch(try Tensor.zeros([ranks.rank == 0 ? 4 : 8, 4, 8, 8]))
                return #expect(throws: USPError.self) { try run.trainer.step(batch) }?.message ?? ""
            }
            for text in all {
                #expect(
                    try text.get()
                        == "rank 1: 8 parts, rank 0 has 4: all ranks give as many samples")
            }
        }
    }

    @Test func partsThatDoNotFitAreRefused() throws {
        try alone {
            func told(_ batch: Int, _ change: (inout TrainerOptions) -> Void) -> String {
                var options = TrainerOptions()
                change(&options)
                return #expect(throws: USPError.self) { try options.parts(of: batch) }?.message
                    ?? ""
            }
            #expect(
                told(12) { $0.parts = 3 }
                    == "parts: 3, expected a power of two that divides the batch of 12")
            #expect(told(12) { $0.parts = 8 }.contains("divides the batch of 12"))
            let eight = try Meeting(8).ranks(1)
            #expect(told(12) { $0.ranks = eight }.hasPrefix("8 ranks: the batch of 12 has 4 parts"))
            var options = TrainerOptions()
            #expect(
                try [1, 6, 64, 96, 1024].map { try options.parts(of: $0) } == [1, 2, 64, 32, 64])
            (options.ranks, options.accumulation) = (eight, 2)
            let model = try VAE(
                {
                    var sizes = VAE.Configuration(); sizes.baseWidth = 8; sizes.groups = 4;
                    return sizes
                }(),
                key: RandomKey(seed: 1))
            let both = #expect(throws: USPError.self) { try Trainer(model, options) }
            #expect(both?.message.hasPrefix("accumulation: 2, but parts cut the batch") == true)
            (options.ranks, options.accumulation) = (try Meeting(3).ranks(0), 1)
            let three = #expect(throws: USPError.self) { try Trainer(model, options) }
            #expect(three?.message.hasPrefix("3 ranks: gradients are summed in pairs") == true)
        }
    }

    /// Files and log of a run, but for times, are those of one rank; a run goes on with any number.
    @Test func runsOfAnyNumberOfRanksWriteTheSameFiles() throws {
        try alone {
            let folder = NSTemporaryDirectory() + "usp-ranks-\(getpid())"
            mkdir(folder, 0o755)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            @Sendable func train(_ name: String, _ ranks: Ranks, stopAt: Int? = nil) throws {
                let model = try MaskedAutoencoder(
                    MaskedAutoencoder.Configuration(
                        TransformerSizes(
                            grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
                        decoderWidth: 16, decoderDepth: 1, decoderHeads: 2),
                    key: RandomKey(seed: 3))
                var (options, reading) = (TrainerOptions(), DataOptions())
                (options.ranks, options.rate, reading.ranks, reading.batch) = (
                    ranks, 1e-3, ranks, 8
                )
                let data = try DataSet(
                    latents: Tensor.normal([20, 4, 8, 8], RandomKey(seed: 4)), reading)
                var length = RunOptions()
                (length.steps, length.logEvery) = (6, 2)
                let run = try Run(
                    Trainer(model, options), on: data, to: "\(folder)/\(name).safetensors", length)
                do throws(USPError) {
                    try run.train(progress: { told throws(USPError) in
                        // One rank is asked, all stop.
                        if told.report.step == stopAt, ranks.rank == ranks.count - 1 {
                            run.cancel()
                        }
                    })
                } catch { guard stopAt != nil, error.kind == .cancelled else { throw error } }
            }
            func files(_ name: String) throws -> [Data] {
                let log = try String(contentsOfFile: "\(folder)/\(name)-log.jsonl", encoding: .utf8)
                let lines = log.split(separator: "\n").map {
                    $0.components(separatedBy: ",\"images_per_second")[0]
                }
                return try [".safetensors", "-state.safetensors"].map {
                    try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)\($0)"))
                } + [Data(lines.joined(separator: "\n").utf8)]
            }
            for count in [1, 2, 4, 8] {
                for result in try Meeting.run(count, { try train("whole\(count)", $0) }) {
                    try result.get()
                }
            }
            for count in [2, 4, 8] { #expect(try files("whole\(count)") == files("whole1")) }
            for (first, second) in [(4, 1), (1, 4), (2, 8)] {
                let name = "cut\(first)\(second)"
                for count in [first, second] {
                    let stop = count == first ? 3 : nil
                    for result in try Meeting.run(count, { try train(name, $0, stopAt: stop) }) {
                        try result.get()
                    }
                }
                #expect(try files(name) == files("whole1"))
            }
        }
    }
}
