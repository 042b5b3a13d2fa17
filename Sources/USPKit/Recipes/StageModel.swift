// The model that a stage trains: fresh, loaded, or made of another model's weights.

import USPBase
import USPData
import USPDiffusion
import USPFiles
import USPModels
import USPTensor
import USPTraining
import USPTransfer

struct StageModel {
    let model: any Model
    private(set) var notes: [String] = []
    /// Those of them that tell of what is likely a mistake.
    private(set) var warnings: [String] = []

    private let recipe: Recipe
    private let options: StageOptions

    init(
        _ recipe: Recipe, _ options: StageOptions, _ start: StageStart, _ data: DataSet
    ) throws(USPError) {
        (self.recipe, self.options) = (recipe, options)
        try Self.expectFresh(start, options)
        let maker = StageMaker(recipe: recipe, options: options, start: start, data: data)
        switch recipe.stage {
        case "autoencoder": model = try maker.autoencoder()
        case "pretrain":
            model = try maker.maskedAutoencoder()
            notes = model.weights.notes
        case "finetune", "probe": (model, notes) = try maker.classifier()
        case "autoregress": (model, notes) = try maker.autoregressive()
        case "segment", "segment-linear": (model, notes) = try maker.segmenter()
        default: (model, notes) = try maker.diffusionTransformer()
        }
        if let note = model.otherLatents(than: data) { warn("\(maker.place): \(note)") }
        guard !(model is VAE) else { return }
        try expectSamples(data, model, maker.place)
        if let own = model as? MAR {
            try require(
                data.classes <= own.classes, .shape,
                "\(maker.place): has \(own.classes) classes, the data has \(data.classes); transfer "
                    + "with classes \(data.classes)")
        }
        guard let transformer = model as? DiT else { return }
        try require(
            data.classes <= transformer.classes, .shape,
            "\(maker.place): has \(transformer.classes) classes, the data has \(data.classes); "
                + "transfer with classes \(data.classes)")
        try require(
            transformer.nullClass != nil || options.trainer.labelDropout == 0, .argument,
            "\(maker.place): has no null class; give label_dropout 0")
    }

    private mutating func warn(_ note: String) {
        notes.append(note)
        warnings.append(note)
    }

    /// - Throws: `.argument` for sizes and blocks of a fresh model beside a start that has its own
    private static func expectFresh(
        _ start: StageStart, _ options: StageOptions
    ) throws(USPError) {
        if case .fresh = start { return }
        let ofFresh = ["patch", "width", "depth"] + StageOptions.switches
        let given = options.described(differingFrom: StageOptions()).map(\.name)
        try require(
            !given.contains(where: ofFresh.contains), .argument,
            "\(given.filter(ofFresh.contains).joined(separator: ", ")): of a fresh model, but the start "
                + "has its own; leave it out")
    }

    /// The process that a diffusion transformer learns.
    func setProcess(
        _ trained: inout TrainerOptions, _ options: StageOptions
    ) throws(USPError) {
        guard let transformer = model as? DiT else { return }
        let isFlow = transformer.configuration.isFlow
        for (name, value, hasPart) in [
            ("noise_schedule", options.noiseSchedule, !isFlow), ("path", options.path, isFlow),
            ("loss_weight", options.lossWeight, isFlow), ("times", options.times, isFlow),
            ("cosine_loss", options.cosineLoss ? "yes" : nil, isFlow),
        ] where value != nil && !hasPart {
            throw USPError(.argument, "\(name): has no part in a \(transformer.family)")
        }
        if isFlow {
            var process = Transport.Options()
            if let path = options.path { try process.set("path", path) }
            if let prediction = options.prediction { try process.set("prediction", prediction) }
            if let weight = options.lossWeight { try process.set("loss_weight", weight) }
            if let times = options.times { try process.set("times", times) }
            process.cosineLoss = options.cosineLoss
            trained.transport = try Transport(process)
        } else {
            var process = Diffusion.Options()
            if let schedule = options.noiseSchedule { try process.set("schedule", schedule) }
            if let prediction = options.prediction { try process.set("prediction", prediction) }
            process.variance = .of(learnsSigma: transformer.configuration.learnsSigma)
            trained.diffusion = try Diffusion(process)
        }
    }
}

/// Makes the model of a stage.
private struct StageMaker {
    let recipe: Recipe
    let options: StageOptions
    let start: StageStart
    let data: DataSet

    /// What messages call the model.
    var place: String {
        switch start {
        case .fresh: "the model"
        case .file(let path): path
        case .model(let model): "the \(model.family)"
        }
    }

