// How long a run is and what it keeps: one row an option.

import USPBase

/// Length, saving and log of a run.
public struct RunOptions: Sendable {
    public var steps: Int?
    public var epochs: Double?
    public var saveEvery = 1000
    public var logEvery = 10
    public var restart = false
    public var averaged = false
    public var command = "run"
    public var evaluateEvery: Int?
    public var logDir: String?

    public init() {}
}

extension RunOptions: Described {
    public static let title = "run"

    public static let members = [
        CMember("usp_run_progress_fn", "progress", "Told after every step; NULL tells nobody."),
        CMember("void *", "progress_user", "Given to progress."),
        CMember("usp_run_evaluate_fn", "evaluate", "Measures; NULL measures nothing."),
        CMember("void *", "evaluate_user", "Given to evaluate."),
    ]

    public static let fields: [Field<RunOptions>] = [
        .integer(
            "steps", \.steps, .from(0),
            "Steps in all, those of earlier runs included; absent: as "
                + "epochs say."),
        .real(
            "epochs", \.epochs, FieldRange(0, 1e9), "Passes over the data; absent: as steps say."),
        .integer(
            "save_every", \.saveEvery, .from(1),
            "Save after so many steps, and every ten "
                + "minutes."),
        .integer("log_every", \.logEvery, .from(1), "Add a line to the log every so many steps."),
        .flag("restart", \.restart, "Start anew, whatever an earlier run has left."),
        .flag("averaged", \.averaged, "Write the model with the moving average's values."),
        .text("command", \.command, "What the log and messages call the run."),
        .integer(
            "evaluate_every", \.evaluateEvery, .from(1),
            "Measure every so many steps, beside the end of each epoch; absent: then alone."),
        .text(
            "log_dir", \.logDir,
            "A folder for TensorBoard, which is made: event files with the numbers of the log, and the "
                + "pictures that a stage draws."),
    ]

    /// Steps in all.
    ///
    /// - Throws: `.argument` for options out of range, and unless one of steps and epochs is given
    func length(stepsPerEpoch: Int) throws(USPError) -> Int {
        try checkFields()
        switch (steps, epochs) {
        case (let steps?, nil): return steps
        case (nil, let epochs?): return Int(epochs * Double(stepsPerEpoch))
        case (nil, nil): throw USPError(.argument, "steps, epochs: one of them is needed")
        default: throw USPError(.argument, "steps, epochs: exclude each other")
        }
    }
}
