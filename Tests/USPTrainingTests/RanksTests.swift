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
    _ kind: SmallRun, batch: Int, clipNorm: Float = 2, parts: Int? = nil, ranks: Ranks? = nil,
    reduction: DType = .float32, overlap: Bool = true
) throws -> Outcome {
    let run = try kind.start(
        clipNorm: clipNorm, batch: batch, parts: parts, ranks: ranks, reduction: reduction,
        overlap: overlap)
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
            let behind = try Meeting.run(2) {
                try outcome(kind, batch: batch, clipNorm: clipNorm, ranks: $0, overlap: false)
            }
            for result in behind { #expect(try result.get() == one) }
            // One part is a batch that is not cut.
            let whole = try outcome(kind, batch: batch, clipNorm: clipNorm)
            #expect(try outcome(kind, batch: batch, clipNorm: clipNorm, parts: 1) == whole)
        }
    }

    /// Values are rounded at each pair, within a rank and across ranks.
    @Test(arguments: [SmallRun.autoencoding, .pretraining, .fineTuning, .flowing])
    func reductionInBFloat16IsTheSameOnAnyNumberOfRanks(_ kind: SmallRun) throws {
        try alone {
            let one = try outcome(kind, batch: 8, parts: 8, reduction: .bfloat16)
            for count in [1, 2, 4, 8] {
                for overlap in [true, false] where count > 1 || overlap {
                    let all = try Meeting.run(count) {
                        try outcome(
                            kind, batch: 8, ranks: $0, reduction: .bfloat16, overlap: overlap)
                    }
                    for result in all { #expect(try result.get() == one) }
                }
            }
            let plain = try outcome(kind, batch: 8, parts: 8)
            #expect(plain.values != one.values && plain.losses[0] == one.losses[0])
            #expect(zip(plain.losses, one.losses).allSatisfy { abs($0 - $1) < 1e-2 * abs($0) })
        }
    }

    @Test func reductionsWithoutAPartAreRefused() throws {
        let model = try SmallRun.pretraining.start().trainer.model()
        func told(_ change: (inout TrainerOptions) throws -> Void) throws -> String {
            var options = TrainerOptions()
            options.reduction = .bfloat16
            try change(&options)
            return #expect(throws: USPError.self) { try Trainer(model, options) }?.message ?? ""
        }
        #expect(try told { _ in }.hasPrefix("reduction: bf16, but nothing is added in pairs"))
        #expect(
            try told { $0.ranks = try Ranks(rank: 0, count: 2) { _, _ in } }
                .hasPrefix("reduction: bf16"))
        let only = try told {
            guard var collectives = try Meeting(2).ranks(0).collectives else { return }
            collectives.exchange = nil
            $0.ranks = try Ranks(rank: 0, count: 2, collectives)
        }
        #expect(only.hasPrefix("reduction: bf16 needs ranks of MPI"))
        let probe = #expect(throws: USPError.self) {
            try SmallRun.probing.start(batch: 32, parts: 2, reduction: .bfloat16)
        }
        #expect(probe?.message.contains("running statistics") == true)
    }

    /// Buckets go out in the order in which rank 0 has completed them, from the second step on, whatever
    /// another one's order; who fails lets them through.
    @Test func exchangesGoOnWhoeverFails() throws {
        try alone {
            let count = 3 << 20
            let pieces = SlabPieces(count: count, ranks: 2)
            let all = try Meeting.run(2) { ranks -> (Float, Float, [Int]) in
                let values = try Tensor.filled([count], Float(1 + ranks.rank))
                let exchange = GradientExchange(
                    values, pieces, over: ranks, awaiting: [0..<5, 5..<1 << 20, (1 << 20)..<count],
                    order: [2, 1, 0], gathers: true, .float32, overlaps: true)
                exchange.complete(ranks.rank == 0 ? (1 << 20)..<count : 0..<5)
                if ranks.rank == 0 { exchange.complete(0..<5) }
                exchange.complete(5..<1 << 20)
                try exchange.finish()
                return (values.floats[0], values.floats[count - 1], exchange.completed)
            }.map { try $0.get() }
            #expect(all.map(\.0) == [3, 3] && all.map(\.1) == [3, 3])
            #expect(all.map(\.2) == [[1, 2, 0], [0]])
        }
    }

    /// Moments and average in shares: the state is one file, of which any number of ranks goes on.
    @Test(arguments: SmallRun.allCases, [0, 2] as [Float])
    func sharesChangeNoBit(_ kind: SmallRun, clipNorm: Float) throws {
        try alone {
            let path = NSTemporaryDirectory() + "usp-shares-\(getpid()).safetensors"
            defer { unlink(path) }
            let (parts, batch) = kind == .probing ? (2, 32) : (8, 8)
            @Sendable func start(_ ranks: Ranks, _ shard: Bool) throws -> SmallTraining {
                try kind.start(
                    clipNorm: clipNorm, batch: batch, parts: parts, ranks: ranks, shard: shard)
            }
            let one = try start(.alone, true)
            for _ in 0..<5 { try one.advance() }
            let average = try one.trainer.parameters(averaged: true)
            for (first, second) in [(2, 2), (4, 2), (1, 4), (8, 1)]
            where max(first, second) <= parts {
                let held = try Meeting.run(first) { ranks -> Int in
                    let run = try start(ranks, true)
                    for _ in 0..<3 { try run.advance() }
                    try run.trainer.save(path)
                    return run.trainer.updates.optimizer.first.count
                }
                let whole = one.trainer.updates.optimizer.first.count
                #expect(try held.map { try $0.get() }.reduce(0, +) == whole)
                let all = try Meeting.run(second) { ranks -> [[Float]] in
                    let run = try start(ranks, true)
                    try run.trainer.restore(path)
                    for _ in 0..<2 { try run.advance() }
                    let average = try run.trainer.parameters(averaged: true)
                    _ = try ranks.gather(values: [0])  // Nobody writes before all have read.
                    try run.trainer.save(path)
                    return try [run.trainer.parameters(), average].map {
                        try #require($0.slab).values
                    }
                }
                for result in all {
                    #expect(
                        try result.get()
                            == [one.trainer.parameters(), average].map { $0.slab?.values })
                }
                let archive = try Archive.open(path)
                let saved = try one.trainer.updates.state().flatMap { name, _ in
                    try archive.entry(name).dtype == .float32
                        ? archive.entry(name).tensor().values : []
                }
                #expect(try saved == one.values)
            }
        }
    }

    /// Arrays of several buckets, of which the last is not full.
    @Test func sharesOfManyBuckets() throws {
        try alone {
            for (count, ranks) in [
                (1, 2), (5_000, 4), (3 << 20, 8), (2_500_011, 4), (2_500_011, 64),
            ] {
                let pieces = SlabPieces(count: count, ranks: ranks)
                var next = 0
                for bucket in 0..<pieces.buckets {
                    for rank in 0..<ranks {
                        let piece = pieces.piece(bucket, of: rank)
                        #expect(piece.lowerBound == next)
                        #expect(piece.isEmpty || pieces.owner(of: piece.lowerBound) == rank)
                        #expect(piece.isEmpty || pieces.owner(of: piece.upperBound - 1) == rank)
                        next = piece.upperBound
                    }
                }
                #expect(next == count)
                #expect((0..<ranks).reduce(0) { $0 + pieces.count(of: $1) } == count)
            }
            let count = 2_500_011
            @Sendable func step(_ ranks: Ranks, _ shard: Bool) throws -> [Float] {
                let parameters = try Parameters([
                    ParameterSpec("a", [7], .normal(deviation: 1)),
                    ParameterSpec("b", [count], .normal(deviation: 1)),
                ])
                parameters.initialize(RandomKey(seed: 1))
                var options = TrainerOptions()
                (options.ranks, options.shard, options.clipNorm) = (ranks, shard, 1)
                (options.averageDecay, options.weightDecay) = (0.9, 0.1)
                let trainer = try ParameterTrainer(parameters, options)
                for step in 0..<2 {
                    try trainer.train(parts: 4) { context, part throws(USPError) in
                        let key = RandomKey(seed: UInt64(9 + step)).stream(
                            ranks.rank * 4 / ranks.count + part)
                        let output = try context.scale(parameters[1], by: 1)
                        return .seeded(
                            value: 1, output: output, gradient: try Tensor.normal([count], key))
                    }
                }
                return try #require(trainer.averaged().slab).values
                    + (parameters.slab?.values ?? [])
            }
            let one = try step(.alone, false)
            for count in [2, 4] {
                for result in try Meeting.run(count, { try step($0, true) }) {
                    #expect(try result.get() == one)
                }
            }
        }
    }

    @Test func ranksThatCanOnlySumHaveNoShares() throws {
        let model = try SmallRun.pretraining.start().trainer.model()
        var options = TrainerOptions()
        options.ranks = try Ranks(rank: 0, count: 2) { _, _ in }
        options.shard = true
        let told = #expect(throws: USPError.self) { try Trainer(model, options) }
        #expect(told?.message.hasPrefix("shard: these ranks can only sum") == true)
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
            @Sendable func train(
                _ name: String, _ ranks: Ranks, stopAt: Int? = nil, shard: Bool = false
            ) throws {
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
                (options.averageDecay, options.clipNorm, options.shard) = (0.9, 1, shard)
                let data = try DataSet(
                    latents: Tensor.normal([20, 4, 8, 8], RandomKey(seed: 4)), reading)
                var length = RunOptions()
                (length.steps, length.logEvery, length.averaged) = (6, 2, true)
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
            for count in [2, 4] {
                for result in try Meeting.run(count, { try train("shares", $0, shard: true) }) {
                    try result.get()
                }
                #expect(try files("shares") == files("whole1"))
                for ending in [".safetensors", "-state.safetensors"] {
                    unlink("\(folder)/shares\(ending)")
                }
            }
            for (first, second) in [(4, 1), (1, 4), (2, 8)] {
                let name = "cut\(first)\(second)"
                for count in [first, second] {
                    let stop = count == first ? 3 : nil
                    let shard = count == first  // Who goes on may hold all of it.
                    for result in try Meeting.run(
                        count, { try train(name, $0, stopAt: stop, shard: shard) })
                    {
                        try result.get()
                    }
                }
                #expect(try files(name) == files("whole1"))
            }
        }
    }
}
