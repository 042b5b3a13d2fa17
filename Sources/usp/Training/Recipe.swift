// A paper's recipe.

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
    let steps: Int
    let stepsPerEpoch: Int
}

/// - place: what an error calls the model
/// - Throws: unless the model takes the data's samples
func expectSamples(
    _ data: DataSet, _ model: any Model, _ place: String
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
