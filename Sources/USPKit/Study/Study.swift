// A study: what pretraining by USP does on one's own images, stage by stage. Each stage leaves its
// files and numbers in a folder, and is made again when what it was made of is another.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining
import USPTransfer

/// Where a study's images come from.
public enum StudySource: Sendable {
    /// A folder, with one subfolder for each class or without any.
    case folder(String)
    /// Fashion-MNIST: its idx files' folder; nil: where Debian's package has them.
    case fashionMNIST(String?)
    /// The photographs of Debian's wallpaper packages: the class of a square is its photograph.
    case wallpapers

    /// `fashion-mnist` and `colour` are the data sets that need no folder.
    public static let names = ["fashion-mnist", "colour"]

    /// - name: a folder, or one of `names`
    /// - Throws: `.argument` for neither
    public static func named(_ name: String) throws(USPError) -> StudySource {
        switch name {
        case "fashion-mnist": return .fashionMNIST(nil)
        case "colour": return .wallpapers
        default:
            try require(
                FolderListing.isFolder(name), .argument,
                "\(name): no folder, and none of \(names.joined(separator: ", "))")
            return .folder(name)
        }
    }

    /// The options of a length, as fits these images.
    public func options(_ length: StudyLength) -> StudyOptions {
        var result = StudyOptions(length)
        switch self {
        case .folder: break
        case .fashionMNIST:
            (result.size, result.channels, result.mirror) = (32, 1, false)
            (result.images, result.testImages) =
                length == .quick ? (8_000, 2_000) : (60_000, 10_000)
        case .wallpapers:
            // No two photographs are one's mirror image.
            result.crops = length == .quick ? 60 : 700
        }
        return result
    }
}

/// Where a study stands.
public struct StudyProgress: Sendable {
    /// What is being done, such as `5/8 generation from USP weights`.
    public let title: String
    public let done: Int
    /// In all.
    public let total: Int
    /// What is counted: `steps`, `images`.
    public let unit: String
    /// A number that is worth seeing, or nothing.
    public let note: String
}

/// A study of one set of images in one folder. One thread at a time, but for `requestSave`.
public final class Study {
    /// Its error ends the study; `.cancelled` is an interruption, after which the same call goes on.
    public typealias Tell = (StudyProgress) throws(USPError) -> Void

    public let source: StudySource
    public let options: StudyOptions
    let folder: StudyFolder
    private let tell: Tell
    private let running = Lock<Run?>(nil)
    /// The stages' numbers and how many there are.
    let outline: [String]
    /// The stage that this is a part of, for titles.
    private var whole: String?

    /// - out: a folder for the page, pictures, numbers and checkpoints; the state of an earlier study
    ///   there is gone on with, as far as it was made of the same images and settings
    /// - progress: told before and during each stage
    /// - Throws: `.argument` for options that do not fit each other; `.io` for a folder that cannot be
    ///   written
    public init(
        _ source: StudySource, _ options: StudyOptions, to out: String,
        progress: @escaping Tell = { _ in }
    ) throws(USPError) {
        try options.check()
        try checkSolvers(options)
        (self.source, self.options, tell) = (source, options, progress)
        outline =
            ["images", "autoencoder", "judge", "pretraining"]
            + options.parts.filter { $0 != "observations" || options.has(.understanding) }
            + (options.ablate.isEmpty ? [] : ["ablations"])
        folder = try StudyFolder(out)
    }

    /// The same images with other options, in a folder two levels below.
    ///
    /// - path: `stage/name`
    init(of study: Study, _ options: StudyOptions, _ path: String) throws(USPError) {
        whole = String(path.prefix { $0 != "/" })
        (source, self.options, tell, outline) = (study.source, options, study.tell, study.outline)
        folder = try StudyFolder(study.folder.file(path))
    }

    /// Everything, from images to the page.
    ///
    /// - Throws: `.cancelled` when `progress` said so: all that was done has been saved
    public func run() throws(USPError) {
        let clock = Stopwatch()
        do {
            try stages()
        } catch {
            folder.addSeconds("total", clock)
            try folder.saveResults()
            guard error.kind == .cancelled else { throw error }
            throw USPError(.cancelled, "study: interrupted; the same command goes on from there")
        }
        folder.addSeconds("total", clock)
        folder.results[number: "peak_rss_mb"] = max(
            folder.results[number: "peak_rss_mb"] ?? 0, Double(SystemMemory.peakResident) / 1e6)
        folder.results[text: "settings"] = options.text
        folder.results[text: "command"] = call
        try folder.saveResults()
        try folder.write(folder.file("metrics.json"), folder.results.metrics.indented)
        let page = StudyPage(results: folder.results, options: options, folder: folder.path)
        try folder.write(folder.file("index.html"), page.html())
    }

