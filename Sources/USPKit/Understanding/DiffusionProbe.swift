// Where a diffusion transformer knows the classes: USP's second observation.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// Linear probes of a diffusion transformer after its blocks, at times of its process.
public enum DiffusionProbe {
    /// Which blocks and times, and how a probe is trained.
    public struct Options: Sendable {
        public var times: [Float] = []
        public var blocks: [Int] = []
        public var samples: Int? = 5_000
        public var testSamples: Int?
        public var steps = 200
        public var finalEpochs = 90.0
        public var batch = 500
        public var rate: Float?
        public var seed: UInt64 = 0

        public init() {}
    }

    /// What is being done.
    public struct Progress: Sendable {
        /// `features`, `probes`, `best cell`
        public let part: String
        public let done: Int
        public let all: Int
        /// What is counted.
        public var unit: String {
            ["probes": "probes", "best cell": "steps"][part] ?? "images"
        }
    }

    public typealias Tell = (Progress) throws(USPError) -> Void

    /// Accuracies, a row for each block and a column for each time.
    struct Map {
        let blocks: [Int]
        let times: [Float]
        var cells: [[Double]]
        var rate: Float
        /// Of the most accurate cell.
        var best: (row: Int, column: Int)
        /// Its accuracy after the long training; nil without one.
        var final: Double?
    }

    /// Probes every cell for a few steps, and the best one to the end.
    ///
    /// Features are the tokens' mean for the null class, on latents as noisy as the time says; the pass
    /// of a time gives those of all blocks, and is made once.
    ///
    /// - data: latents with labels, or images with their autoencoder
    /// - validation: of the same classes; nil: every fifth sample of `data` is kept for it
    /// - Throws: `.argument` for data without labels, for a block or time that the model does not
    ///   have, and for a model without a null class
    public static func measure(
        _ model: DiT, on data: DataSet, validation: DataSet? = nil, _ options: Options,
        progress: Tell = { _ in }
    ) throws(USPError) -> Measurement {
        try options.checkFields()
        try options.check(model)
        try data.requireLabels()
        let encoded = try data.with(data.options.measuring(.middle)).encoded {
            done, all throws(USPError) in
            try progress(Progress(part: "encode", done: done, all: all))
        }
        var (known, test) = (encoded, encoded)
        if let validation {
            try validation.requireLabels()
            let named = try validation.numbered(as: data.classNames)
            test = try named.with(named.options.measuring(.middle)).encoded {
                done, all throws(USPError) in
                try progress(Progress(part: "encode", done: done, all: all))
            }
        } else {
            try require(
                data.count >= 10, .argument,
                "\(data.place): \(data.count) samples, of which a fifth is kept to measure on; give "
                    + "others for that")
            known = try encoded.selecting((0..<data.count).filter { $0 % 5 != 4 })
            test = try encoded.selecting((0..<data.count).filter { $0 % 5 == 4 })
        }
        known = try known.spread(options.samples)
        test = try test.spread(options.testSamples)
        let classes = max(known.classes, test.classes)
        let map = try map(
            model, known, test, classes: classes, options, finalEpochs: options.finalEpochs,
            progress)
        return measurement(map, model, known, test, options)
    }

