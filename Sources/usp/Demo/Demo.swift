// The story that the demo tells, stage by stage; each leaves its files and numbers in the folder.

import USPBase
import USPData
import USPEvaluation
import USPModels
import USPTensor
import USPTraining

/// One run of the demo.
struct Demo {
    let plan: DemoPlan
    let folder: DemoFolder
    let training: LabelledImages
    let test: LabelledImages

    init(_ plan: DemoPlan, out: String, images: String) throws(USPError) {
        self.plan = plan
        folder = try DemoFolder(out, plan: plan)
        training = try FashionMNIST.load(.training, folder: images)
            .selecting(Array(0..<plan.trainingImages))
        test = try FashionMNIST.load(.test, folder: images).selecting(Array(0..<plan.testImages))
    }

    /// Everything, from images to the page.
    func run() throws(USPError) {
        let start = seconds()
        try checkSolvers()
        let autoencoder = try trainAutoencoder()
        let latents = try encodeLatents(autoencoder)
        let judge = try trainJudge()
        let statistics = try judgeTestImages(judge, autoencoder, latents)
        try pretrain(autoencoder, latents)
        try generate(autoencoder, latents, judge, statistics)
        try classify(latents)
        try compareSolvers(
            SampleJudging(autoencoder: autoencoder, judge: judge, real: statistics))
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

    func key(_ name: String) -> RandomKey { RandomKey(seed: plan.seed).stream(name) }

    /// A seed for a named run.
    func seed(_ name: String) -> UInt64 { key(name).stream }
}

/// Latents of both sets, normalised.
struct DemoLatents {
    let training: Tensor
    let trainingLabels: [Int]
    let test: Tensor
    let testLabels: [Int]
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
