// One run of training: it resumes, logs, saves, and goes on to the same bits after an interruption.

import Synchronization
import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor

/// A trainer on a data set, from step to step up to a number. One thread at a time, except for
/// `cancel`.
///
/// Beside the model OUT stand OUT-state.safetensors, of which a run with the same options goes on,
/// and OUT-log.jsonl; OUT-run.lock keeps other runs away until `train` returns. A run that ends early
/// has saved all three; only rank 0 writes.
public final class Run {
    /// A number that an evaluation gives, such as `top1`.
    public struct Metric: Sendable, Equatable {
        public let name: String
        public let value: Double
        public init(_ name: String, _ value: Double) { (self.name, self.value) = (name, value) }
    }

    /// A picture that an evaluation has drawn.
    package struct Preview: Sendable {
        package let name: String
        package let picture: PixelImage
        package init(_ name: String, _ picture: PixelImage) {
            (self.name, self.picture) = (name, picture)
        }
    }

    /// Where a run stands after a step.
    public struct Progress: Sendable {
        public let report: StepReport
        /// Steps in all.
        public let steps: Int
        public let epoch: Double
        /// Since the call began.
        public let imagesPerSecond: Double
        public let seconds: Double
        /// What was measured after this step; empty where nothing was.
        public let metrics: [Metric]
    }

    public let trainer: Trainer
    public let data: DataSet
    public let options: RunOptions
    /// Steps in all.
    public let steps: Int
    /// Steps that an earlier run had made.
    public let resumed: Int
    /// What the last evaluation has drawn, for event files.
    package var previews: () -> [Preview] = { [] }
    let files: RunFiles
    /// All that the bits of the result depend on.
    private let record: [(name: String, value: String)]
    private let heading: JSON
    private let ranks: Ranks
    private var window: LossWindow
    /// What all ranks know of the samples that any of them has read.
    private var knownSamples: [Int] = []
    /// Held from the beginning to the end of `train`.
    private var lock: FileLock?
    private let cancelled = Atomic<Bool>(false)
    private let wantsSave = Atomic<Bool>(false)
    private let busy = Atomic<Bool>(false)

    /// Goes on from the state of an earlier run with the same options, if there is one.
    ///
    /// - trainer: fresh
    /// - output: the model's file, `.safetensors` or `.pt`
    /// - record: what else the bits of the result depend on
    /// - heading: what else the first line of the log says
    /// - Throws: `.argument` naming the first option that differs from the earlier run's; `.io` if
    ///   the folder cannot be written, or another run writes there
    public init(
        _ trainer: Trainer, on data: DataSet, to output: String, _ options: RunOptions,
        record: [(name: String, value: String)] = [], heading: [(name: String, value: String)] = []
    ) throws(USPError) {
        try require(
            trainer.steps == 0, .argument,
            "run: the trainer has made \(trainer.steps) steps, expected a fresh one")
        try require(
            data.stepsPerEpoch > 0, .argument,
            "batch \(data.options.batch): there are \(data.count) samples")
        (self.trainer, self.options) = (trainer, options)
        let ranks = trainer.options.ranks ?? .alone
        let reading = data.options.ranks ?? .alone
        try require(
            (ranks.rank, ranks.count) == (reading.rank, reading.count), .argument,
            "run: the trainer is rank \(ranks.rank) of \(ranks.count), the data is rank "
                + "\(reading.rank) of \(reading.count): give both the same ranks")
        let (files, lock, found) = try ranks.together { () throws(USPError) in
            let files = try RunFiles(output, writes: ranks.writes)
            let lock = ranks.writes ? try files.lock() : nil
            let found = options.restart ? data : try Run.data(data, continuing: output)
            return (files, lock, found)
        }
        (self.ranks, self.files, self.lock, self.data) = (ranks, files, lock, found)
        try trainer.describe(found)
        steps = try options.length(stepsPerEpoch: found.stepsPerEpoch)
        let all = try trainer.record(on: found) + record
        self.record = all
        let told = [(name: "command", value: options.command)] + heading + all
        self.heading = .object(
            told.map { JSON.Member($0.name, JSON(logged: $0.value)) }
                + [.init("total_steps", .integer(steps))])
        // Last what follows from the others: weights that another seed has drawn.
        try ranks.agree(
            all.filter { $0.name != "model" } + [("steps", "\(steps)")]
                + all.filter { $0.name == "model" })
        window = try ranks.together { () throws(USPError) in
            guard !options.restart, FolderListing.isFile(files.state) else { return LossWindow() }
            return try files.resume(trainer, all)
        }
        resumed = trainer.steps
        // Nor does any of them go on, and save, before all have read what an earlier run has left.
        try ranks.agree([("steps done", "\(resumed)")])
    }

