// Steps up to a number: progress, saving, and an end between two steps when interrupted.

import USPBase

/// The loop around a trainer, whatever it trains.
struct TrainingLoop {
    let title: String
    let steps: Int
    /// Whether the run is saved after this step, beside the last one.
    let savesAfter: (Int) -> Bool

    /// - done: steps that were done before
    /// - advance: one step; gives the steps done and what the progress shall say
    /// - save: called between two steps, and at the end
    /// - Throws: `.cancelled` after an interruption, when everything has been saved
    func run(
        from done: Int, advance: () throws(USPError) -> (step: Int, note: String),
        save: () throws(USPError) -> Void
    ) throws(USPError) {
        var progress = Progress(title, total: steps, done: done)
        var step = done
        while step < steps {
            let result = try advance()
            step = result.step
            progress.update(step, result.note)
            let stops = Interrupt.isRaised && step < steps
            if stops || step >= steps || savesAfter(step) { try save() }
            if stops {
                throw USPError(
                    .cancelled,
                    "\(title): interrupted at step \(step); the same command goes on from there"
                )
            }
        }
    }
}
