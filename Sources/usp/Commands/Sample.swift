// `usp sample MODEL --vae VAE --classes 207,360 -o grid.png`: images from a DiT or SiT.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw images of classes from a DiT or SiT.",
        discussion: """
            Writes the grid as OUT, each image beside it with its number, all pixels as an npz \
            (arr_0, uint8 [N, H, W, 3], as evaluation suites read it), and how they were made as \
            JSON and in the PNG's text. A sample does not depend on the batch it is in.
            """)

    @Argument(help: "The DiT or SiT.")
    var model: String

    @Option(help: "The autoencoder that decodes.")
    var vae: String

    @Option(help: "Classes by number, such as 207,360; they take turns.")
    var classes: String

    @Option(help: "Images in all; as many as classes by default.")
    var num: Int?

    @Option(help: "Steps; DiT 250, SiT 50 (SDE 250) by default.")
    var steps: Int?

    @Option(help: "DiT: ddpm, ddim, dpm++, dpm++sde. SiT: dopri5, euler, heun, rk4 ..., sde.")
    var solver: String?

    @Option(help: "Classifier-free guidance; 1 is off.")
    var cfg: Float = 4

    @Option(help: "Leading latent channels that are guided; 3 is the originals' rule.")
    var cfgChannels = 3

    @Option(help: "Seed of all noise.")
    var seed: UInt64 = 0

    @Option(help: "Samples drawn together.")
    var batch = 8

    @Option(help: "DiT or SiT, where the file does not tell.")
    var family: String?

    @Option(help: "The model's table, such as ema.")
    var table: String?

    @Option(help: "The model's attention heads, where its width is not a published one.")
    var heads: Int?

    @Option(name: [.short, .long], help: "The PNG to write.")
    var output: String

    func validate() throws {
        if batch < 1 { throw ValidationError("--batch: \(batch), expected 1 or more") }
        if let num, num < 1 { throw ValidationError("--num: \(num), expected 1 or more") }
        if let steps, steps < 1 { throw ValidationError("--steps: \(steps), expected 1 or more") }
        _ = try parsedClasses()
    }

    private func parsedClasses() throws -> [Int] {
        let numbers = classes.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        let known = numbers.compactMap { $0 }
        guard known.count == numbers.count, !known.isEmpty else {
            throw ValidationError("--classes \(classes): expected numbers with commas between")
        }
        return known
    }

    func run() throws {
        Interrupt.listen()
        let decoder = try VAE.load(vae)
        let denoiser = try loadedModel()
        let sampler = try LatentSampler(
            denoiser, solver: solver, steps: steps, seed: seed, cfg: cfg, channels: cfgChannels)
        let chosen = try parsedClasses()
        let count = num ?? chosen.count
        let labels = (0..<count).map { chosen[$0 % chosen.count] }
        var pixels: [UInt8] = []
        var shape: Shape = []
        var progress = Progress("sample", total: count, unit: "images")
        let noise = try Tensor.normal(denoiser.inputShape(batch: count), seed: seed)
        for first in stride(from: 0, to: count, by: batch) {
            let range = first..<min(first + batch, count)
            let latents = try sampler.draw(
                noise.detachedRows(range).copied(), Array(labels[range]), first: first)
            for index in 0..<range.count {
                try Interrupt.check()
                let images = try decoder.decode(latents.detachedRows(index..<index + 1))
                shape = [count, images.shape[2], images.shape[3], images.shape[1]]
                pixels += ImageFiles.pixels(images)
                progress.update(first + index + 1)
            }
        }
        try write(pixels, shape, protocolOf(denoiser, sampler, labels))
        print("\(output): \(grouped(count)) images of \(shape[2]) x \(shape[1])")
    }

    private func loadedModel() throws(USPError) -> DiT {
        var options = LoadOptions()
        options.family = family
        options.table = table
        options.heads = heads
        return try DiT.load(model, options)
    }

    private func write(
        _ pixels: [UInt8], _ shape: Shape, _ record: JSON
    ) throws(USPError) {
        let texts = [(key: "usp", value: record.compact)]
        for index in 0..<shape[0] {
            try PNG.write(
                ImageFiles.numbered(output, index), ImageFiles.image(pixels, index, shape),
                texts: texts)
        }
        let stem = ImageFiles.withoutEnding(output)
        let array = ArrayOutput("arr_0", .uint8, shape, bytes: try ByteBuffer(pixels).view)
        try Npz.write("\(stem).npz", [array])
        let file = try AtomicFile("\(stem).json")
        try file.write(record.indented)
        try file.commit()
        try PNG.write(output, ImageFiles.grid(pixels, shape), texts: texts)
    }

    private func protocolOf(_ network: DiT, _ sampler: LatentSampler, _ labels: [Int]) -> JSON {
        .object([
            .init("model", .string(model)), .init("table", table.map(JSON.string) ?? .null),
            .init("family", .string(network.family)), .init("vae", .string(vae)),
            .init("latent_scale", .string("the autoencoder's own")),
            .init("solver", .string(sampler.method)), .init("steps", .integer(sampler.steps)),
            .init("cfg", .number(Double(cfg))), .init("cfg_channels", .integer(cfgChannels)),
            .init("seed", .string(String(seed))),
            .init("noise", .string("one counter-based stream a sample")),
            .init("labels", .array(labels.map(JSON.integer))),
            .init("precision", .string("f32")),
            .init("uint8", .string("truncated clamp(127.5 x + 128, 0, 255)")),
            .init("version", .string(USPKit.version)),
        ])
    }
}
