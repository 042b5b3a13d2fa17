// Latents from a masked autoregressive model, as the tool's options say.

import USPBase
import USPKit

/// Of a masked autoregressive model.
struct TokenSampler: BatchSampler {
    /// Options that the command says in another form.
    static let ofRuns = [
        "seed", "generator", "first_sample", "total_samples", "preview_interval",
    ]

    private let model: MAR
    let options: MAR.SampleOptions
    private let calls = Calls()

    /// - Throws: for what has no part in a MAR, and for iterations that it has not
    init(
        _ model: MAR, _ given: TokenSettings, _ solver: SolverArguments,
        _ guidance: GuidanceArguments, seed: UInt64, generator: String?
    ) throws {
        if let name = solver.said.first {
            throw USPError(.argument, "\(name): has no part in a MAR")
        }
        self.model = model
        var options = MAR.SampleOptions()
        options.iterations = min(options.iterations, model.tokens)
        try given.apply(to: &options)
        if let steps = solver.steps {
            try require(
                given.respacing == nil, .argument, "steps, respacing: exclude each other")
            options.respacing = "\(steps)"
        }
        (options.scale, options.seed) = (try guidance.scale, seed)
        if let generator { try options.set("generator", generator) }
        try model.check(options)
        self.options = options
    }

    func run(
        _ batch: SampledBatch, progress: @escaping (Int, Int) -> Void,
        preview: (interval: Int, show: (Tensor) throws(USPError) -> Void)?
    ) throws(USPError) -> Tensor {
        var options = options
        (options.firstSample, options.totalSamples) = (batch.first, batch.total)
        options.start = batch.z
        if let preview { options.previewInterval = preview.interval }
        return try model.sample(
            labels: batch.labels, options, calls.monitor(progress, preview?.show))
    }

    func takeEvaluations() -> Double { calls.take() }

    var isAdaptive: Bool { false }

    var notes: [String] { [] }
}