    /// The data set as the earlier run saw it that would be gone on with: images that are gone since
    /// then have their numbers still, if others may take their places.
    ///
    /// - Throws: `.argument` naming images that are others than the earlier run has seen
    public static func data(
        _ data: DataSet, continuing output: String
    ) throws(USPError) -> DataSet {
        let state = try RunFiles(output, writes: false).state
        guard FolderListing.isFile(state) else { return data }
        return try data.continuing(Archive.open(state), state)
    }

    /// Whether a run can write its files beside this one: before long work.
    ///
    /// - start: the file that the model starts from
    /// - Throws: `.argument` for an ending that no model has, and for an output that is the start as
    ///   well; `.io` if the folder cannot be written
    public static func checkOutput(_ output: String, from start: String? = nil) throws(USPError) {
        let files = try RunFiles(output, writes: true)
        guard let start else { return }
        for path in [files.model, files.state] where FolderListing.areSame(path, start) {
            throw USPError(
                .argument,
                "\(path): is what the run starts from, and would be written over; give another output"
            )
        }
    }

    /// Trains to the end, and writes the model.
    ///
    /// - progress: told after every step, on the caller's thread; its error ends the run, which is
    ///   saved before if it is `.cancelled`
    /// - evaluate: called at the end of each epoch and of the run, and as `evaluate_every` says; the numbers that it gives are
    ///   logged
    /// - Returns: those of the model at the end
    /// - Throws: `.cancelled` when stopped, and everything is saved then; `.notFinite`
    @discardableResult
    public func train(
        progress: (Progress) throws(USPError) -> Void = { _ in },
        evaluate: (Trainer) throws(USPError) -> [Metric] = { _ in [] }
    ) throws(USPError) -> [Metric] {
        guard busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else { throw USPError(.argument, "run: is in use") }
        defer { busy.store(false, ordering: .releasing) }
        defer { lock = nil }
        let first = trainer.steps
        let log = try ranks.together { () throws(USPError) -> RunLog? in
            guard ranks.writes else { return nil }
            if lock == nil { lock = try files.lock() }
            return try RunLog(
                files.log, upTo: first, heading: heading, events: options.logDir)
        }
        var last: [Metric] = []
        if window.owesEvaluation || first >= steps {
            last = try ranks.together { () throws(USPError) in try evaluate(trainer) }
            try ranks.together { () throws(USPError) in
                if window.owesEvaluation { try tell(last, log) }
            }
            window.owesEvaluation = false
        }
        if first >= steps {
            try save()
            return last
        }
        let clock = Stopwatch()
        var savedAt = 0.0
        while trainer.steps < steps {
            let report = try step()
            window.add(Double(report.loss))
            let took = max(clock.seconds, 1e-9)
            let rate = Double((report.step - first) * data.options.batch) / took
            let ends =
                report.step % data.stepsPerEpoch == 0 || report.step == steps
                || options.evaluateEvery.map { report.step % $0 == 0 } ?? false
            if report.step % options.logEvery == 0 || report.step == steps {
                try ranks.together { () throws(USPError) in
                    try log?.add(
                        place + [
                            .init("loss", .number(window.mean)),
                            .init("rate", .number(Double(report.rate))),
                            .init("images_per_second", .number(rate)),
                            .init("seconds", .number(took)),
                        ])
                }
                window.clear()
            }
            if ends {
                // By itself: it may be work that ranks share.
                last = try ranks.together { () throws(USPError) in try evaluate(trainer) }
                window.owesEvaluation = last.isEmpty && isStopped
            }
            let failure = together { () throws(USPError) in
                if ends { try tell(last, log) }
                try progress(
                    Progress(
                        report: report, steps: steps, epoch: epoch, imagesPerSecond: rate,
                        seconds: took, metrics: ends ? last : []))
            }
            if let failure {
                if failure.kind == .cancelled { try save() }
                throw failure
            }
            // What any rank was asked for, all do.
            let asked = try ranks.any([
                cancelled.exchange(false, ordering: .acquiringAndReleasing),
                wantsSave.exchange(false, ordering: .acquiringAndReleasing),
                clock.seconds - savedAt > 600, window.owesEvaluation,
            ])
            window.owesEvaluation = asked[3]
            let stops = asked[0]
            let isDue = asked[1] || report.step % options.saveEvery == 0 || asked[2]
            if stops || isDue || report.step == steps {
                try save()
                savedAt = clock.seconds
            }
            if stops && report.step < steps {
                try ranks.together { () throws(USPError) in
                    throw USPError(
                        .cancelled,
                        "\(options.command): interrupted at step \(report.step); the same command "
                            + "goes on from there")
                }
            }
        }
        return last
    }