    private func stages() throws(USPError) {
        let images = try openImages()
        let coded = try encode(images)
        let judging = try judge(images, coded)
        let encoders = try pretrain(coded, images)
        let generated = options.align == 0 ? coded : try taught(coded, by: encoders[0])
        if options.has(.generation) || options.has(.solvers) {
            try generate(encoders, judging, generated)
        }
        if options.has(.combinations) { try combine(encoders, judging, coded, images) }
        if options.has(.autoregression) { try autoregress(encoders[0], judging, coded) }
        if options.has(.understanding) { try understand(encoders, images, coded) }
        if options.has(.solvers) { try compareSolvers(judging, coded) }
        for name in options.ablate {
            try ablate(Ablation.named(name), images, coded, judging, encoders[0])
        }
        tellCommands(judging, coded)
    }

    /// The page's numbers, as metrics.json has them.
    public var metrics: String { folder.results.metrics.indented }

    /// The result in a few lines.
    public var headline: String { folder.results.headline }

    /// Saves after the step under way, and goes on; any thread.
    public func requestSave() { running.withLock { $0?.requestSave() } }

    // MARK: stages

    /// Runs a stage, unless an earlier run has done the same.
    ///
    /// - inputs: what its result depends on: keys of earlier stages, settings
    /// - files: what it leaves in the folder
    /// - Returns: what stands for its result
    @discardableResult
    func stage(
        _ name: String, of inputs: [String], leaving files: [String] = [],
        _ body: () throws(USPError) -> Void
    ) throws(USPError) -> String {
        var print = Fingerprint()
        for input in [version, name, "\(options.seed)"] + inputs { print.add(input) }
        let key = print.text
        guard !folder.isDone(name, key, files) else { return key }
        try folder.begin(name, key)
        let clock = Stopwatch()
        do {
            try body()
        } catch {
            folder.addSeconds(name, clock)
            try folder.saveResults()
            throw error
        }
        folder.addSeconds(name, clock)
        try folder.finish(name, key)
        return key
    }

    /// The values of these options, for a stage's inputs.
    func said(_ names: String...) -> [String] {
        options.described.filter { names.contains($0.name) }.map { "\($0.name)=\($0.value)" }
    }

    /// `3/8 judge`
    func title(_ part: String, _ detail: String = "") -> String {
        let place = (outline.firstIndex(of: whole ?? part) ?? 0) + 1
        return "\(place)/\(outline.count) \(detail.isEmpty ? part : detail)"
    }

    func report(
        _ title: String, _ done: Int, _ total: Int, _ unit: String = "images", _ note: String = ""
    ) throws(USPError) {
        try tell(
            StudyProgress(title: title, done: done, total: total, unit: unit, note: note))
    }

    /// A seed for a named run, another one for each of the comparison's repetitions.
    func seed(_ name: String, _ number: Int = 0) -> UInt64 {
        let key = RandomKey(seed: options.seed).stream(name)
        return (number == 0 ? key : key.stream(number)).stream
    }

    /// Trains to the end, from where an earlier run stopped; its losses become a curve.
    ///
    /// - after: called with the number of steps at the beginning, and after every step before anything
    ///   is saved
    func train(
        _ name: String, _ title: String, curve: String, steps: Int,
        _ make: (String, RunOptions) throws(USPError) -> Run,
        after: (Int) throws(USPError) -> Void = { _ in }
    ) throws(USPError) {
        var options = RunOptions()
        (options.command, options.steps) = (name, steps)
        (options.logEvery, options.saveEvery) = (max(1, steps / 200), max(50, steps / 20))
        let run = try make(folder.statePath(name + ".safetensors"), options)
        running.withLock { $0 = run }
        defer { running.withLock { $0 = nil } }
        try after(run.resumed)
        try run.train(progress: { told throws(USPError) in
            try report(
                title, told.report.step, told.steps, "steps",
                "loss \(decimal(Double(told.report.loss), 4))")
            try after(told.report.step)
        })
        var losses = Curve()
        let log = try ByteView.file(folder.statePath(name + "-log.jsonl"))
        for line in try log.text.split(separator: "\n") {
            let entry = try JSON(parsing: String(line))
            guard let step = entry["step"]?.integer, let loss = entry["loss"]?.number else {
                continue
            }
            losses.append(step, loss)
        }
        folder.results[curve: curve] = losses
    }

