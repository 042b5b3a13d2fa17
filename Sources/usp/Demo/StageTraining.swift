// One training run of the demo: progress, curve, saving, and going on after an interruption.

import USPBase
import USPFiles
import USPKit

extension DemoFolder {
    /// Trains up to `steps`, from where an earlier run stopped.
    ///
    /// - name: of the run's files
    /// - curve: the name of the losses
    /// - after: called after every step with its number, before anything is saved
    func train(
        _ name: String, title: String, _ trainer: Trainer, on data: DataSet, steps: Int,
        curve: String, after: (Int) throws(USPError) -> Void = { _ in }
    ) throws(USPError) {
        var options = RunOptions()
        (options.command, options.steps) = (title, steps)
        (options.logEvery, options.saveEvery) = (max(1, steps / 200), max(1, steps / 20))
        let run = try Run(trainer, on: data, to: statePath(name + ".safetensors"), options)
        try CommandRun(run: run, title: title).train { told throws(USPError) in
            try after(told.report.step)
        }
        var losses = Curve()
        let log = String(decoding: try readBytes(statePath(name + "-log.jsonl")), as: UTF8.self)
        for line in log.split(separator: "\n") {
            let entry = try JSON(parsing: String(line))
            guard let step = entry["step"]?.integer, let loss = entry["loss"]?.number else {
                continue
            }
            losses.append(step, loss)
        }
        results[curve: curve] = losses
        try saveResults()
    }
}

extension Curve {
    /// The part that a run restored at this step has seen.
    func upTo(_ step: Int) -> Curve {
        var result = Curve()
        for (at, value) in zip(steps, values) where at <= step { result.append(at, value) }
        return result
    }
}
