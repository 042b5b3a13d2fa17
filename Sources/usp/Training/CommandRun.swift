// A run of a command that trains: progress on the terminal, and an end between two steps when it is
// interrupted.

import USPBase
import USPKit

struct CommandRun {
    let run: Run
    /// What the progress calls it.
    let title: String

    init(run: Run, title: String) { (self.run, self.title) = (run, title) }

    /// The run of a stage; says what the stage has to tell.
    ///
    /// - Throws: as `Run.init`
    init(_ stage: Stage, _ arguments: RunArguments) throws(USPError) {
        for note in stage.notes { complain("note: \(note)") }
        var options = RunOptions()
        (options.saveEvery, options.logEvery) = (arguments.saveEvery, arguments.logEvery)
        (options.restart, options.logDir) = (arguments.restart, arguments.logDir)
        run = try stage.run(
            to: arguments.output, options, heading: [("version", version)])
        title = stage.recipe.stage
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
        var unreadable = UnreadableNotes()
        return try run.train(
            progress: { told throws(USPError) in
                if Interrupt.isRaised { run.cancel() }
                if Interrupt.takeSave() {
                    run.requestSave()
                    complain("note: \(title): saving at step \(told.report.step), and going on")
                }
                bar.update(
                    told.report.step,
                    "loss \(decimal(Double(told.report.loss), 4))  "
                        + "\(decimal(told.imagesPerSecond, 1)) images/s")
                unreadable.tell(run.data)
                if !told.metrics.isEmpty { tell(told) }
                try after(told)
            },
            evaluate: { trainer throws(USPError) in
                defer { if Interrupt.isRaised { run.cancel() } }
                return try evaluate(trainer)
            })
    }

    private func tell(_ told: Run.Progress) {
        let words = told.metrics.map(\.phrase)
        complain("\(title): epoch \(decimal(told.epoch, 2)): " + words.joined(separator: "  "))
    }
}

extension Run.Metric {
    /// `top1 81.25 %`, `psnr 24.1 dB`
    var phrase: String {
        switch name {
        case "psnr": "\(name) \(decimal(value, 2)) dB"
        case "miou", "macc", "aacc": "\(name) \(decimal(100 * value, 2)) %"
        case _ where name.hasPrefix("top"): "\(name) \(decimal(100 * value, 2)) %"
        default: "\(name) \(decimal(value, 4))"
        }
    }
}

/// Tells of images that cannot be read, each once, when they are met.
struct UnreadableNotes {
    private var told: Set<String> = []

    mutating func tell(_ data: DataSet) {
        for image in data.unreadable where told.insert(image.path).inserted {
            complain("note: \(image.remark)", onEvery: true)
        }
    }
}
