// `usp robustness MODEL.. DATA`: accuracy on noisy inputs.

import ArgumentParser
import USPBase
import USPKit

struct RobustnessCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "robustness",
        abstract: "Measure classifiers on noisy images and latents, side by side.",
        discussion: """
            USP's first observation: networks that are pretrained on latents keep their accuracy on \
            noisy ones. All classifiers see the same samples with the same noise: of pixels (sigma of \
            values 0 to 1, as ImageNet-C and USP's --add_noise), of DDPM's process after t of 1,000 \
            steps, and of SiT's path, on what the network sees, latents or pixels (USP's \
            --add_t_noise).

            The models are classifiers that finetune writes, probes among them: for an encoder \
            itself, finetune --probe first. DATA is a folder of images with one subfolder for each \
            class, cut as for measuring accuracy, or a file of latents, which has no noise of pixels.

            A table, and with --output a folder: robustness.json and a curve of each noise, \
            robustness-pixels.svg, -ddpm.svg, -linear.svg.
            """)

    @Argument(help: "Classifiers, or NAME=FILE, and last the data to measure on.")
    var files: [String]

    @OptionGroup var seen: MeasuredArguments
    @OptionGroup var fitting: FittingSettings
    @OptionGroup var computing: ComputeArguments

    @Option(help: "Attention heads, where the files do not tell.")
    var heads: Int?

    @OptionGroup(title: "Noise") var settings: RobustnessSettings

    func validate() throws {
        if files.count < 2 { throw ValidationError("give a classifier or more, and the data") }
    }

    func run() throws {
        Interrupt.listen()
        ThreadPool.shared.threads = seen.threads
        var options = Robustness.Options()
        try settings.apply(to: &options)
        var loading = LoadOptions()
        loading.heads = heads
        try fitting.apply(to: &loading)
        try computing.apply(to: &loading)
        let models = try files.dropLast().map { file throws(USPError) in
            let (name, path) = named(file)
            return (name: name, model: try ViT.load(path, loading).told())
        }
        let vae = try seen.vae()
        let data = try seen.open(files[files.count - 1], vae, for: models.map(\.model), .evaluation)
        let found = try Robustness.measure(
            models, on: data, through: vae, options, progress: encodingProgress("robustness"))
        try seen.tell(found, as: "robustness")
    }

    /// `usp=a/b.safetensors`; without a name the file's, without its ending.
    private func named(_ text: String) -> (name: String, path: String) {
        if let equals = text.firstIndex(of: "="), !text[..<equals].contains("/") {
            return (String(text[..<equals]), String(text[text.index(after: equals)...]))
        }
        let name = text.split(separator: "/").last.map(String.init) ?? text
        return (ImageFiles.withoutEnding(name), text)
    }
}

/// Data to measure on, and where what was found is written.
struct MeasuredArguments: ParsableArguments {
    @Option(name: .customLong("vae"), help: "The autoencoder that images go through.")
    var file: String?

    @OptionGroup var autoencoder: AutoencoderArguments

    @Option(help: "Side of the square that images are cut to; without it what the model takes.")
    var size: Int?

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    @Option(name: .shortAndLong, help: "A folder to write: the numbers as JSON, pictures as SVG.")
    var output: String?

    @Option(help: "Threads; 0 means every processor.")
    var threads = 0

    func validate() throws {
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
    }

    func vae() throws(USPError) -> VAE? { try autoencoder.load(ifAny: file) }

    /// - models: of which the first tells the size of images
    func open(
        _ path: String, _ vae: VAE?, for models: [any Model], _ crop: Augmentation
    ) throws(USPError) -> DataSet {
        var options = DataOptions().measuring(crop)
        (options.asStored, options.batch) = (asStored, 1)
        if try !DataSet.holdsLatents(path) {
            let shape = models[0].inputShape(batch: 1)
            let isLatent = vae.map { $0.configuration.latentChannels == shape[1] } ?? false
            options.size = size ?? shape[2] * (isLatent ? vae?.factor ?? 1 : 1)
            if vae == nil { options.channels = shape[1] == 1 ? 1 : nil }
        }
        let data = try DataSet(path, vae, options)
        for note in data.leftOut { complain("note: \(path): \(note)") }
        for model in models {
            guard let note = model.otherLatents(than: data) else { continue }
            complain("note: the \(model.family) \(note)")
        }
        return data
    }

    func tell(_ found: Measurement, as name: String) throws(USPError) {
        print(found.table)
        guard let output else { return }
        for path in try found.write(to: output, as: name) { print(path) }
    }
}
