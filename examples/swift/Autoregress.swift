// Draw latents from a masked autoregressive model, a few tokens an iteration.

import USPKit

func autoregress() throws(USPError) {
    let encoder = TransformerSizes(
        grid: Grid(4, 4), channels: 4, patch: 1, width: 32, depth: 2, heads: 2)
    // or MAR.load("mar_base/checkpoint-last.pth")
    let model = try MAR(
        MAR.Configuration(encoder, buffer: 4, classes: 10, headWidth: 32, headDepth: 1), seed: 1)

    var options = MAR.SampleOptions()
    options.iterations = 4
    options.respacing = "5"
    options.scale = 2
    let monitor = SamplingMonitor { state in print("iteration \(state.step) of \(state.steps)") }
    let latents = try model.sample(labels: [3, 7], options, monitor)
    print("latents \(latents.shape)")
}