    func autoencoder() throws(USPError) -> VAE {
        if case .model(let model) = start {
            guard let vae = model as? VAE else { throw other(model, "an autoencoder") }
            return vae
        }
        let levels = (0...7).first { 1 << $0 == options.factor }
        guard let levels else {
            throw USPError(.argument, "factor: \(options.factor), expected a power of 2 up to 128")
        }
        try require(
            data.options.size % options.factor == 0, .argument,
            "size: \(data.options.size), expected a multiple of the factor \(options.factor)")
        var sizes = VAE.Configuration()
        (sizes.imageChannels, sizes.latentChannels) = (data.sampleShape[0], options.latentChannels)
        (sizes.baseWidth, sizes.groups) = (options.baseWidth, 8)
        sizes.multipliers = (0...levels).map { min(1 << $0, 4) }
        (sizes.blocksPerLevel, sizes.hasMiddleAttention) = (1, false)
        return try VAE(sizes, seed: options.seed)
    }

    /// How a file to start from is read.
    private var loading: LoadOptions {
        var result = LoadOptions()
        (result.heads, result.decoderHeads) = (options.heads, options.decoderHeads)
        (result.table, result.ignore) = (options.table, options.ignore)
        result.isStrict = options.strict
        return result
    }

    /// What is said of a decoder.
    private func apply<Sizes>(
        to sizes: inout Sizes, _ width: WritableKeyPath<Sizes, Int>,
        _ depth: WritableKeyPath<Sizes, Int>, _ heads: WritableKeyPath<Sizes, Int>
    ) {
        if let value = options.decoderWidth { sizes[keyPath: width] = value }
        if let value = options.decoderDepth { sizes[keyPath: depth] = value }
        if let value = options.decoderHeads { sizes[keyPath: heads] = value }
    }

    func maskedAutoencoder() throws(USPError) -> MaskedAutoencoder {
        switch start {
        case .file(let path): return try MaskedAutoencoder.load(path, loading)
        case .model(let model):
            guard let own = model as? MaskedAutoencoder else {
                throw other(model, "a masked autoencoder")
            }
            return own
        case .fresh:
            var sizes = try MaskedAutoencoder.Configuration(named: options.model ?? "MAE-B/2")
            try apply(to: &sizes)
            apply(to: &sizes, \.decoderWidth, \.decoderDepth, \.decoderHeads)
            return try MaskedAutoencoder(sizes, seed: options.seed)
        }
    }

    /// For the data's classes and size; positions are resampled where it is another.
    func classifier() throws(USPError) -> (any Model, [String]) {
        let isProbe = recipe.stage == "probe"
        if case .fresh = start {
            var sizes = try ViT.Configuration(named: options.model ?? "ViT-B/2")
            try apply(to: &sizes)
            (sizes.classes, sizes.head) = (data.classes, isProbe ? .probe : .linear)
            sizes.pool = options.pool ?? (isProbe ? .token : .avg)
            return (try ViT(sizes, seed: options.seed), [])
        }
        let known = startNotes.classNames
        let areOthers =
            !known.isEmpty && !data.classNames.isEmpty && Set(known) != Set(data.classNames)
        return try transferred("ViT") { wanted in
            wanted.head = isProbe ? .probe : .fineTune
            wanted.pool = options.pool ?? (isProbe ? nil : .avg)
            wanted.hasFreshHead = areOthers
        }
    }

    /// What is said of a classifier's head, whose classes may not be the data's.
    private func headNotes(_ plan: TransferPlan) -> [String] {
        guard plan.configuration is ViT.Configuration,
            let own = sourceSizes as? ViT.Configuration, own.classes > 0
        else { return [] }
        let known = startNotes.classNames
        let rows = plan.entries.filter { $0.name.hasPrefix("head.") }
        guard rows.allSatisfy(\.isTransferred) else {
            return [
                "the head starts afresh: \(place) has one of \(own.classes) classes"
                    + (known.isEmpty ? "" : " (\(known.someText))")
                    + ", the data has \(data.classes) (\(data.classText))"
            ]
        }
        guard known.isEmpty || data.classNames.isEmpty else { return [] }
        return [
            "the head of \(place) goes on: its \(own.classes) classes"
                + (known.isEmpty ? ", of which it tells no names," : " (\(known.someText))")
                + " are taken for the data's one by one (\(data.classText))"
        ]
    }

    /// What the start tells of its training.
    private var startNotes: ModelNotes {
        switch start {
        case .fresh: ModelNotes()
        case .model(let model): model.notes
        case .file(let path): ModelNotes((try? Archive.open(path))?.metadata ?? [])
        }
    }

