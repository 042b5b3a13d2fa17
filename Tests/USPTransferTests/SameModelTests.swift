// Nothing changes silently: each family's model, in each layout and format and after a transfer, is
// the same model again, or is refused in words that name what the layout cannot say. The tests go
// over the list of families and over their tables of fields, so a new family, and a new field, is in
// them without being asked.

import Foundation
import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

/// Small sizes, as far as a family has them.
private let small = [
    "grid": "4x4", "width": "16", "depth": "2", "heads": "2", "classes": "5",
    "decoder_width": "8", "decoder_depth": "1", "decoder_heads": "2", "base_width": "8",
    "multipliers": "1,2", "groups": "4", "blocks_per_level": "1", "frequencies": "8", "buffer": "3",
    "head_width": "8", "head_depth": "1",
    "head_channels": "16", "auxiliary_channels": "8", "projector": "8", "encoder_depth": "1",
]

private func small<Sizes: ModelConfiguration>(_ sizes: Sizes) throws -> Sizes {
    var sizes = sizes
    for field in Sizes.fields {
        if let value = small[field.name] { try sizes.set(field.name, value) }
    }
    return sizes
}

/// Fields of tiny autoencoders, which differ from the others in all of them at once: test_tiny.py.
private let ofTiny = [
    "tiny", "encoder_blocks", "decoder_blocks", "decoder_widths", "strided_stem", "pooled_blocks",
]