    /// A stage of the pipeline by its recipe, run to the end; how to repeat it goes to the results.
    ///
    /// - data: what commands call the data
    /// - start: the name of a file of the folder
    /// - Returns: the stage, whose model is trained
    func train(
        _ name: String, _ title: String, _ recipe: Recipe, on data: DataSet, called path: String,
        _ said: [(name: String, value: String)], from start: String? = nil, curve: String,
        validation: DataSet? = nil, validationPath: String? = nil,
        after: (Int, Stage) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> Stage {
        let stage = try Stage(
            recipe, on: data, through: nil, recipe.with(said),
            from: start.map { .file(folder.file($0)) } ?? .fresh, validation: validation)
        try train(
            name, title, curve: curve, steps: stage.steps,
            { output, options throws(USPError) in try stage.run(to: output, options) },
            after: { step throws(USPError) in try after(step, stage) })
        folder.results[text: "command." + name] = command(
            recipe, path, said, start.map { folder.file($0) }, validationPath,
            folder.file("again-\(name).safetensors"))
        return stage
    }

    /// The tool's call that makes the whole study.
    var call: String {
        let name =
            switch source {
            case .folder(let path): quoted(path)
            case .fashionMNIST(let path):
                "fashion-mnist" + (path.map { " --idx \(quoted($0))" } ?? "")
            case .wallpapers: "colour"
            }
        let words = options.described(differingFrom: source.options(.standard)).map {
            flag($0.name.split(separator: "_").joined(separator: "-"), $0.value)
        }
        return (["usp study", name] + words + ["-o \(quoted(folder.path))"]).joined(
            separator: " ")
    }

    private func flag(_ name: String, _ value: String) -> String {
        switch value {
        case "yes": "--\(name)"
        case "no": "--no-\(name)"
        default: "--\(name) \(quoted(value))"
        }
    }

    /// The tool's call that makes a stage again.
    private func command(
        _ recipe: Recipe, _ data: String, _ said: [(name: String, value: String)],
        _ start: String?, _ validation: String?, _ output: String
    ) -> String {
        let verb = recipe.stage == "autoregress" ? "train" : recipe.stage
        let names = ["rate": "lr", "minimum_rate": "min-lr"]
        let words = said.map { name, value in
            flag(names[name] ?? name.split(separator: "_").joined(separator: "-"), value)
        }
        return
            ([
                "usp",
                recipe.stage == "probe"
                    ? "finetune \(quoted(data)) --probe" : "\(verb) \(quoted(data))",
            ]
            + (start.map { ["--from \(quoted($0))"] } ?? [])
            + (validation.map { ["--val \(quoted($0))"] } ?? []) + words
            + ["-o \(quoted(output))"]).joined(separator: " ")
    }

    /// Weights of another family's model, started from an encoder's file; everything that the encoder
    /// does not have is fresh.
    ///
    /// - Returns: the name of their file
    func transfer(
        _ file: String, to family: String, as name: String, seed: UInt64, classes: Int,
        _ change: (inout TransferOptions) -> Void
    ) throws(USPError) -> String {
        var wanted = TransferOptions()
        (wanted.seed, wanted.classes) = (seed, classes)
        change(&wanted)
        let start = "state/\(name)-start.safetensors"
        try TransferPlan(path: folder.file(file), to: family, wanted).apply().save(
            folder.file(start))
        return start
    }
}

/// As a shell reads it.
func quoted(_ path: String) -> String {
    let isPlain = path.utf8.allSatisfy { byte in
        byte >= 0x2B && byte <= 0x3A || byte >= 0x40 && byte <= 0x5A || byte == 0x5F
            || byte >= 0x61 && byte <= 0x7A
    }
    return isPlain && !path.isEmpty
        ? path
        : "'"
            + path.split(separator: "'", omittingEmptySubsequences: false).joined(
                separator: "'\\''") + "'"
}

/// Calls the body for consecutive parts of 0 ..< count.
func inBatches(
    _ count: Int, _ size: Int, _ body: (Range<Int>) throws(USPError) -> Void
) throws(USPError) {
    for first in stride(from: 0, to: count, by: size) {
        try body(first..<min(count, first + size))
    }
}
