// `usp sample MODEL --vae VAE --classes 207,360 -o grid.png`: images from a DiT, SiT or MAR.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw images of classes from a DiT, SiT or MAR.",
        discussion: """
            Writes each image beside OUT with its number as soon as it is done, and at the end the \
            grid as OUT, all pixels as an npz (arr_0, uint8 [N, H, W, 3], as evaluation suites \
            read it), and how they were made as JSON and in the PNGs' text. Images go to their files \
            as they come: many take no more memory than few, but for torch's generators, which \
            draw all starts at once. A sample does not depend on the batch it is in, except by \
            dopri5, which chooses its steps for a whole batch as the original does.

            Solvers of a DiT:
            \(Solver.explained { $0.isDiffusion })
            Solvers of a SiT:
            \(Solver.explained { !$0.isDiffusion })

            A MAR has none: each of --iterations (64, at most as many as tokens) predicts some of the \
            tokens, each by a diffusion of --steps (100) of its own, guided by --cfg as --cfg-schedule \
            says. --last-steps takes fewer steps for later tokens.
            """)

    @OptionGroup var model: ModelArguments
    @OptionGroup var chosen: ClassArguments
    @OptionGroup(title: "Solver") var solver: SolverArguments
    @OptionGroup(title: "Guidance") var guidance: GuidanceArguments
    @OptionGroup(title: "MAR") var tokens: TokenSettings

    @Option(help: "The autoencoder that decodes.")
    var vae: String

    @OptionGroup var autoencoder: AutoencoderArguments

    @Option(help: "Images in all; by default one for each class named, or row of --noise.")
    var num: Int?

    @Option(help: "Seed of all noise.")
    var seed: UInt64 = 0

    @Option(
        help: """
            counter: a stream for each sample; torch, torch-cuda: what the original scripts draw.
            """)
    var generator = "counter"

    @Option(help: "Start from these latents, such as invert writes, in place of drawn noise.")
    var noise: String?

    @Option(help: "Samples drawn together; 8 by default, of dopri5 all, at most 500.")
    var batch: Int?

    @Option(help: "Write OUT-preview.png, the images as predicted so far, every so many steps.")
    var preview: Int?

    @Option(name: [.short, .long], help: "The PNG to write.")
    var output: String

    /// Images of one run.
    private static let most = 10_000_000
    /// Samples that dopri5 draws together where --batch does not say.
    private static let mostTogether = 500

    func validate() throws {
        if let batch, batch < 1 { throw ValidationError("--batch: \(batch), expected 1 or more") }
        if let num, !(1...Sample.most).contains(num) {
            throw ValidationError("--num: \(num), expected 1 to \(Sample.most)")
        }
        if let preview, preview < 1 {
            throw ValidationError("--preview: \(preview), expected 1 or more")
        }
    }

    func run() throws {
        try Job.begin()
        Interrupt.listen()
        let known = ["counter", "torch", "torch-cuda"]
        guard known.contains(generator) else {
            throw unknownName(generator, what: "generator", known: known)
        }
        let decoder = try autoencoder.load(vae)
        let network = try model.loadSampled()
        let (sampler, classes) = try sampler(of: network)
        try check(decoder, network)
        if let note = network.otherLatents(than: decoder) { complain("note: \(note)") }
        for note in sampler.notes { complain("note: \(note)") }
        let start = try SampleStart(self, network, classes)
        let labels = try chosen.labels(start.count, classes, seed: seed)
        let latents = network.inputShape(batch: 1)
        let ranks = Job.ranks ?? .alone
        let record = try record(network, decoder, sampler)
        let written = try ranks.together { () throws(USPError) -> SampleOutput? in
            guard ranks.writes else { return nil }
            return try SampleOutput(
                output, record: record, labels: labels,
                image: [
                    latents[2] * decoder.factor, latents[3] * decoder.factor,
                    decoder.inputShape(batch: 1)[1],
                ])
        }
        try draw(start, labels, sampler, decoder, written, channels: latents[1], over: ranks)
    }

    private func sampler(
        of network: any Model
    ) throws -> (any BatchSampler, KnownClasses) {
        let generator = generator == "counter" ? nil : generator
        if let network = network as? MAR {
            let sampler = try TokenSampler(
                network, tokens, solver, guidance, seed: seed, generator: generator)
            return (sampler, KnownClasses(network))
        }
        guard let network = network as? DiT else {
            throw USPError(.internal, "\(network.family): draws no latents")
        }
        if let name = tokens.said.first {
            throw USPError(
                .argument, "\(name): has no part in a \(network.family), only in a MAR")
        }
        let sampler = try LatentSampler(network, solver, seed: seed, generator: generator)
        return (sampler, KnownClasses(network))
    }

    private func check(_ decoder: VAE, _ network: any Model) throws(USPError) {
        let (wanted, given) = (
            decoder.configuration.latentChannels, network.inputShape(batch: 1)[1]
        )
        try require(
            wanted == given, .shape,
            "\(vae): decodes latents of \(wanted) channels, \(model.model) makes \(given)")
    }

    /// Draws and decodes batch after batch, and tells what was written. Ranks take turns, each with
    /// batches of its own; their images come to rank 0.
    private func draw(
        _ start: SampleStart, _ labels: [Int], _ sampler: any BatchSampler, _ decoder: VAE,
        _ output: SampleOutput?, channels: Int, over ranks: Ranks
    ) throws {
        let count = labels.count
        let size = batchSize(sampler, count)
        let batches = try stride(from: 0, to: count, by: size).map { first in
            let range = first..<min(first + size, count)
            return (
                range: range, guidance: try guidance.guidance(range, channels: channels)
            )
        }
        let began = seconds()
        var evaluations = 0.0
        var progress = SampleProgress(count)
        let show = { (latents: Tensor) throws(USPError) in
            if let output { try output.preview(decoder.decode(latents)) }
        }
        let interval = output == nil ? nil : preview
        let produce = {
            (add: @escaping ([UInt8]) throws(USPError) -> Void) throws(USPError) -> [JSON.Member] in
            try ranks.share(batches.count) { number, emit throws(USPError) in
                let (range, guidance) = batches[number]
                let batch = SampledBatch(
                    z: try start.latents(range), labels: Array(labels[range]), guidance: guidance,
                    first: range.lowerBound, total: count)
                let latents = try sampler.run(
                    batch, progress: { progress.step($0, of: $1, in: range) },
                    preview: interval.map { (interval: $0, show: show) })
                evaluations += sampler.takeEvaluations() * Double(range.count)
                progress.sampled(range)
                for index in 0..<range.count {
                    try Interrupt.check()
                    try emit(decoder.decode(latents.detachedRows(index..<index + 1)).pixels())
                    progress.decoded(range.lowerBound + index + 1, in: range)
                }
            } take: { pixels throws(USPError) in
                try add(pixels)
                if let output { progress.reached(output.count) }
            }
            evaluations = try ranks.gather(values: [evaluations]).reduce(0) { $0 + $1[0] }
            let took = seconds() - began
            return [
                .init("evaluations", .number(evaluations / Double(count))),
                .init("seconds", .number(took)),
                .init("images_per_second", .number(Double(count) / max(took, 1e-9))),
            ]
        }
        guard let output else {
            _ = try produce { _ in }
            return
        }
        say(try output.write(produce))
    }

    private func batchSize(_ sampler: any BatchSampler, _ count: Int) -> Int {
        min(batch ?? (sampler.isAdaptive ? Sample.mostTogether : 8), count)
    }

    /// Everything that the pixels depend on, but the labels.
    private func record(
        _ network: any Model, _ decoder: VAE, _ sampler: any BatchSampler
    ) throws -> [JSON.Member] {
        var members: [JSON.Member] = [
            .init("model", .string(model.model)),
            .init("table", .string(network.weights.file?.table ?? "")),
            .init("family", .string(network.family)),
            .init("parameters", .integer(network.weights.count)),
            .init("precision", .string(model.computing.dtype.lowercased())),
        ]
        members += try sampler.record(guidance)
        members += [
            .init("seed", .string(String(seed))), .init("generator", .string(generator)),
            .init("noise", noise.map(JSON.string) ?? .null),
            .init("batch", batch.map(JSON.integer) ?? .null),
            .init("classes", .string(chosen.classes)),
            .init("vae", .string(vae)), .init("vae_precision", .string("f32")),
            .init("latent_scale", .numbers(decoder.scales)),
            .init("latent_shift", .numbers(decoder.shifts)),
            .init("uint8", .string("truncated clamp(127.5 x + 128, 0, 255)")),
            .init("version", .string(USPKit.version)),
        ]
        return members
    }
}

