// One training run of the demo: progress, curve, saving, and going on after an interruption.

import USPBase
import USPTraining

extension DemoFolder {
    /// Trains up to `steps`, from where an earlier run stopped.
    ///
    /// - name: of the state file and of the curve `name.loss`
    /// - after: called after every step with its number, before anything is saved
    func train(
        _ name: String, title: String, _ run: TrainingRun, steps: Int, curve: String,
        after: (Int) throws(USPError) -> Void = { _ in }
    ) throws(USPError) {
        let state = statePath(name + ".safetensors")
        var losses = Curve()
        if exists(state) {
            try run.trainer.resume(state)
            losses = (results[curve: curve] ?? Curve()).upTo(run.step)
        }
        let every = max(1, steps / 200)
        var (sum, count) = (0.0, 0)
        var savedAt = seconds()
        let loop = TrainingLoop(title: title, steps: steps) { _ in seconds() - savedAt > 20 }
        try loop.run(from: run.step) { () throws(USPError) in
            let report = try run.advance()
            sum += Double(report.loss)
            count += 1
            if run.step == 1 || run.step % every == 0 || run.step == steps {
                losses.append(run.step, sum / Double(count))
                (sum, count) = (0, 0)
            }
            try after(run.step)
            return (run.step, "loss \(decimal(Double(report.loss), 4))")
        } save: { () throws(USPError) in
            results[curve: curve] = losses
            try run.trainer.save(state)
            try saveResults()
            savedAt = seconds()
        }
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
