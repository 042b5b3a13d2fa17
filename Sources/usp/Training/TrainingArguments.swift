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
            A folder of PNG and JPEG images with one subfolder for each class (pretrain and train take one \
            without, too); or latents: a file of encode, or a folder of the original's npz files.
            """)
    var data: String

    @Option(help: "The autoencoder that images go through.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments

    @Option(
        help: """
            Encode images once, cut in the middle, and keep the posterior of both orientations in \
            this file (or take it from there). Without it every step cuts and encodes anew, with \
            random crop and flip as the original.
            """)
    var cache: String?

    @Option(help: "Side of the square that images are cut to.")
    var size: Int?

    @OptionGroup var reading: ReadingArguments

    /// With the autoencoder loaded; what is kept is encoded in f32.
    func source(_ compute: DType) throws(USPError) -> DataSource {
        let model = try autoencoder.load(ifAny: vae) {
            $0.compute = cache == nil ? compute : .float32
        }
        return DataSource(arguments: self, vae: model)
    }

    /// Of validation images.
    var validationCache: String? {
        cache.map { "\(ImageFiles.withoutEnding($0))-val.safetensors" }
    }
}

/// How the images of a data set are read.
struct ReadingArguments: ParsableArguments {
    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    @Flag(
        help: """
            Take another image of its class in the place of one that cannot be read, or that is gone \
            since an interruption; which they are is said. Else such an image is an error.
            """)
    var skipUnreadable = false

    func apply(to options: inout DataOptions) {
        (options.asStored, options.skipUnreadable) = (asStored, skipUnreadable)
    }
}

/// A frozen teacher of representation alignment.
struct TeacherArguments: ParsableArguments {
    @Option(
        help: """
            An encoder of images (DINOv2, or any ViT) whose tokens are the features that training with \
            --align compares with; its positions are resampled as REPA does.
            """)
    var teacher: String?

    @Option(
        help: """
            How the teacher's images are prepared, where its file does not tell: dinov2, jepa, clip, \
            mae, mocov3, dinov1.
            """)
    var teacherEncoder: String?

    @Option(
        help: """
            Side of the square that the teacher is shown; without it as many of its patches as the \
            image has pixels over 16: 224 for patches of 14 and images of 256.
            """)
    var teacherSize: Int?

    @Option(help: "Type of features in a file: f16 (default), bf16, f32.")
    var featureType: String?

    @Option(help: "The teacher's attention heads, where its file does not tell.")
    var teacherHeads: Int?

    func apply(to options: inout DataOptions) throws(USPError) {
        guard let teacher else {
            for (name, isSet) in [
                ("teacher-encoder", teacherEncoder != nil), ("teacher-size", teacherSize != nil),
                ("teacher-heads", teacherHeads != nil), ("feature-type", featureType != nil),
            ] where isSet {
                throw USPError(.argument, "--\(name) has no part without --teacher")
            }
            return
        }
        var loading = LoadOptions()
        (loading.heads, loading.positions) = (teacherHeads, .antialiased)
        let model = try ViT.load(teacher, loading)
        for note in model.weights.notes { complain("note: \(note)") }
        options.teacher = try model.featureTeacher
        if let teacherEncoder { try options.set("teacher_encoder", teacherEncoder) }
        options.teacherSize = teacherSize
        if let featureType { try options.set("feature_type", featureType) }
    }
}

/// Data sets through one autoencoder.
struct DataSource {
    let arguments: DataArguments
    let vae: VAE?

    /// The command's data set, as the run saw it that the command goes on with.
    ///
    /// - size: of images unless the command says it, from the autoencoder's factor
    func open(
        _ options: DataOptions, _ run: RunArguments, size: (_ factor: Int) -> Int
    ) throws(USPError) -> DataSet {
        let data = try open(arguments.data, options, cache: arguments.cache, size: size)
        return run.restart ? data : try Run.data(data, continuing: run.output)
    }

    /// Another one.
    func open(
        _ path: String, _ options: DataOptions, cache: String?, size: (_ factor: Int) -> Int
    ) throws(USPError) -> DataSet {
        var options = options
        options.cache = cache
        arguments.reading.apply(to: &options)
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
        if progress == nil { progress = Progress(title, total: all, unit: "images", done: done) }
        progress?.update(done)
    }
}

/// The run: its length, its rate, its files.
struct RunArguments: ParsableArguments {
    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: "The model to write, .safetensors or .pt.")
    var file: String?

    /// Empty where a command writes none.
    var output: String { file ?? "" }

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

    @Option(help: "Steps of linear warm-up, in place of passes.")
    var warmup: Int?

    @Option(help: "Seed of everything random.")
    var seed: UInt64 = 0

    @Option(help: "Save model and state every so many steps, every ten minutes, and at the end.")
    var saveEvery = 500

    @Option(help: "A line of the log every so many steps.")
    var logEvery = 10

    @Option(
        help: """
            A folder for TensorBoard: event files with the numbers of the log, with pictures of samples \
            and of an autoencoder's reconstructions.
            """)
    var logDir: String?

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
        if warmup != nil && warmupEpochs != nil {
            throw ValidationError("--warmup and --warmup-epochs exclude each other")
        }
        if (warmup ?? 0) < 0 {
            throw ValidationError("--warmup: \(warmup ?? 0), expected 0 or more")
        }
        if lr != nil && blr != nil {
            throw ValidationError("--lr and --blr exclude each other")
        }
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
    }

    /// For commands that write a model.
    func requireOutput() throws {
        if file == nil { throw ValidationError("Missing expected argument '--output <output>'") }
    }

    /// What was said, by the names of the stage's options.
    var said: [(name: String, value: String)] {
        let all: [(String, String?)] = [
            ("batch", batch.map(String.init)), ("steps", steps.map(String.init)),
            ("epochs", epochs.map { "\($0)" }), ("rate", lr.map { "\($0)" }),
            ("blr", blr.map { "\($0)" }), ("minimum_rate", minLr.map { "\($0)" }),
            ("warmup_epochs", warmupEpochs.map { "\($0)" }),
            ("warmup", warmup.map(String.init)), ("seed", String(seed)),
        ]
        return all.compactMap { name, value in value.map { (name, $0) } }
    }
}

extension StageOptions {
    /// The recipe's options with what a command was told.
    init(
        _ recipe: Recipe, _ training: RunArguments, _ start: StartArguments,
        _ settings: any TrainerSettings, _ more: [(String, String?)] = []
    ) throws(USPError) {
        self = recipe.options
        let own = more.compactMap { name, value in value.map { (name: name, value: $0) } }
        try change(training.said + start.said + own, in: recipe.stage)
        try settings.apply(to: &trainer)
        join(Job.ranks)
    }

    /// The ranks that train together.
    mutating func join(_ ranks: Ranks?) { (trainer.ranks, data.ranks) = (ranks, ranks) }
}

/// What a command was told of its trainer.
protocol TrainerSettings {
    func apply(to options: inout TrainerOptions) throws(USPError)
}

extension PretrainingSettings: TrainerSettings {}
extension FinetuningSettings: TrainerSettings {}
extension SegmentationSettings: TrainerSettings {}
extension DiffusionSettings: TrainerSettings {}

extension TrainerSettings {
    /// The type of the products' inputs.
    func dtype() throws(USPError) -> DType {
        var options = TrainerOptions()
        try apply(to: &options)
        return options.dtype
    }
}

/// What of a masked autoregressive model its start or its published name does not say.
struct AutoregressionArguments: ParsableArguments {
    @Option(help: "A fresh decoder's width.")
    var decoderWidth: Int?

    @Option(help: "A fresh decoder's blocks.")
    var decoderDepth: Int?

    @Option(help: "A decoder's heads.")
    var decoderHeads: Int?

    @Option(help: "Rows of the class in front of the patches; MAR's 64 where nothing tells.")
    var buffer: Int?

    @Option(help: "Width of the diffusion head.")
    var headWidth: Int?

    @Option(help: "Residual blocks of the diffusion head.")
    var headDepth: Int?

    @Option(help: "A transferred decoder: continue, fresh; by default the source's where it fits.")
    var decoderRule: String?

    /// By the names of the stage's options.
    var said: [(String, String?)] {
        [
            ("decoder_width", decoderWidth.map(String.init)),
            ("decoder_depth", decoderDepth.map(String.init)),
            ("decoder_heads", decoderHeads.map(String.init)),
            ("buffer", buffer.map(String.init)), ("head_width", headWidth.map(String.init)),
            ("head_depth", headDepth.map(String.init)), ("decoder_rule", decoderRule),
        ]
    }
}

/// What a fresh model's blocks are.
struct BlockArguments: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "A fresh model's norms are RMS norms.")
    var rmsNorm: Bool?

    @Flag(inversion: .prefixedNo, help: "A fresh model's MLPs are SwiGLU.")
    var swiglu: Bool?

    @Flag(inversion: .prefixedNo, help: "A fresh model has rotary positions beside its table.")
    var rope: Bool?

    @Flag(inversion: .prefixedNo, help: "A fresh model norms queries and keys.")
    var qkNorm: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: "Each half of a fresh model's blocks has a factor a channel.")
    var layerScale: Bool?

    @Option(help: "A fresh model's learned tokens without a place.")
    var registers: Int?

    /// By the names of the stage's options.
    var said: [(String, String?)] {
        [
            ("rms_norm", rmsNorm), ("swiglu", swiglu), ("rope", rope), ("qk_norm", qkNorm),
            ("layer_scale", layerScale),
        ].map { name, value in (name, value.map { $0 ? "yes" : "no" }) }
            + [("registers", registers.map(String.init))]
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

    @OptionGroup var blocks: BlockArguments

    @Option(help: "Names of arrays of the file of --from that are left aside, with commas.")
    var ignore: String?

    @Option(help: "Nested table of the file of --from; without it what the family's readers take.")
    var table: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Anything else of the file of --from that does not fit is an error.")
    var strict: Bool?

    func validate() throws {
        if from == nil && (ignore != nil || table != nil || strict != nil) {
            throw ValidationError("--ignore, --table, --strict: have a part beside --from only")
        }
        if from != nil && (model ?? "") != "" {
            throw ValidationError("--from and --model exclude each other")
        }
        if from != nil && (patch ?? width ?? depth) != nil {
            throw ValidationError("--from FILE has its own --patch, --width and --depth")
        }
        if let (name, _) = blocks.said.first(where: { $0.1 != nil }), from != nil {
            let option = name.split(separator: "_").joined(separator: "-")
            throw ValidationError("--from FILE has its own blocks; --\(option) is of a fresh model")
        }
    }

    /// For commands without a size of their own.
    func requireOne() throws {
        if from == nil && model == nil && (patch ?? width ?? depth) != nil {
            throw ValidationError(
                "--patch, --width, --depth: sizes of a fresh model, which --model NAME begins with")
        }
        if from == nil && model == nil {
            throw ValidationError("give --from FILE, or --model NAME for a fresh one")
        }
    }

    /// How the file of `--from` is read as it is.
    func loading() throws(USPError) -> LoadOptions {
        var result = LoadOptions()
        (result.heads, result.table) = (heads, table)
        if let ignore { try result.set("ignore", ignore) }
        result.isStrict = strict ?? true
        return result
    }

    /// What was said, by the names of the stage's options.
    var said: [(name: String, value: String)] {
        let all: [(String, String?)] =
            [
                ("from", from), ("model", model), ("patch", patch.map(String.init)),
                ("width", width.map(String.init)), ("depth", depth.map(String.init)),
                ("heads", heads.map(String.init)), ("ignore", ignore), ("table", table),
                ("strict", strict.map { $0 ? "yes" : "no" }),
            ] + blocks.said
        return all.compactMap { name, value in value.map { (name, $0) } }
    }
}
