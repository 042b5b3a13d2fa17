// A run of a command that trains: progress on the terminal, and an end between two steps when it is
// interrupted.

import USPBase
import USPKit

struct CommandRun {
    let run: Run
    /// What the progress calls it.
    let title: String

    init(run: Run, title: String) { (self.run, self.title) = (run, title) }

    /// - Throws: as `Run.init`
    init(
        _ command: String, _ trainer: Trainer, on data: DataSet, _ length: RunLength,
        _ arguments: RunArguments, record: [(name: String, value: String)] = [],
        notes: [(key: String, value: String)] = [], averaged: Bool = false
    ) throws(USPError) {
        var options = RunOptions()
        (options.command, options.steps, options.averaged) = (command, length.steps, averaged)
        (options.saveEvery, options.logEvery) = (arguments.saveEvery, arguments.logEvery)
        options.restart = arguments.restart
        run = try Run(
            trainer, on: data, to: arguments.output, options, record: record,
            heading: [("version", version)], notes: notes)
        title = command
        guard run.resumed > 0 else { return }
        complain(
            run.resumed >= run.steps
                ? "note: \(arguments.output): all \(run.resumed) steps are done already"
                : "note: \(arguments.output): going on at step \(run.resumed) of \(run.steps), to "
                    + "the same bits as a run without interruption")
    }

    /// Trains to the end.
    ///
    /// - after: called after every step
    /// - evaluate: called at the end of each epoch and of the run; its shares are logged and shown
    /// - Returns: those of the model at the end
    @discardableResult
    func train(
        after: (Run.Progress) throws(USPError) -> Void = { _ in },
        evaluate: (Trainer) throws(USPError) -> [Run.Metric] = { _ in [] }
    ) throws(USPError) -> [Run.Metric] {
        var bar = Progress(title, total: run.steps, done: run.resumed)
        return try run.train(
            progress: { told throws(USPError) in
                if Interrupt.isRaised { run.cancel() }
                bar.update(
                    told.report.step,
                    "loss \(decimal(Double(told.report.loss), 4))  "
                        + "\(decimal(told.imagesPerSecond, 1)) images/s")
                if !told.metrics.isEmpty { tell(told) }
                try after(told)
            },
            evaluate: { trainer throws(USPError) in
                defer { if Interrupt.isRaised { run.cancel() } }
                return try evaluate(trainer)
            })
    }

    private func tell(_ told: Run.Progress) {
        let words = told.metrics.map { "\($0.name) \(decimal(100 * $0.value, 2)) %" }
        complain("\(title): epoch \(decimal(told.epoch, 2)): " + words.joined(separator: "  "))
    }
}