    /// - finalEpochs: passes over the best cell's features at the end; 0: none
    static func map(
        _ model: DiT, _ known: DataSet, _ test: DataSet, classes: Int, _ options: Options,
        finalEpochs: Double, _ progress: Tell
    ) throws(USPError) -> Map {
        let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
        try require(
            known.sampleShape == wanted && test.sampleShape == wanted, .shape,
            "latents \(known.sampleShape), the model takes \(wanted)")
        let times = options.times.isEmpty ? model.usualTimes : options.times
        let blocks = options.blocks.isEmpty ? Array(1...model.blocks.count) : options.blocks
        let labels = (try known.everyLabel(), try test.everyLabel())
        var result = Map(
            blocks: blocks, times: times,
            cells: blocks.map { _ in times.map { _ in 0 } }, rate: options.rate ?? 1,
            best: (0, 0), final: nil)
        var probe = LinearProbe(
            steps: options.steps, batch: options.batch, rate: result.rate, seed: options.seed)
        var best: (known: Tensor, test: Tensor, accuracy: Double)?
        let all = times.count * (known.count + test.count)
        for (column, time) in times.enumerated() {
            var done = column * (known.count + test.count)
            func seen(_ count: Int) throws(USPError) {
                done += count
                try progress(Progress(part: "features", done: done, all: all))
            }
            let own = try model.features(known, blocks, time, options.seed, seen)
            let other = try model.features(test, blocks, time, options.seed &+ 1, seen)
            if column == 0 && options.rate == nil {
                probe.rate = try probe.bestRate(
                    of: [0.3, 1, 3, 10, 30], own[blocks.count / 2], labels.0, classes: classes)
                result.rate = probe.rate
            }
            for row in blocks.indices {
                let found = try probe.accuracy(
                    (own[row], labels.0), (other[row], labels.1), classes: classes)
                result.cells[row][column] = found
                if found > best?.accuracy ?? -1 {
                    (best, result.best) = ((own[row], other[row], found), (row, column))
                }
                try progress(
                    Progress(
                        part: "probes", done: column * blocks.count + row + 1,
                        all: times.count * blocks.count))
            }
        }
        guard finalEpochs > 0, let best else { return result }
        let size = min(options.batch, known.count)
        probe.steps = max(Int(min(finalEpochs * Double(known.count / size), 1e7)), options.steps)
        let steps = probe.steps
        result.final = try probe.accuracy(
            (best.known, labels.0), (best.test, labels.1), classes: classes
        ) { step throws(USPError) in
            try progress(Progress(part: "best cell", done: step, all: steps))
        }
        return result
    }

    private static func measurement(
        _ map: Map, _ model: DiT, _ known: DataSet, _ test: DataSet, _ options: Options
    ) -> Measurement {
        let (row, column) = map.best
        var best: [JSON.Member] = [
            .init("block", .integer(map.blocks[row])), .init("time", number(map.times[column])),
            .init("accuracy", .number(map.cells[row][column])),
        ]
        if let final = map.final { best.append(.init("trained", .number(final))) }
        let numbers = JSON.object([
            .init("family", .string(model.family)),
            .init("noise_at", .integer(model.isNoiseAtTheEnd ? 1 : 0)),
            .init("samples", .integer(known.count)), .init("test_samples", .integer(test.count)),
            .init("data", .string(known.summary)), .init("settings", .string(options.text)),
            .init("rate", number(map.rate)),
            .init("blocks", .array(map.blocks.map(JSON.integer))),
            .init("times", .array(map.times.map(number))),
            .init(
                "accuracy",
                .array(map.cells.map { .array($0.map(JSON.number)) })),
            .init("best", .object(best)),
        ])
        let titles = map.times.map { "t \(timeText($0))" }
        let head = "block" + titles.map { padded($0, 9) }.joined()
        let rows = zip(map.blocks, map.cells).map { block, cells in
            padded("\(block)", 5) + cells.map { padded(decimal(100 * $0, 1), 9) }.joined()
        }
        let words =
            "best: block \(map.blocks[row]) at t \(timeText(map.times[column])), "
            + "\(decimal(100 * map.cells[row][column], 2)) %"
            + (map.final.map { "; trained to the end \(decimal(100 * $0, 2)) %" } ?? "")
        let picture = HeatMap(
            title: "Accuracy (%) of linear probes of a \(model.family)",
            rows: map.blocks.map { "block \($0)" }, columns: titles,
            values: map.cells.map { $0.map { 100 * $0 } },
            note: words + (model.isFlow ? "; \(model.timeNote)" : "; t 0 is the least noise"))
        return Measurement(
            numbers: numbers, table: ([head] + rows + [words]).joined(separator: "\n"),
            pictures: [.init(name: "map", svg: picture.file)])
    }

    private static func number(_ value: Float) -> JSON {
        .number(Double(value.description) ?? Double(value))
    }

    private static func timeText(_ time: Float) -> String {
        levelText(Double(time.description) ?? Double(time))
    }
}

extension DiT {
    var isFlow: Bool { configuration.isFlow }

    /// Whether time grows with the noise.
    fileprivate var isNoiseAtTheEnd: Bool { !isFlow || configuration.noiseTime == 1 }