    /// As it is where it is one of the head and the classes, else of a transformer's weights.
    func segmenter() throws(USPError) -> (any Model, [String]) {
        guard let classes = options.classes else {
            throw USPError(.argument, "classes: is needed, how many classes the masks have")
        }
        let head: Segmenter.Head = recipe.stage == "segment" ? .upernet : .linear
        if case .fresh = start {
            var sizes = try Segmenter.Configuration(named: options.model ?? "Segmenter-B/2")
            try apply(to: &sizes)
            (sizes.classes, sizes.head, sizes.headChannels) = (classes, head, options.headChannels)
            sizes.relativePositions = options.relativePositions
            return (try Segmenter(sizes, seed: options.seed), [])
        }
        return try transferred("Segmenter") { wanted in
            (wanted.classes, wanted.headChannels) = (classes, options.headChannels)
            wanted.head = head == .linear ? .linear : .upernet
            wanted.relativePositions = options.relativePositions
        }
    }

    /// As it is where it is one, else of a transformer's weights.
    func diffusionTransformer() throws(USPError) -> (any Model, [String]) {
        switch start {
        case .fresh:
            // The recipe's own name yields to a family.
            let isAsked = options.family == nil || options.model != recipe.options.model
            let family = options.family ?? "SiT"
            let name = (isAsked ? options.model : nil) ?? "\(family)-B/2"
            var sizes = try DiT.Configuration(named: name)
            try require(
                options.family == nil || sizes.family == family, .argument,
                "family: \(family), but \(name) is a \(sizes.family)")
            try apply(to: &sizes)
            sizes.classes = data.classes
            guard let width = try teacherWidth() else {
                return (try DiT(sizes, seed: options.seed), [])
            }
            (sizes.projections, sizes.learnsSigma) = ([width], false)
            sizes.encoderDepth = Self.encoderDepth(sizes.depth)
            return (try DiT(sizes, seed: options.seed), [projectorNote(sizes)])
        case .model(let model):
            if let own = model as? DiT {
                try require(
                    options.family == nil || options.family == own.family, .argument,
                    "family: the model is a \(own.family)")
                if try needsNoProjectors(own) { return (own, []) }
                return try transferred(own.family, aligned)
            }
        case .file(let path):
            let file = try FileModel(
                Archive.open(path), table: options.table, ignoring: options.ignore)
            if file.kind == .diffusionTransformer {
                var loading = loading
                loading.family = options.family
                let model = try DiT.load(path, loading)
                if try needsNoProjectors(model) { return (model, model.weights.notes) }
                return try transferred(options.family ?? model.family, aligned)
            }
        }
        return try transferred(options.family ?? "SiT") {
            $0.gateBias = options.gateBias
            aligned(&$0)
        }
    }

    /// Of the features that training aligns with; nil without alignment.
    private func teacherWidth() throws(USPError) -> Int? {
        guard options.trainer.align != 0 else { return nil }
        guard let shape = data.featureShape else {
            throw USPError(
                .argument,
                "align: the data has no features of a teacher; give a teacher, or encode with one")
        }
        return shape[1]
    }

    /// Behind which block projectors read: REPA's for sizes of that many blocks.
    private static func encoderDepth(_ depth: Int) -> Int { min(depth > 12 ? 8 : 4, depth) }

    private func needsNoProjectors(_ model: DiT) throws(USPError) -> Bool {
        try teacherWidth() == nil || !model.configuration.projections.isEmpty
    }

    /// A target gets projectors where training aligns; from an encoder it becomes REPA's network.
    private func aligned(_ wanted: inout TransferOptions) {
        guard options.trainer.align != 0, let shape = data.featureShape else { return }
        wanted.projections = [shape[1]]
        let source = sourceSizes
        wanted.encoderDepth = Self.encoderDepth(source?.depth ?? 12)
        if let own = source as? DiT.Configuration {
            // It stays as it is, but for them.
            wanted.affine = own.affine
            if own.classes >= data.classes { wanted.classes = nil }
        } else {
            wanted.learnsSigma = false
        }
    }

    private var sourceSizes: (any TransformerConfiguration)? {
        switch start {
        case .fresh: return nil
        case .model(let model): return model.configuration as? any TransformerConfiguration
        case .file(let path):
            var reading = LoadOptions()
            reading.needsHeads = false
            let file = try? FileModel(
                Archive.open(path), table: options.table, ignoring: options.ignore)
            return (try? file?.sizes(reading)) as? any TransformerConfiguration
        }
    }