/// The latents that samples start from: drawn when their turn comes, as far as the generator can. A
/// MAR draws its own.
struct SampleStart {
    let count: Int
    /// Of a batch's numbers; not to be changed.
    let latents: (Range<Int>) throws(USPError) -> Tensor?

    fileprivate init(
        _ asked: Sample, _ network: any Model, _ classes: KnownClasses
    ) throws(USPError) {
        if let noise = asked.noise {
            let given = try LatentFile.read(noise, orNoise: true)
            let shape = network.inputShape(batch: given.shape[0])
            try require(given.shape == shape, .shape, "\(noise): \(given.shape), expected \(shape)")
            count = asked.num ?? given.shape[0]
            try require(
                count <= given.shape[0], .argument, "--num \(count): \(noise) has \(given.shape[0])"
            )
            latents = { (range) throws(USPError) in try given.detachedRows(range).copied() }
            return
        }
        count = asked.num ?? asked.chosen.count(classes)
        let seed = asked.seed
        if network is MAR {
            latents = { _ in nil }
        } else if asked.generator == "counter" {
            latents = { (range) throws(USPError) in
                try Tensor.normal(
                    network.inputShape(batch: range.count), seed: seed,
                    firstSample: range.lowerBound)
            }
        } else {
            let all = try Tensor.torchNormal(
                network.inputShape(batch: count), seed: seed,
                device: asked.generator == "torch" ? "cpu" : "cuda")
            latents = { (range) throws(USPError) in try all.detachedRows(range).copied() }
        }
    }
}

/// Images per second and time left, between steps as well: sampling and decoding take their shares
/// of an image.
private struct SampleProgress {
    private var bar: Progress
    private var began = seconds()
    private var samplingTook = 0.0
    private var most = 0
    /// Part of an image's time that sampling takes, as the last batch had it.
    private var share = 0.9

    init(_ count: Int) { bar = Progress("sample", total: count, unit: "images") }

    mutating func step(_ step: Int, of steps: Int, in range: Range<Int>) {
        let part = steps > 0 ? Double(min(step, steps)) / Double(steps) : 0
        bar.update(
            range.lowerBound, fraction: share * part * Double(range.count), "step \(step)/\(steps)")
    }

    mutating func sampled(_ range: Range<Int>) { samplingTook = seconds() - began }

    /// So many images are there, of all ranks.
    mutating func reached(_ done: Int) { if done > most { bar.update(done) } }

    mutating func decoded(_ done: Int, in range: Range<Int>) {
        most = max(most, done)
        bar.update(done, fraction: share * Double(range.upperBound - done))
        guard done == range.upperBound else { return }
        let took = seconds() - began
        share = took > 0 ? samplingTook / took : share
        began = seconds()
    }
}
