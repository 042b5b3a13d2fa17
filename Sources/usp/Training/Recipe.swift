// A paper's recipe, and the record of what a run was told.

import USPBase
import USPKit
import USPTensor

/// What a paper's recipe says where the command's options do not.
struct Recipe {
    var batch: Int
    var epochs: Double
    /// Peak rate for a batch of 256, or the rate itself.
    var blr: Float = 0
    var lr: Float?
    var minLr: Float = 0
    /// Share of the steps.
    var warmup: Double = 0
    var weightDecay: Float = 0
    /// No cosine after the warm-up.
    var isConstant = false
}

/// How long a run is.
struct RunLength {
    let batch: Int
    let steps: Int
    let stepsPerEpoch: Int
}

/// All that the bits of a run's result depend on, by the names of the options.
///
/// - own: what only one command has
func runRecord(
    of data: TrainingData, _ model: any Model, _ length: RunLength, _ options: TrainerOptions,
    _ own: [(name: String, value: String)]
) -> [(name: String, value: String)] {
    let common = [
        ("data", data.summary), ("model", "\(model.family) \(model.weights.fingerprint)"),
        ("batch", "\(length.batch)"), ("accumulation", "\(options.accumulation)"),
        ("lr", "\(options.rate)"), ("min-lr", "\(options.minimumRate)"),
        ("warmup steps", "\(options.warmup)"),
        ("steps", options.steps > 0 ? "\(options.steps)" : "any"),
        ("weight-decay", "\(options.weightDecay)"), ("clip", "\(options.clipNorm)"),
        ("dtype", options.compute.name), ("seed", "\(options.seed)"),
    ]
    return common.map { (name: $0.0, value: $0.1) } + own
}

/// - place: what an error calls the model
/// - Throws: unless the model takes the data's samples
func expectSamples(
    _ data: TrainingData, _ model: any Model, _ place: String
) throws(USPError) {
    let given = data.sampleShape
    let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
    try require(
        given[0] == wanted[0], .shape,
        "\(place): takes latents of \(wanted[0]) channels, the data's have \(given[0])")
    try require(
        given == wanted, .shape,
        "\(place): takes latents \(wanted), the data's are \(given); --size says how large images "
            + "become")
}