/// For each field of the table a configuration that differs in it, and where it cannot do so alone in
/// one more.
func variants<Sizes: ModelConfiguration>(
    _ base: Sizes
) throws -> [(field: String, sizes: any ModelConfiguration)] {
    var result: [(field: String, sizes: any ModelConfiguration)] = [("none", try small(base))]
    for field in Sizes.fields where !ofTiny.contains(field.name) {
        let (plain, values) = (try small(base), try others(field, small(base)))
        func changed(_ sizes: Sizes) -> Sizes? {
            values.lazy.compactMap { text -> Sizes? in
                var sizes = sizes
                guard (try? sizes.set(field.name, text)) != nil, (try? sizes.check()) != nil,
                    field.get(sizes)?.text != field.get(plain)?.text
                else { return nil }
                return sizes
            }.first
        }
        let beside = Sizes.fields.lazy.flatMap { other in
            others(other, plain).compactMap { text -> Sizes? in
                var sizes = plain
                return (try? sizes.set(other.name, text)) == nil ? nil : changed(sizes)
            }
        }
        let other = changed(plain) ?? beside.first
        result.append((field.name, try #require(other, "no other \(Sizes.title) \(field.name)")))
    }
    return result
}

/// Values that a field may take instead.
private func others<Sizes: ModelConfiguration>(_ field: Field<Sizes>, _ sizes: Sizes) -> [String] {
    switch (field.kind, field.get(sizes)) {
    case (.flag, .flag(let value)): [value ? "no" : "yes"]
    case (.flag, nil): ["yes", "no"]
    case (.integer, .integer(let value)): ["\(2 * value)", "\(value + 1)", "\(value + 2)"]
    case (.real, .real(let value)): ["\(2 * value)", "0.5"]
    case (.real, nil): ["0.5"]
    case (.choice(let names, _), _): names
    case (.grid, _): ["3x5"]
    case (.integers, _): ["1", "1,1", "0,0,0,0"]
    case (.integer, nil): ["12", "1"]
    case (.reals, _): ["0.5", "3"]
    default: []
    }
}

/// A model whose parameters are all random: fresh ones ignore time, label and gates.
private func model(_ sizes: any ModelConfiguration) throws -> any Model {
    let model = try createModel(sizes.family, sizes.text, seed: 3)
    if model is Inception { return model }
    for name in model.weights.names where !name.hasSuffix("pos_embed") {
        let weight = try model.weights[name]
        try weight.copy(from: randomTensor(weight.shape, name, scale: 0.2))
        for i in 0..<weight.count where name.hasSuffix("running_var") { weight.floats[i] = 1 }
    }
    return model
}

/// What the model computes.
///
/// - features: also what a classifier makes of its tokens, which its start may change
private func output(_ model: any Model, features: Bool = true) throws -> [Float] {
    var shape = model.inputShape(batch: 2)
    if model is VAE { shape = [2, shape[1], 8, 8] }
    switch model {
    case let model as VAE:
        let posterior = try model.encode(randomTensor(shape, "x"))
        return try posterior.logVariance.values + model.decode(posterior.mean).values
    case let model as MaskedAutoencoder: return try model.features(randomTensor(shape, "x")).values
    case let model as ViT:
        let tokens = try model.tokens(randomTensor(shape, "x"), in: Context()).values
        return features ? try tokens + model.features(randomTensor(shape, "x")).values : tokens
    case let model as DiT:
        return try model.forward(randomTensor(shape, "x"), t: [3, 700], y: [1, 0]).values
    case let model as MAR:
        let mask = try Tensor(
            [2, model.tokens], (0..<2 * model.tokens).map { $0 % model.tokens < 4 ? 0 : 1 })
        let z = try model.condition(randomTensor(shape, "x"), labels: [1, 0], mask: mask)
        return try model.denoise(
            randomTensor([2, model.patchSize], "token"), t: [3, 700],
            condition: z.detachedRows(0..<1).reshaped([model.tokens, z.shape[2]]).detachedRows(
                5..<7)
        ).values
    case let model as Segmenter: return try model.logits(randomTensor(shape, "x")).values
    case is Inception: return []
    default:
        Issue.record("no pass of a \(model.family)")
        return []
    }
}

private func expectSame(
    _ found: any Model, _ model: any Model, _ what: String, tolerance: Float = 0,
    features: Bool = true
) throws {
    #expect(found.family == model.family, "\(what)")
    let actual = try output(found, features: features)
    let expected = try output(model, features: features)
    let isSame =
        tolerance == 0 ? actual == expected : relativeError(actual, expected) <= Double(tolerance)
    #expect(isSame, "\(what): another output")
}

private let cases = Family.all.map(\.name)

private func eachVariant(
    _ family: String, _ body: (_ field: String, _ model: any Model) throws -> Void
) throws {
    for (field, sizes) in try variants(Family.named(family).defaults) {
        try body(field, model(sizes))
    }
}

@Test(arguments: cases) func aConfigurationMakesItsModelAgain(_ family: String) throws {
    try eachVariant(family) { field, model in
        let again = try createModel(family, model.configuration.text)
        #expect(again.configuration.text == model.configuration.text, "\(family) \(field)")
        let tables = [again, model].map { $0.parameters.specs.map { "\($0.name) \($0.shape)" } }
        #expect(tables[0] == tables[1], "\(family) \(field)")
        #expect(field == "none" || again.configuration.text.contains("\(field)="))
    }
}

@Test(arguments: cases, ["safetensors", "pt", "npz"])
func whatIsSavedIsLoaded(_ family: String, _ ending: String) throws {
    let path = NSTemporaryDirectory() + "usp-same-\(family)-\(ending)-\(getpid()).\(ending)"
    defer { unlink(path) }
    try eachVariant(family) { field, model in
        let what = "\(family) \(field) \(ending)"
        do {
            try model.save(path)
        } catch let error as USPError {
            #expect(ending == "npz" && error.kind == .unsupported, "\(what): \(error.message)")
            #expect(model is Inception || error.message.contains("has no place for the model's"))
            return
        }
        let found = try loadModel(path)
        #expect(found.configuration.text == model.configuration.text, "\(what)")
        try expectSame(found, model, what)
    }
}

@Test(arguments: cases, WrittenDialect.allCases)
func layoutsKeepTheModelOrRefuse(_ family: String, _ layout: WrittenDialect) throws {
    try eachVariant(family) { field, model in
        let what = "\(family) \(field) \(layout)"
        let file = try FileModel(model.checkpoint().selected)
        let arrays: [ArchiveEntry]
        do {
            arrays = try file.written(as: layout).map { array in
                let bytes = try array.parts.flatMap { try $0.bytes().array }
                return ArchiveEntry(
                    array.name, array.parts[0].dtype, array.shape,
                    bytes: try ByteBuffer(bytes).view)
            }
        } catch let error as USPError {
            #expect(layout == .diffusers && error.kind == .unsupported, "\(what): \(error.message)")
            return
        }
        let table = try ArchiveTable("", arrays)
        let told = Archive(
            path: "test", format: .safetensors, tables: [table], metadata: try file.carried())
        let found = try Family.named(family).load(told)
        #expect(found.configuration.text == model.configuration.text, "\(what)")
        try expectSame(found, model, what)

        // Names and shapes alone: what differs is exactly what is said to be untold.
        let untold = try file.untold(by: arrays.map { (name: $0.name, shape: $0.shape) })
        let bare = Archive(path: "test", format: .safetensors, tables: [table])
        var options = LoadOptions()
        for field in untold where field.taken.isEmpty && field.name != "family" {
            try options.set(field.name, field.value)
        }
        let values = try Family.named(family).load(bare, options).configuration.described
        let other = model.configuration.described.filter { field in
            values.first { $0.name == field.name }?.value != field.value
        }
        #expect(
            Set(other.map(\.name)) == Set(untold.filter { !$0.taken.isEmpty }.map(\.name)),
            "\(what): \(untold.map(\.phrase))")
    }
}

extension Family {
    fileprivate func load(
        _ archive: Archive, _ options: LoadOptions = LoadOptions()
    ) throws -> any Model {
        var options = options
        options.family = name
        return try loadModel(
            Checkpoint(archive, try #require(archive.tables.first)), options)
    }
}

/// A family's own weights through a plan: the blocks compute what they did.
@Test(arguments: cases) func transfersWithinAFamilyKeepIt(_ family: String) throws {
    guard try Family.named(family).defaults is any TransformerConfiguration else { return }
    try eachVariant(family) { field, model in
        let what = "\(family) \(field), transferred"
        // A plain DiT's norms are taken for affine ones that change nothing.
        let plan = try TransferPlan(model.checkpoint(), to: family)
        let found = try loadModel(plan.apply())
        try expectSame(found, model, what, tolerance: 1e-6, features: false)
    }
}

/// diffusers' DiT has another frequency shift and epsilon, which no name or shape tells.
@Test func aDiffusersTransformerStaysItself() throws {
    let path = "\(goldenPath)/models/dit_diffusers_params.safetensors"
    var options = LoadOptions()
    (options.heads, options.grid) = (3, Grid(8, 8))
    let original = try DiT.load(path, options)
    #expect(original.configuration.frequencyShift == 1 && original.configuration.epsilon == 1e-5)
    let saved = try loadModel(original.checkpoint())
    try expectSame(saved, original, "saved")
    let file = try FileModel(original.checkpoint().selected)
    let untold = try file.untold(
        by: file.written(as: .official).map { (name: $0.name, shape: $0.shape) })
    #expect(
        untold.map(\.phrase) == [
            "heads 3", "epsilon 1e-05 (readers take 1e-06)",
            "attention_epsilon 1e-06 (readers take none)", "frequency_shift 1 (readers take 0)",
        ])
    let moved = try loadModel(
        TransferPlan(Checkpoint.open(path), to: "DiT", transfer(heads: 3, grid: Grid(8, 8))).apply()
    )
    try expectSame(moved, original, "transferred", tolerance: 1e-6)
}

private func transfer(heads: Int, grid: Grid) -> TransferOptions {
    var options = TransferOptions()
    (options.heads, options.grid) = (heads, grid)
    return options
}

/// A file that says something else than its tensors is refused, naming the field; an option that is
/// given stands in place of what the file says.
@Test func whatAFileSaysIsHeldAgainstItsTensors() throws {
    let model = try createModel("MAE", "grid=4 width=16 depth=2 heads=2 decoder_width=0")
    let entries = try model.checkpoint().table.entries
    func load(_ text: String, heads: Int? = nil) throws -> MaskedAutoencoder.Configuration {
        let checkpoint = try Checkpoint(
            entries: entries, metadata: [("usp.family", "MAE"), ("usp.config", text)])
        var options = LoadOptions()
        options.heads = heads
        return try MaskedAutoencoder.load(checkpoint, options).configuration
    }
    func message(_ text: String) -> String {
        do {
            _ = try load(text)
            return "no error"
        } catch {
            return "\(error)"
        }
    }
    let right = "grid=4x4 width=16 depth=2 heads=2 decoder_width=0"
    #expect(try load(right).heads == 2 && load(right, heads: 4).heads == 4)
    #expect(message("\(right) epsilon=0.001") == "no error")
    #expect(try load("\(right) epsilon=0.001").epsilon == 0.001)
    #expect(
        message(right.replacing("depth=2", with: "depth=3"))
            .contains("usp.config says depth 3, the tensors' names and shapes 2"))
    #expect(message("\(right) wdith=3").contains("did you mean \"width\"?"))
    #expect(message("\(right) rope").contains("expected name=value"))
}

/// Files from before `usp.config` load as they did.
@Test func textsOfEarlierFilesAreRead() throws {
    let model = try createModel(
        "MAE", "grid=4x6 width=16 depth=1 heads=2 decoder_width=8 decoder_depth=1 decoder_heads=4")
    let entries = try model.checkpoint().table.entries
    let checkpoint = try Checkpoint(
        entries: entries,
        metadata: [
            ("usp.family", "MAE"), ("usp.heads", "2"), ("usp.grid", "4x6"),
            ("usp.decoder_heads", "4"), ("usp.activation", "gelu_erf"),
        ])
    #expect(try loadModel(checkpoint).configuration.text == model.configuration.text)
}

/// The source's GELU stays with a model that is trained on and saved (`keep_activation`).
@Test func activationsAreSaved() throws {
    let source = try createModel(
        "MAE", "grid=4 width=16 depth=1 heads=2 decoder_width=8 decoder_depth=1 decoder_heads=2")
    var options = TransferOptions()
    options.keepsActivation = true
    let model = try loadModel(TransferPlan(source.checkpoint(), to: "SiT", options).apply())
    let saved = try #require(try loadModel(model.checkpoint()) as? DiT)
    #expect(saved.configuration.activation == .geluErf && saved.family == "SiT")
}

/// Copying needs no heads: a reader asks for them, or was told.
@Test func headsThatNothingTellsAreAskedForLater() throws {
    let source = try Archive.open("\(goldenPath)/transfer/checkpoint-3.pth")
    let plan = try TransferPlan(source, TransferOptions(to: .named("SiT")))
    let made = try plan.apply()
    #expect(throws: USPError.self) { try loadModel(made) }
    var options = LoadOptions()
    options.heads = 2
    #expect(try DiT.load(made, options).configuration.heads == 2)
    var told = TransferOptions(to: .named("SiT"))
    told.heads = 2
    #expect(try (loadModel(TransferPlan(source, told).apply()) as? DiT)?.configuration.heads == 2)
}

/// 16 latent pixels, and a quarter of smaller tiles.
@Test(arguments: [2, 8, 16]) func tilesOverlapByWhatFits(_ tile: Int) throws {
    let model = try VAE(VAE.Configuration(text: "base_width=8 multipliers=1,1 groups=4"))
    var options = VAE.Options()
    options.tile = tile
    let latents = try randomTensor([1, 4, 20, 20], "z")
    let tiled = try model.decode(latents, options)
    options.overlap = min(16, tile / 4)
    #expect(try model.decode(latents, options).values == tiled.values)
}
