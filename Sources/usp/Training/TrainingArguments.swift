// What commands that train ask: the data, the run, the sizes of a fresh model.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

/// The data set.
struct DataArguments: ParsableArguments {
    @Argument(
        help: """
            A folder of PNG and JPEG images with one subfolder for each class; or latents: a file \
            of encode, or a folder of the original's npz files.
            """)
    var data: String

    @Option(help: "The autoencoder that images go through.")
    var vae: String?

    @Option(
        help: """
            Encode images once, cut in the middle, and keep the posterior of both orientations in \
            this file (or take it from there). Without it every step cuts and encodes anew, with \
            random crop and flip as the original.
            """)
    var cache: String?

    @Option(help: "Side of the square that images are cut to.")
    var size: Int?

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    /// With the autoencoder loaded; what is kept is encoded in f32.
    func source(_ compute: DType) throws(USPError) -> DataSource {
        let model = try vae.map { path throws(USPError) in
            var options = LoadOptions()
            options.compute = cache == nil ? compute : .float32
            return try VAE.load(path, options)
        }
        return DataSource(arguments: self, vae: model)
    }

    /// Of validation images.
    var validationCache: String? {
        cache.map { "\(ImageFiles.withoutEnding($0))-val.safetensors" }
    }
}

/// Data sets through one autoencoder.
struct DataSource {
    let arguments: DataArguments
    let vae: VAE?

    /// The command's data set.
    ///
    /// - size: of images unless the command says it, from the autoencoder's factor
    func open(
        _ options: DataOptions, size: (_ factor: Int) -> Int
    ) throws(USPError) -> DataSet {
        try open(arguments.data, options, cache: arguments.cache, size: size)
    }

    /// Another one.
    func open(
        _ path: String, _ options: DataOptions, cache: String?, size: (_ factor: Int) -> Int
    ) throws(USPError) -> DataSet {
        var options = options
        options.cache = cache
        options.asStored = arguments.asStored
        if try DataSet.holdsLatents(path) {
            try require(
                cache == nil, .argument, "--cache has no part in latents, which \(path) has")
            options.size = arguments.size ?? options.size
        } else {
            options.size = arguments.size ?? size(vae?.factor ?? 1)
        }
        let data = try DataSet(path, vae, options, progress: encodingProgress("encode"))
        for note in data.leftOut { complain("note: \(path): \(note)") }
        try require(
            !data.holdsPixels, .argument,
            "\(path): \(data.count) images, which need an autoencoder: give --vae")
        return data
    }
}

/// Shows how many images are done, and ends the work between two when interrupted.
func encodingProgress(_ title: String) -> (_ done: Int, _ all: Int) throws(USPError) -> Void {
    var progress: Progress?
    return { done, all throws(USPError) in
        try Interrupt.check()
        if progress == nil { progress = Progress(title, total: all, unit: "images") }
        progress?.update(done)
    }
}

extension DataSet {
    /// - Throws: `.argument` unless every sample has a label
    func requireLabels(_ path: String) throws(USPError) {
        try require(
            classes > 0, .argument,
            "\(path): no labels, which a folder with one subfolder for each class has, and what "
                + "encode makes of one")
    }

    /// The classes, for messages.
    var classText: String {
        classNames.isEmpty
            ? "0 to \(classes - 1)"
            : classNames.prefix(12).joined(separator: ", ") + (classes > 12 ? ", …" : "")
    }

    /// What a model's file keeps of the data.
    var notes: [(key: String, value: String)] {
        classNames.isEmpty
            ? []
            : [(key: "usp.class_names", value: JSON.array(classNames.map(JSON.string)).compact)]
    }
}

/// The run: its length, its rate, its files.
struct RunArguments: ParsableArguments {
    @Option(name: [.short, .long], help: "The model to write, .safetensors or .pt.")
    var output: String

    @Option(help: "Passes over the data.")
    var epochs: Double?

    @Option(help: "Steps, in place of passes.")
    var steps: Int?

    @Option(help: "Images a step.")
    var batch: Int?

    @Option(help: "Peak learning rate for a batch of 256; it grows with the batch.")
    var blr: Float?

    @Option(help: "Peak learning rate itself.")
    var lr: Float?

    @Option(help: "Where the rate's half cosine ends.")
    var minLr: Float?

    @Option(help: "Passes of linear warm-up.")
    var warmupEpochs: Double?

    @Option(help: "Seed of everything random.")
    var seed: UInt64 = 0

    @Option(help: "Save model and state every so many steps, every ten minutes, and at the end.")
    var saveEvery = 500

    @Option(help: "A line of the log every so many steps.")
    var logEvery = 10