    fileprivate var timeNote: String { isNoiseAtTheEnd ? "t 1 is noise" : "t 1 is data" }

    /// From the least noise.
    var usualTimes: [Float] {
        guard isFlow else { return [0, 50, 100, 200, 300, 400, 500, 700] }
        let shares: [Float] = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7]
        return isNoiseAtTheEnd ? shares : [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3]
    }

    /// Means of the tokens after these blocks at a time: `[N, D]` each.
    fileprivate func features(
        _ data: DataSet, _ blocks: [Int], _ time: Float, _ seed: UInt64,
        _ seen: (_ count: Int) throws(USPError) -> Void
    ) throws(USPError) -> [Tensor] {
        var result: [Tensor] = []
        for _ in blocks { result.append(try Tensor([data.count, configuration.width])) }
        let (signal, noise): (Float, Float)
        if isFlow {
            let share = isNoiseAtTheEnd ? time : 1 - time
            (signal, noise) = (1 - share, share)
        } else {
            (signal, noise) = try InputNoise.ddpm.weights(Double(time) + 1)
        }
        try inBatches(data.count, 64) { range throws(USPError) in
            let latents = try data.samples(range).inputs.noised(
                signal: signal, noise: noise, seed: seed, first: range.lowerBound)
            let means = try featuresOfBlocks(
                latents, t: [Float](repeating: time, count: range.count))
            for (place, block) in blocks.enumerated() {
                try result[place].detachedRows(range).copy(from: means[block - 1])
            }
            try seen(range.count)
        }
        return result
    }
}

extension DataSet {
    /// So many of the samples, evenly, or all.
    fileprivate func spread(_ wanted: Int?) throws(USPError) -> DataSet {
        guard let wanted, wanted < count else { return self }
        return try selecting((0..<wanted).map { $0 * count / wanted })
    }

    fileprivate func everyLabel() throws(USPError) -> [Int] {
        guard let labels else { throw USPError(.argument, "\(place): no labels") }
        return labels
    }
}

extension DiffusionProbe.Options: Described {
    public static let title = "probe of a diffusion transformer"
    public static let members = [
        CMember("usp_progress_fn", "progress", "Told how far it is; NULL tells nobody."),
        CMember("void *", "progress_user", "Given to progress."),
    ]

    public static let fields: [Field<Self>] = [
        .reals(
            "times", \.times, FieldRange(0, 999),
            "Times on the model's scale: steps 0 to 999 of a DiT; 0 to 1 of a flow, where 1 is data "
                + "(SiT) or noise (REPA, its file tells). Empty: eight steps up to 700, or seven shares "
                + "of noise up to 0.7."),
        .integers("blocks", \.blocks, .size, "Blocks, from 1. Empty: all."),
        .integer(
            "samples", \.samples, .from(2),
            "Samples to learn from, evenly over the data; absent: all."),
        .integer(
            "test_samples", \.testSamples, .from(1), "Samples to measure on; absent: all."),
        .integer("steps", \.steps, FieldRange(1, 1e6), "Steps of the probe of a cell."),
        .real(
            "final_epochs", \.finalEpochs, FieldRange(0, 1e5),
            "Passes over the samples by which the best cell is trained to the end; 0: it is not."),
        .integer("batch", \.batch, .from(1), "Features of a step."),
        .real(
            "rate", \.rate, .notNegative,
            "LARS's rate for a batch of 256, in proportion for others; absent: the best of 0.3, 1, 3, 10 "
                + "and 30 on a tenth of the samples, on the middle block at the first time."),
        .seed("seed", \.seed, "Seed of the noise, of the probes and of their order."),
    ]

    fileprivate func check(_ model: DiT) throws(USPError) {
        for block in blocks {
            try require(
                block <= model.blocks.count, .argument,
                "blocks: \(block), the model has \(model.blocks.count)")
        }
        for time in times {
            try require(
                model.isFlow ? time <= 1 : time == time.rounded(), .argument,
                "times: \(time), expected "
                    + (model.isFlow
                        ? "0 to 1 of a \(model.family)" : "whole steps, 0 to 999, of a DiT"))
        }
    }
}
