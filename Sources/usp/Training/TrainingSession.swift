// One run of a command that trains: it resumes, logs, saves, and goes on to the same bits after an
// interruption.

import USPBase
import USPFiles
import USPKit

/// The files of a run: the model, and beside it what an interrupted run needs, and the log.
struct RunFiles {
    let model: String
    let state: String
    let log: String

    /// - Throws: `.argument` for an ending that no model has; `.io` if the folder cannot be written
    init(_ output: String) throws(USPError) {
        try require(
            ArrayFormat.of(output).keepsTexts, .argument,
            "\(output): a model is written as .safetensors, .pt or .pth")
        model = output
        state = ImageFiles.withoutEnding(output) + "-state.safetensors"
        log = ImageFiles.withoutEnding(output) + "-log.jsonl"
        for path in [model, state, log] { _ = try AtomicFile(path) }
    }
}

/// A share of samples, such as `top1`.
struct Share {
    let name: String
    let value: Double
}

struct TrainingSession {
    /// `pretrain`, `finetune`, `train`.
    let command: String
    let trainer: USPKit.Trainer
    let data: TrainingData
    let length: RunLength
    let files: RunFiles
    let run: RunArguments
    /// All that the bits of the result depend on, by the names of the options.
    let recipe: [(name: String, value: String)]
    /// What the model's file says beside its own texts.
    var notes: [(key: String, value: String)] = []
    /// What is written: the model as it is, or its moving average.
    var averaged = false

    /// Trains to the end.
    ///
    /// - evaluate: called at the end of each epoch and of the run; the shares that it gives are
    ///   logged and shown
    /// - Returns: those of the model at the end
    @discardableResult
    func train(
        evaluate: (USPKit.Trainer) throws(USPError) -> [Share] = { _ in [] }
    ) throws(USPError) -> [Share] {
        var last: [Share] = []
        var window = try resume()
        let first = trainer.steps
        let log = try MetricsLog(files.log, upTo: first, heading: heading)
        if window.owesEvaluation {
            last = try evaluate(trainer)
            if !last.isEmpty { try tell(last, log) }
            window.owesEvaluation = false
        }
        let began = seconds()
        var savedAt = began
        let loop = TrainingLoop(title: command, steps: length.steps) {
            $0 % run.saveEvery == 0 || seconds() - savedAt > 600
        }
        try loop.run(from: first) { () throws(USPError) in
            let report = try step(window)
            window.add(Double(report.loss))
            let took = max(seconds() - began, 1e-9)
            let rate = Double((report.step - first) * length.batch) / took
            if report.step % run.logEvery == 0 || report.step == length.steps {
                try log.add(
                    line(report, window.mean) + [
                        .init("images_per_second", .number(rate)),
                        .init("seconds", .number(took)),
                    ])
                window.clear()
            }
            if ends(report.step) {
                last = try evaluate(trainer)
                window.owesEvaluation = last.isEmpty && Interrupt.isRaised
                if !last.isEmpty { try tell(last, log) }
            }
            return (
                report.step,
                "loss \(decimal(Double(report.loss), 4))  \(decimal(rate, 1)) images/s"
            )
        } save: { () throws(USPError) in
            try save(window)
            savedAt = seconds()
        }
        if first >= length.steps {
            try save(window)
            if last.isEmpty { last = try evaluate(trainer) }
        }
        return last
    }

    /// One step. If its images cannot be read, the steps before are saved.
    private func step(_ window: LossWindow) throws(USPError) -> USPKit.Trainer.Report {
        let before = trainer.steps
        let batch: USPKit.Trainer.Batch
        do {
            batch = try data.batch(length.batch, atStep: before)
        } catch {
            if before > 0 { try save(window) }
            throw error
        }
        do {
            return try trainer.step(batch)
        } catch  where error.kind == .notFinite {
            let saved = FolderListing.isFile(files.state) ? "; \(files.state) is as saved last" : ""
            throw USPError(
                .notFinite, "\(error.message), a lower --lr or --clip 1 may help\(saved)")
        }
    }

    private func epoch(_ step: Int) -> Double { Double(step) / Double(length.stepsPerEpoch) }

    private func ends(_ step: Int) -> Bool {
        step % length.stepsPerEpoch == 0 || step == length.steps
    }

    private func place(_ step: Int) -> [JSON.Member] {
        [.init("step", .integer(step)), .init("epoch", .number(epoch(step)))]
    }

    private func line(_ report: USPKit.Trainer.Report, _ loss: Double) -> [JSON.Member] {
        place(report.step) + [
            .init("loss", .number(loss)), .init("rate", .number(Double(report.rate))),
        ]
    }

    private func tell(_ shares: [Share], _ log: MetricsLog) throws(USPError) {
        try log.add(place(trainer.steps) + shares.map { .init($0.name, .number($0.value)) })
        let words = shares.map { "\($0.name) \(decimal(100 * $0.value, 2)) %" }
        complain(
            "\(command): epoch \(decimal(epoch(trainer.steps), 2)): "
                + words.joined(separator: "  "))
    }

    private var heading: JSON {
        .object(
            [.init("command", .string(command)), .init("version", .string(USPKit.version))]
                + recipe.map { .init($0.name, .string($0.value)) }
                + [.init("steps", .integer(length.steps))])
    }

    // What stands in the state beside the arrays.
    private static let prefix = "usp.run."
    private static let window = "usp.window"

    private func save(_ window: LossWindow) throws(USPError) {
        let metadata = recipe.map { (key: TrainingSession.prefix + $0.name, value: $0.value) }
        try trainer.save(
            files.state, metadata: metadata + [(key: TrainingSession.window, value: window.text)])
        let model = try trainer.model(averaged: averaged).checkpoint()
        try Checkpoint(entries: model.table.entries, metadata: model.metadata + notes)
            .save(files.model)
    }

    /// Goes on from the state of an earlier run with the same options, if there is one.
    ///
    /// - Throws: `.argument` naming the first option that differs
    private func resume() throws(USPError) -> LossWindow {
        guard FolderListing.isFile(files.state), !run.restart else { return LossWindow() }
        let saved = try Checkpoint.open(files.state).metadata
        for (name, value) in recipe {
            let before = saved.first { $0.key == TrainingSession.prefix + name }?.value
            try require(
                before == value, .argument,
                "\(files.state): an earlier run with \(name) \(before ?? "unknown"), now \(value); "
                    + "give the same options, another --output, or --restart")
        }
        try trainer.restore(files.state)
        let step = trainer.steps
        complain(
            step >= length.steps
                ? "note: \(files.model): all \(step) steps are done already"
                : "note: \(files.model): going on at step \(step) of \(length.steps), to the same "
                    + "bits as a run without interruption")
        return LossWindow(saved.first { $0.key == TrainingSession.window }?.value ?? "")
    }
}

/// Losses since the last line of the log.
private struct LossWindow {
    private var sum = 0.0
    private var count = 0
    /// An epoch ended here, but an interruption kept it from being evaluated.
    var owesEvaluation = false

    init() {}

    /// From `text`.
    init(_ text: String) {
        let parts = text.split(separator: " ")
        guard parts.count >= 2, let count = Int(parts[0]), let sum = Double(String(parts[1])) else {
            return
        }
        (self.count, self.sum) = (count, sum)
        owesEvaluation = parts.last == "unevaluated"
    }

    var text: String { "\(count) \(sum)" + (owesEvaluation ? " unevaluated" : "") }
    var mean: Double { count > 0 ? sum / Double(count) : 0 }

    mutating func clear() { (sum, count) = (0, 0) }

    mutating func add(_ loss: Double) {
        sum += loss
        count += 1
    }
}