    /// Stops after the step under way, when all is saved; any thread.
    public func cancel() { cancelled.store(true, ordering: .releasing) }

    /// Saves after the step under way, and goes on; any thread.
    public func requestSave() { wantsSave.store(true, ordering: .releasing) }

    /// Whether `cancel` was called: evaluations may end early, and are made when the run goes on.
    public var isStopped: Bool { cancelled.load(ordering: .acquiring) }

    /// What was measured, and drawn, at this step.
    private func tell(_ metrics: [Metric], _ log: RunLog?) throws(USPError) {
        try log?.add(place, metrics)
        for preview in previews() { try log?.add(trainer.steps, preview) }
    }

    /// The error of a step's log and progress, which all ranks then have.
    private func together(_ body: () throws(USPError) -> Void) -> USPError? {
        do throws(USPError) {
            try ranks.together(body)
            return nil
        } catch { return error }
    }

    /// One step. If its images cannot be read, the steps before are saved.
    private func step() throws(USPError) -> StepReport {
        var batch: Batch
        do throws(USPError) {
            batch = try ranks.together { () throws(USPError) in
                try data.batch(atStep: trainer.steps)
            }
            // A file of latents may have features that this training does not ask for.
            if trainer.options.align == 0 { batch.features = [] }
        } catch {
            if trainer.steps > 0 { try save() }
            throw error
        }
        do throws(USPError) {
            return try trainer.step(batch)
        } catch {
            guard error.kind == .notFinite else { throw error }
            let saved = FolderListing.isFile(files.state) ? "; \(files.state) is as saved last" : ""
            throw USPError(
                .notFinite, "\(error.message), a lower rate or clip_norm 1 may help\(saved)")
        }
    }

    private func save() throws(USPError) {
        try data.shareRecord(over: ranks, known: &knownSamples)
        try ranks.together { () throws(USPError) in
            // Ranks may have shares of it, and of the average.
            try trainer.save(
                files.state, metadata: files.metadata(record, window),
                beside: ranks.writes ? data.arrays : [])
        }
        try ranks.together { () throws(USPError) in
            if ranks.writes {
                try trainer.model(averaged: options.averaged).save(files.model)
            } else if options.averaged {
                try trainer.helpAveraging()
            }
        }
    }

    private var epoch: Double { Double(trainer.steps) / Double(data.stepsPerEpoch) }

    private var place: [JSON.Member] {
        [.init("step", .integer(trainer.steps)), .init("epoch", .number(epoch))]
    }
}

extension Trainer {
    /// All that the bits of a run depend on, by the names of the options.
    fileprivate func record(
        on data: DataSet
    ) throws(USPError) -> [(name: String, value: String)] {
        var options = options
        options.parts = try parts(of: data.options.batch)
        let mine = TrainerOptions.fields.filter { $0.parts.isEmpty || $0.parts.contains(family) }
        // What does not change a bit.
        var names = Set(mine.map(\.name)).subtracting(["recompute", "shard", "overlap"])
        if options.parts == nil { names.remove("parts") }
        // Older runs know of no other.
        if options.reduction == .float32 { names.remove("reduction") }
        return [
            ("data", data.summary), ("model", "\(family) \(fingerprint)"),
            ("batch", "\(data.options.batch)"), ("data_seed", "\(data.options.seed)"),
            ("sample_posterior", data.options.samplePosterior ? "yes" : "no"),
        ] + (data.latentScale.map { [(RunFiles.latents, $0.text)] } ?? [])
            + options.described.filter { names.contains($0.name) }
    }
}
