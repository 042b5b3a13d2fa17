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
    let files: RunFiles
    /// All that the bits of the result depend on.
    private let record: [(name: String, value: String)]
    private let heading: JSON
    private let writes: Bool
    private var window: LossWindow
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
        writes = trainer.options.ranks?.writes ?? true
        files = try RunFiles(output, writes: writes)
        lock = writes ? try files.lock() : nil
        let data = options.restart ? data : try Run.data(data, continuing: output)
        self.data = data
        try trainer.describe(data)
        steps = try options.length(stepsPerEpoch: data.stepsPerEpoch)
        self.record = trainer.record(on: data) + record
        self.heading = .object(
            ([("command", options.command)] + heading + self.record).map {
                .init($0.0, JSON(logged: $0.1))
            } + [.init("total_steps", .integer(steps))])
        window = LossWindow()
        if !options.restart, FolderListing.isFile(files.state) {
            window = try files.resume(trainer, self.record)
        }
        resumed = trainer.steps
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
    /// - evaluate: called at the end of each epoch and of the run; the numbers that it gives are
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
        if writes && lock == nil { lock = try files.lock() }
        defer { lock = nil }
        let first = trainer.steps
        let log = writes ? try RunLog(files.log, upTo: first, heading: heading) : nil
        var last: [Metric] = []
        if window.owesEvaluation || first >= steps {
            last = try evaluate(trainer)
            if window.owesEvaluation { try log?.add(place, last) }
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
            if report.step % options.logEvery == 0 || report.step == steps {
                try log?.add(
                    place + [
                        .init("loss", .number(window.mean)),
                        .init("rate", .number(Double(report.rate))),
                        .init("images_per_second", .number(rate)),
                        .init("seconds", .number(took)),
                    ])
                window.clear()
            }
            let ends = report.step % data.stepsPerEpoch == 0 || report.step == steps
            if ends {
                last = try evaluate(trainer)
                window.owesEvaluation = last.isEmpty && isStopped
                try log?.add(place, last)
            }
            let told = Progress(
                report: report, steps: steps, epoch: epoch, imagesPerSecond: rate, seconds: took,
                metrics: ends ? last : [])
            try tell(told, progress)
            let stops = cancelled.exchange(false, ordering: .acquiringAndReleasing)
            let asked = wantsSave.exchange(false, ordering: .acquiringAndReleasing)
            let isDue =
                asked || report.step % options.saveEvery == 0 || clock.seconds - savedAt > 600
            if stops || isDue || report.step == steps {
                try save()
                savedAt = clock.seconds
            }
            if stops && report.step < steps {
                throw USPError(
                    .cancelled,
                    "\(options.command): interrupted at step \(report.step); the same command goes "
                        + "on from there")
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

    /// A progress function that says it is cancelled stops as `cancel` does.
    private func tell(
        _ progress: Progress, _ function: (Progress) throws(USPError) -> Void
    ) throws(USPError) {
        do throws(USPError) {
            try function(progress)
        } catch {
            guard error.kind == .cancelled else { throw error }
            try save()
            throw error
        }
    }

    /// One step. If its images cannot be read, the steps before are saved.
    private func step() throws(USPError) -> StepReport {
        let batch: Batch
        do throws(USPError) {
            batch = try data.batch(atStep: trainer.steps)
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
        guard writes else { return }
        try trainer.save(
            files.state, metadata: files.metadata(record, window), beside: data.arrays)
        try trainer.model(averaged: options.averaged).save(files.model)
    }

    private var epoch: Double { Double(trainer.steps) / Double(data.stepsPerEpoch) }

    private var place: [JSON.Member] {
        [.init("step", .integer(trainer.steps)), .init("epoch", .number(epoch))]
    }
}

extension Trainer {
    /// All that the bits of a run depend on, by the names of the options.
    fileprivate func record(on data: DataSet) -> [(name: String, value: String)] {
        let mine = TrainerOptions.fields.filter { $0.parts.isEmpty || $0.parts.contains(family) }
        // Recomputing does not change a bit.
        let names = Set(mine.map(\.name)).subtracting(["recompute"])
        return [
            ("data", data.summary), ("model", "\(family) \(fingerprint)"),
            ("batch", "\(data.options.batch)"), ("data_seed", "\(data.options.seed)"),
            ("sample_posterior", data.options.samplePosterior ? "yes" : "no"),
        ] + options.described.filter { names.contains($0.name) }
    }
}
