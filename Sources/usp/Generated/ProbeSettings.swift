// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of DiffusionProbe.Options that have a part in some run.
struct ProbeSettings: ParsableArguments {
    @Option(
        name: .customLong("times"),
        help: "Times on the model's scale: steps 0 to 999 of a DiT; 0 to 1 of a flow, where 1 is data (SiT) or noise (REPA, its file tells). Empty: eight steps up to 700, or seven shares of noise up to 0.7. 0 to 999. Default: none.")
    var times: String?

    @Option(
        name: .customLong("blocks"),
        help: "Blocks, from 1. Empty: all. 1 to 65536. Default: none.")
    var blocks: String?

    @Option(
        name: .customLong("samples"),
        help: "Samples to learn from, evenly over the data; absent: all. 2 or more. Default: 5000.")
    var samples: String?

    @Option(
        name: .customLong("test-samples"),
        help: "Samples to measure on; absent: all. 1 or more.")
    var testSamples: String?

    @Option(
        name: .customLong("steps"),
        help: "Steps of the probe of a cell. 1 to 1000000. Default: 200.")
    var steps: String?

    @Option(
        name: .customLong("final-epochs"),
        help: "Passes over the samples by which the best cell is trained to the end; 0: it is not. 0 to 100000. Default: 90.")
    var finalEpochs: String?

    @Option(
        name: .customLong("batch"),
        help: "Features of a step. 1 or more. Default: 500.")
    var batch: String?

    @Option(
        name: .customLong("rate"),
        help: "LARS's rate for a batch of 256, in proportion for others; absent: the best of 0.3, 1, 3, 10 and 30 on a tenth of the samples, on the middle block at the first time. 0 or more.")
    var rate: String?

    @Option(
        name: .customLong("seed"),
        help: "Seed of the noise, of the probes and of their order. Default: 0.")
    var seed: String?

    /// Names of what was said.
    var said: [String] {
        [
            times == nil ? nil : "times",
            blocks == nil ? nil : "blocks",
            samples == nil ? nil : "samples",
            testSamples == nil ? nil : "test_samples",
            steps == nil ? nil : "steps",
            finalEpochs == nil ? nil : "final_epochs",
            batch == nil ? nil : "batch",
            rate == nil ? nil : "rate",
            seed == nil ? nil : "seed",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout DiffusionProbe.Options) throws(USPError) {
        if let times { try options.set("times", times) }
        if let blocks { try options.set("blocks", blocks) }
        if let samples { try options.set("samples", samples) }
        if let testSamples { try options.set("test_samples", testSamples) }
        if let steps { try options.set("steps", steps) }
        if let finalEpochs { try options.set("final_epochs", finalEpochs) }
        if let batch { try options.set("batch", batch) }
        if let rate { try options.set("rate", rate) }
        if let seed { try options.set("seed", seed) }
    }
}