    private func projectorNote(_ sizes: DiT.Configuration) -> String {
        "a projector for features \(sizes.projections[0]) wide reads the tokens behind block "
            + "\(sizes.encoderDepth) of \(sizes.depth)"
            + (sizes.noiseTime == 1 ? "; time 1 is noise, as REPA's" : "")
    }

    /// As it is where it is one, else of a masked autoencoder's or encoder's weights.
    func autoregressive() throws(USPError) -> (any Model, [String]) {
        switch start {
        case .fresh:
            var sizes = try MAR.Configuration(named: options.model ?? "MAR-B")
            try apply(to: &sizes)
            apply(to: &sizes, \.decoderWidth, \.decoderDepth, \.decoderHeads)
            sizes.classes = data.classes
            sizes.buffer = options.buffer ?? sizes.buffer
            sizes.headWidth = options.headWidth ?? sizes.headWidth
            sizes.headDepth = options.headDepth ?? sizes.headDepth
            return (try MAR(sizes, seed: options.seed), [])
        case .model(let model):
            if let own = model as? MAR { return (own, []) }
        case .file(let path):
            let file = try FileModel(
                Archive.open(path), table: options.table, ignoring: options.ignore)
            if file.kind == .maskedAutoregressive {
                let model = try MAR.load(path, loading)
                return (model, model.weights.notes)
            }
        }
        return try transferred("MAR") {
            ($0.buffer, $0.headWidth) = (options.buffer, options.headWidth)
            ($0.headDepth, $0.decoderRule) = (options.headDepth, options.decoderRule)
        }
    }

    /// What a plan makes of the start's weights, and what it says.
    private func transferred(
        _ family: String, _ change: (inout TransferOptions) -> Void
    ) throws(USPError) -> (any Model, [String]) {
        var wanted = TransferOptions()
        (wanted.classes, wanted.seed) = (data.classes, options.seed)
        (wanted.heads, wanted.decoderHeads) = (options.heads, options.decoderHeads)
        (wanted.table, wanted.ignore) = (options.table, options.ignore)
        change(&wanted)
        let patch = try plan(family, wanted).configuration.patch
        wanted.grid = try tokenGrid(data.sampleShape, patch: patch)
        let plan = try plan(family, wanted)
        var loading = LoadOptions()
        (loading.family, loading.heads) = (family, options.heads)
        loading.compute = options.trainer.dtype
        let model = try loadModel(plan.apply(), loading)
        let share = Int((100 * plan.share).rounded())
        let made = (model as? DiT)?.configuration
        let ofProjectors = made.map { $0.projections.isEmpty ? [] : [projectorNote($0)] } ?? []
        let note =
            "\(family) from \(place): \(plan.totals.transferredTensors) of \(plan.totals.tensors) "
            + "tensors, \(share) % of the parameters, are transferred"
        return (model, plan.notes + [note] + headNotes(plan) + ofProjectors)
    }

    private func plan(
        _ family: String, _ options: TransferOptions
    ) throws(USPError) -> TransferPlan {
        switch start {
        case .file(let path): return try TransferPlan(path: path, to: family, options)
        case .model(let model):
            return try TransferPlan(model.checkpoint(), to: family, options)
        case .fresh: throw USPError(.internal, "a transfer of fresh weights")
        }
    }

    private func other(_ model: any Model, _ wanted: String) -> USPError {
        USPError(.argument, "start: is a \(model.family), expected \(wanted)")
    }

    /// The options' sizes and switches, and the data's channels and grid.
    private func apply<Sizes: TransformerConfiguration & Described>(
        to sizes: inout Sizes
    ) throws(USPError) {
        let isOfUsualHeads = options.width == nil
        sizes.patch = options.patch ?? sizes.patch
        sizes.width = options.width ?? sizes.width
        sizes.depth = options.depth ?? sizes.depth
        sizes.heads = options.heads ?? (isOfUsualHeads ? sizes.heads : max(1, sizes.width / 64))
        sizes.channels = data.sampleShape[0]
        sizes.grid = try tokenGrid(data.sampleShape, patch: sizes.patch)
        for (name, value) in options.described(differingFrom: StageOptions())
        where StageOptions.switches.contains(name) {
            try sizes.set(name, value)
        }
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

/// - place: what an error calls the model
/// - Throws: unless the model takes the data's samples
private func expectSamples(
    _ data: DataSet, _ model: any Model, _ place: String
) throws(USPError) {
    let given = data.sampleShape
    let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
    try require(
        given[0] == wanted[0], .shape,
        "\(place): takes latents of \(wanted[0]) channels, the data's have \(given[0])")
    try require(
        given == wanted, .shape,
        "\(place): takes latents \(wanted), the data's are \(given); --size (size) says how large images "
            + "become")
}
