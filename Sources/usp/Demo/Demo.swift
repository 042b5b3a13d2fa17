// The story that the demo tells, stage by stage; each leaves its files and numbers in the folder.

import USPBase
import USPKit
import USPTensor

/// One run of the demo.
struct Demo {
    let plan: DemoPlan
    let folder: DemoFolder
    let training: ImageSet
    let test: ImageSet

    init(_ plan: DemoPlan, out: String, images: String?) throws(USPError) {
        self.plan = plan
        folder = try DemoFolder(out, plan: plan)
        training = try ImageSet.fashionMNIST(training: true, folder: images)
            .first(plan.trainingImages)
        test = try ImageSet.fashionMNIST(training: false, folder: images).first(plan.testImages)
    }

    /// Everything, from images to the page.
    func run() throws(USPError) {
        let start = seconds()
        try checkSolvers()
        let autoencoder = try trainAutoencoder()
        let latents = try encodeLatents(autoencoder)
        let judge = try trainJudge()
        let judging = SampleJudging(
            autoencoder: autoencoder, judge: judge, real: try judge.features(of: test))
        try judgeReconstructions(judging, latents)
        try pretrain(autoencoder, latents)
        try generate(judging, latents)
        try classify(latents)
        try compareSolvers(judging)
        folder.addSeconds("total", since: start)
        folder.results[number: "peak_rss_mb"] = max(
            folder.results[number: "peak_rss_mb"] ?? 0, Double(SystemMemory.peakResident) / 1e6)
        try folder.saveResults()
        try folder.write(folder.file("metrics.json"), folder.results.metrics.indented)
        let report = DemoReport(results: folder.results, plan: plan, folder: folder.path)
        try folder.write(folder.file("index.html"), report.html())
    }

    /// Runs a stage and counts its time; the error of an interruption passes through.
    func stage<Result>(_ name: String, _ body: () throws(USPError) -> Result) throws(USPError)
        -> Result
    {
        let start = seconds()
        defer { folder.addSeconds(name, since: start) }
        return try body()
    }

    /// A seed for a named run.
    func seed(_ name: String) -> UInt64 { RandomKey(seed: plan.seed).stream(name).stream }

    /// How the transformers' files are loaded.
    func loading(_ family: String) -> LoadOptions {
        var options = LoadOptions()
        (options.family, options.heads, options.compute) = (family, plan.heads, plan.compute)
        return options
    }

    /// Weights of another family's model, started from the encoder in `file` of the output folder;
    /// everything that the encoder does not have is fresh.
    func transfer(
        _ file: String, to family: String, _ change: (inout TransferOptions) -> Void
    ) throws(USPError) -> Checkpoint {
        var options = TransferOptions()
        (options.seed, options.classes) = (plan.seed, 10)
        (options.heads, options.decoderHeads) = (plan.heads, plan.decoderHeads)
        change(&options)
        return try TransferPlan(path: folder.file(file), to: family, options).apply()
    }

    /// What a trainer has made of a model.
    func trained<Kind: Model>(
        _ trainer: Trainer, averaged: Bool = false, as type: Kind.Type
    ) throws(USPError) -> Kind {
        guard let model = try trainer.model(averaged: averaged) as? Kind else {
            throw USPError(.internal, "the trainer of a \(type) gave something else")
        }
        return model
    }
}

/// Latents of both sets, normalised.
struct DemoLatents {
    let training: DataSet
    let test: Tensor
    let testLabels: [Int]

    /// The training set's, in batches of so many, in an order from a seed.
    func training(_ batch: Int, seed: UInt64) throws(USPError) -> DataSet {
        var options = DataOptions()
        (options.batch, options.seed, options.augmentation) = (batch, seed, .middle)
        return try training.with(options)
    }
}

/// Calls the body for consecutive parts of 0 ..< count.
func inBatches(
    _ count: Int, _ size: Int, _ body: (Range<Int>) throws(USPError) -> Void
) throws(USPError) {
    for first in stride(from: 0, to: count, by: size) {
        try Interrupt.check()
        try body(first..<min(count, first + size))
    }
}
