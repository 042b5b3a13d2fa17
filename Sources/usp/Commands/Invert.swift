// `usp invert MODEL --latents FILE --classes 207 -o noise.safetensors`: sampling backwards.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

struct Invert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find the noise from which a DiT or SiT makes given latents.",
        discussion: """
            The flow of a SiT is integrated from data to noise, DiT's DDIM is run backwards; \
            sample --noise with the same settings leads back. Latents are those that encode \
            writes, each with its class.
            """)

    @OptionGroup var model: ModelArguments
    @OptionGroup var chosen: ClassArguments
    @OptionGroup(title: "Solver") var solver: SolverArguments
    @OptionGroup(title: "Guidance") var guidance: GuidanceArguments

    @Option(help: "A file with an array latents [N, C, h, w].")
    var latents: String

    @Flag(help: "SiT: also the log-likelihood of each, with --cfg 1.")
    var likelihood = false

    @Option(help: "Seed of the likelihood's probe.")
    var seed: UInt64 = 0

    @Option(name: [.short, .long], help: "The file to write.")
    var output: String

    func run() throws {
        Interrupt.listen()
        let writer = try ArrayWriter(output)
        let network = try model.load()
        let sampler = try LatentSampler(
            network, solver, seed: seed, task: likelihood ? .likelihood : .invert)
        for note in sampler.notes { complain("note: \(note)") }
        let data = try LatentFile.read(latents)
        let (count, shape) = (data.shape[0], network.inputShape(batch: data.shape[0]))
        try require(data.shape == shape, .shape, "\(latents): \(data.shape), expected \(shape)")
        let batch = SampledBatch(
            z: data, labels: try chosen.labels(count, KnownClasses(network), seed: seed),
            guidance: try guidance.guidance(0..<count, channels: shape[1]), first: 0, total: count)
        var progress = Progress("invert", total: sampler.sampler.steps)
        let show = { (step: Int, _: Int) in progress.update(step) }
        if likelihood {
            let result = try sampler.likelihood(batch, progress: show)
            print(table(result.logLikelihood, batch.labels, size: data.count / count))
            try LatentFile.write(result.noise, writer, name: LatentFile.noise)
        } else {
            try LatentFile.write(
                try sampler.run(batch, progress: show), writer, name: LatentFile.noise)
        }
        print("\(output): noise \(data.shape)")
    }

    private func table(_ values: [Float], _ labels: [Int], size: Int) -> String {
        var table = TextTable([
            ("latents", .right), ("class", .right), ("log-likelihood", .right),
            ("bits per dimension", .right),
        ])
        for (index, value) in values.enumerated() {
            let bits = -Double(value) / Double(size) / 0.693147180559945309
            table.add(["\(index)", "\(labels[index])", fixed(Double(value), 3), fixed(bits, 4)])
        }
        return table.text
    }
}