    @Flag(help: "Start anew, whatever an earlier run has left.")
    var restart = false

    @Option(help: "Threads; 0 means every processor.")
    var threads = 0

    func validate() throws {
        let atLeastOne = [
            ("steps", steps), ("batch", batch), ("save-every", saveEvery), ("log-every", logEvery),
        ]
        for (name, value) in atLeastOne where (value ?? 1) < 1 {
            throw ValidationError("--\(name): \(value ?? 0), expected 1 or more")
        }
        for (name, value) in [("epochs", epochs), ("warmup-epochs", warmupEpochs)] {
            let value = value ?? 1
            guard value.isFinite, value >= 0, value < 1e9 else {
                throw ValidationError("--\(name): \(value), expected 0 or more")
            }
        }
        if steps != nil && epochs != nil {
            throw ValidationError("--steps and --epochs exclude each other")
        }
        if lr != nil && blr != nil {
            throw ValidationError("--lr and --blr exclude each other")
        }
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
    }

    /// Everything that the run's options decide, over a recipe's own values.
    func schedule(
        _ recipe: Recipe, _ data: DataSet, _ options: inout TrainerOptions
    ) throws(USPError) -> RunLength {
        let batch = data.options.batch
        try require(
            batch <= data.count, .argument,
            "--batch \(batch): there are \(data.count) samples")
        let epoch = data.stepsPerEpoch
        let wanted = steps ?? Int((epochs ?? recipe.epochs) * Double(epoch))
        let length = RunLength(steps: wanted, stepsPerEpoch: epoch)
        let scaled = (blr ?? recipe.blr) * Float(batch) / 256
        options.rate = lr ?? (blr == nil ? recipe.lr ?? scaled : scaled)
        options.minimumRate = minLr ?? recipe.minLr
        options.warmup =
            warmupEpochs.map { Int($0 * Double(epoch)) }
            ?? Int(recipe.warmup * Double(length.steps))
        options.steps = recipe.isConstant ? 0 : length.steps
        (options.weightDecay, options.seed) = (recipe.weightDecay, seed)
        return length
    }
}

/// What a command was told of its trainer.
protocol TrainerSettings {
    func apply(to options: inout TrainerOptions) throws(USPError)
}

extension PretrainingSettings: TrainerSettings {}
extension FinetuningSettings: TrainerSettings {}
extension DiffusionSettings: TrainerSettings {}

extension TrainerSettings {
    /// The type of the products' inputs.
    func dtype() throws(USPError) -> DType {
        var options = TrainerOptions()
        try apply(to: &options)
        return options.dtype
    }
}

/// Where a model starts: a file, or a published size, or sizes of one's own.
struct StartArguments: ParsableArguments {
    @Option(help: "Start from this file.")
    var from: String?

    @Option(help: "Start fresh, with the sizes of this published name.")
    var model: String?

    @Option(help: "A fresh model's patch, in latent pixels.")
    var patch: Int?

    @Option(help: "A fresh model's width.")
    var width: Int?

    @Option(help: "A fresh model's blocks.")
    var depth: Int?

    @Option(help: "Attention heads: a fresh model's, or the file's where it does not tell.")
    var heads: Int?

    func validate() throws {
        if from != nil && (model ?? "") != "" {
            throw ValidationError("--from and --model exclude each other")
        }
        if from != nil && (patch ?? width ?? depth) != nil {
            throw ValidationError("--from FILE has its own --patch, --width and --depth")
        }
    }

    /// For commands without a size of their own.
    func requireOne() throws {
        if from == nil && model == nil {
            throw ValidationError("give --from FILE, or --model NAME for a fresh one")
        }
    }

    /// The options' sizes and the data's channels and grid.
    func apply(to encoder: inout TransformerSizes, _ sample: Shape) throws(USPError) {
        encoder.patch = patch ?? encoder.patch
        encoder.width = width ?? encoder.width
        encoder.depth = depth ?? encoder.depth
        encoder.heads = heads ?? encoder.heads
        encoder.channels = sample[0]
        encoder.grid = try tokenGrid(sample, patch: encoder.patch)
    }
}

/// The tokens of a sample `[C, h, w]`.
///
/// - Throws: `.shape` for a patch that does not divide it
func tokenGrid(_ sample: Shape, patch: Int) throws(USPError) -> Grid {
    try require(
        patch > 0 && sample[1] % patch == 0 && sample[2] % patch == 0, .shape,
        "patch \(patch): does not divide latents of \(sample[1]) x \(sample[2])")
    return Grid(sample[1] / patch, sample[2] / patch)
}
