// Models from files: every dialect, sizes inferred, strictness, and the way back out.

import Glibc
import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

private let golden: String = {
    "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Golden"
}()

private func open(_ name: String) throws -> Archive { try Archive.open("\(golden)/\(name)") }

private func options(heads: Int? = nil, decoderHeads: Int? = nil, grid: Grid? = nil) -> LoadOptions
{
    var options = LoadOptions()
    options.heads = heads
    options.decoderHeads = decoderHeads
    options.grid = grid
    return options
}

/// The archive with its entries under other names, and some left out or added.
private func renamed(
    _ archive: Archive, adding: [ArchiveEntry] = [], _ name: (String) -> String?
) throws -> Archive {
    let entries = archive.entries.compactMap { entry in name(entry.name).map { entry.renamed($0) } }
    return Archive(
        path: "test", format: .safetensors, tables: [try ArchiveTable("", entries + adding)])
}

private func entry(_ name: String, _ shape: Shape, _ value: Float = 1) throws -> ArchiveEntry {
    let values = [Float](repeating: value, count: shape.count)
    let bytes = values.withUnsafeBytes { Array($0) }
    return ArchiveEntry(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Test func uspPretrainingFile() throws {
    let archive = try open("transfer/checkpoint-3.pth")
    let (model, report) = try MaskedAutoencoder.load(archive, options(heads: 2, decoderHeads: 2))
    #expect(report.table == "model" && report.fits)
    #expect(
        model.configuration.grid == Grid(7, 7) && model.configuration.depth == 2)
    #expect(model.configuration.decoderWidth == 16 && model.configuration.decoderDepth == 1)
    #expect(report.loaded.allSatisfy { $0.action == "viewed" && !$0.isRenamed })
    let table = try archive.table("model")
    for spec in model.parameters.specs {
        let bytes = try #require(table[spec.name]).bytes().array
        let tensor = try model.parameters.tensor(spec.name)
        #expect(bytes == Array(UnsafeRawBufferPointer(start: tensor.raw, count: tensor.byteCount)))
    }
    #expect(message { _ = try MaskedAutoencoder.load(archive) }.contains("24 wide"))
    var owned = options(heads: 2, decoderHeads: 2)
    owned.borrows = false
    #expect(try MaskedAutoencoder.load(archive, owned).model.parameters.slab != nil)
}

@Test func encoderOnlyFile() throws {
    let archive = try renamed(open("models/mae_params.safetensors")) {
        $0.hasPrefix("decoder_") || $0 == "mask_token" ? nil : "module.\($0)"
    }
    let (model, report) = try MaskedAutoencoder.load(archive, options(heads: 3))
    #expect(!model.configuration.hasDecoder && report.table == "module")
    let images = try Tensor.zeros([1, 4, 16, 16])
    let masking = try Masking(key: RandomKey(seed: 1), batch: 1, tokens: 64, ratio: 0.75)
    #expect(
        message { _ = try model.forward(images, masking: masking, in: Context()) }
            .contains("cannot reconstruct"))
}

@Test func classifierFromPretraining() throws {
    let archive = try open("models/mae_params.safetensors")
    let (model, report) = try ViT.load(archive, options(heads: 3))
    #expect(model.configuration.pool == .token && report.fits)
    #expect(report.ignored.contains { $0.name == "mask_token" })
    var pooled = options(heads: 3)
    pooled.pool = .avg
    let (average, told) = try ViT.load(archive, pooled)
    #expect(average.configuration.pool == .avg)
    #expect(told.initialized.map(\.name) == ["fc_norm.weight", "fc_norm.bias"])
    #expect(told.ignored.contains { $0.name == "norm.weight" })
    let probe = try renamed(
        archive,
        adding: [
            entry("head.0.running_mean", [48]), entry("head.0.running_var", [48]),
            entry("head.0.num_batches_tracked", []), entry("head.1.weight", [7, 48]),
            entry("head.1.bias", [7]),
        ]
    ) { $0 }
    let probed = try ViT.load(probe, options(heads: 3)).model
    #expect(probed.configuration.head == .probe && probed.configuration.classes == 7)
}

@Test func tableWithoutARowForTheClass() throws {
    let archive = try open("models/mae_params.safetensors")
    let table = try archive.entry("pos_embed").bytes().array
    let without = ArchiveEntry(
        "pos_embed", .float32, [1, 64, 48], bytes: try ByteBuffer(Array(table[(48 * 4)...])).view)
    let other = try renamed(archive, adding: [without]) { $0 == "pos_embed" ? nil : $0 }
    for grid in [nil, Grid(8, 8)] {
        let model = try ViT.load(other, options(heads: 3, grid: grid)).model
        #expect(model.configuration.classToken && !model.configuration.embedsClass)
        #expect(
            try model.tokens(Tensor.zeros([1, 4, 16, 16]), in: Context()).shape == [1, 65, 48])
    }
    #expect(
        try ViT.load(archive, options(heads: 3)).model.configuration.transformer
            .embedsClass)
    // 63 patches and a class token are as many rows.
    let wide = try ViT.load(other, options(heads: 3, grid: Grid(7, 9))).model
    #expect(wide.configuration.embedsClass)
    #expect(
        message { _ = try ViT.load(other, options(heads: 3, grid: Grid(7, 7))) }
            .contains("not the grid 7x7"))
    // The decoder's table always has a row for the class, so as many rows have one too.
    let decoder = try entry("decoder_pos_embed", [1, 64, 32])
    let told = try renamed(other, adding: [decoder]) { $0 == "decoder_pos_embed" ? nil : $0 }
    #expect(
        message { _ = try MaskedAutoencoder.load(told, options(heads: 3)) }
            .contains("the 63 rows of pos_embed are no square; give the grid"))
}

@Test func diffusersTransformer() throws {
    let golden = try GoldenCase("models/dit_diffusers")
    let archive = try open("models/dit_diffusers_params.safetensors")
    for (epsilon, key) in [(nil, "out.eps_1e-05"), (1e-6, "out.eps_1e-06")] as [(Float?, String)] {
        var options = options(heads: 3, grid: Grid(8, 8))
        options.epsilon = epsilon
        let (model, report) = try DiT.load(archive, options)
        #expect(report.dialect == "diffusers DiT" && model.configuration.classes == 10)
        #expect(report.initialized.map(\.name) == ["pos_embed"])
        #expect(report.ignored.contains { $0.reason == "repeats t_embedder.mlp.0.weight" })
        let y = try model.forward(
            golden.tensor("in.x"), t: golden.indices("in.t").map { Float($0) },
            y: golden.indices("in.labels"), in: Context())
        #expect(relativeError(y.values, try golden.values(key)) < 1e-5)
        let file = FileNames(try FileModel(archive))
        let out = try file.exported(model.parameters.named)
        let names = Set(archive.entries.map(\.name))
        #expect(Set(out.map(\.name)).subtracting(["pos_embed"]) == names)
        for (name, tensor) in out where name != "pos_embed" {
            let entry = try archive.entry(name)
            #expect(tensor.shape == entry.shape)
            #expect(
                try Array(UnsafeRawBufferPointer(start: tensor.raw, count: tensor.byteCount))
                    == entry.bytes().array)
        }
    }
}

@Test func repeatedEmbeddersMustAgree() throws {
    let name = "transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.bias"
    let archive = try renamed(
        open("models/dit_diffusers_params.safetensors"), adding: [entry(name, [48])]
    ) { $0 == name ? nil : $0 }
    #expect(
        message { _ = try DiT.load(archive, options(heads: 3, grid: Grid(8, 8))) }.contains(
            "differs"))
}

@Test func diffusionFiles() throws {
    let archive = try open("models/dit_affine_params.safetensors")
    var wanted = options(heads: 3)
    wanted.family = "SiT"
    let model = try DiT.load(archive, wanted).model
    #expect(model.configuration.affine && model.configuration.learnsSigma)
    #expect(!model.configuration.returnsSigma && model.configuration.labels == 11)
    let legacy = try renamed(archive) { $0.replacing("blocks.1.", with: "decoder_blocks.0.") }
    #expect(try DiT.load(legacy, options(heads: 3)).model.configuration.depth == 2)
    // Half of what a switch takes is an error that names the rest, and heads are what shapes show.
    let lightning = try renamed(archive, adding: [entry("feat_rope.freqs_cos", [64, 12])]) { $0 }
    #expect(
        message { _ = try DiT.load(lightning, options(heads: 3)) }.contains(
            "heads: 3, but the file shows 4"))
    let normed = try renamed(archive, adding: [entry("blocks.0.attn.q_norm.weight", [16])]) { $0 }
    #expect(
        message { _ = try DiT.load(normed, options(heads: 3)) }.contains(
            "missing 7: blocks.0.attn.q_norm.bias"))
    let short = try renamed(
        archive, adding: [entry("blocks.0.adaLN_modulation.1.weight", [99, 48])]
    ) {
        $0 == "blocks.0.adaLN_modulation.1.weight" ? nil : $0
    }
    #expect(
        message { _ = try DiT.load(short, options(heads: 3)) }.contains(
            "expected 288 rows (shift, scale and gate of both halves) or 192 (without shifts)"))
}

@Test func everythingThatDoesNotFitInOneError() throws {
    let archive = try renamed(
        open("models/dit_affine_params.safetensors"),
        adding: [entry("blocks.0.norm1.bias", [5]), entry("stranger", [1])]
    ) {
        ["t_embedder.mlp.2.bias", "blocks.0.norm1.bias", "blocks.1.mlp.fc2.weight"].contains($0)
            ? nil : $0
    }
    let text = message { _ = try DiT.load(archive, options(heads: 3)) }
    for part in [
        "missing 2", "t_embedder.mlp.2.bias", "blocks.1.mlp.fc2.weight", "expected [48], got [5]",
        "unexpected 1: stranger",
    ] {
        #expect(text.contains(part), "\(text)")
    }
    var lenient = options(heads: 3)
    lenient.isStrict = false
    let report = try DiT.load(archive, lenient).report
    #expect(
        report.missing.count == 2 && report.mismatched.count == 1
            && report.unexpected == ["stranger"])
    #expect(report.text.contains("missing  t_embedder.mlp.2.bias"))
    #expect(try JSON(parsing: report.json.indented)["missing"]?.elements?.count == 2)
    #expect(
        message { _ = try VAE.load(archive) }.contains(
            "no autoencoder in it, but a diffusion transformer"))
    let other = try open("containers/training.pth")
    #expect(message { _ = try DiT.load(other) }.contains("no diffusion transformer in it"))
}

private func autoencoderNames(_ kind: String, _ column: Int) throws -> [String: String] {
    let file = try ByteView.file("\(golden)/models/\(kind)_names.json")
    var names: [String: String] = [:]
    for member in try JSON(parsing: file, "names").members ?? [] {
        names[member.key] = member.value.elements?[column].text
    }
    return names
}

@Test(arguments: ["vae", "vae_both_attention"], 0...1)
func diffusersAutoencoder(_ kind: String, _ generation: Int) throws {
    let native = try open("models/\(kind)_params.safetensors")
    let names = try autoencoderNames(kind, generation)
    var entries: [ArchiveEntry] = []
    for entry in native.entries {
        let name = try #require(names[entry.name])
        let isMatrix = entry.name.contains("attn") && entry.shape.rank == 4
        entries.append(
            try (isMatrix ? entry.reshaped(Shape(Array(entry.shape.extents.prefix(2)))) : entry)
                .renamed(name))
    }
    let archive = Archive(
        path: "test", format: .safetensors, tables: [try ArchiveTable("", entries)])
    let (model, report) = try VAE.load(archive)
    let (reference, _) = try VAE.load(native)
    #expect(
        model.configuration == reference.configuration && report.dialect == "diffusers autoencoder")
    #expect(report.loaded.allSatisfy { $0.action == "converted" })
    for spec in reference.parameters.specs {
        #expect(
            try model.parameters.tensor(spec.name).values
                == reference.parameters.tensor(spec.name).values)
    }
    let exported = try FileNames(FileModel(archive)).exported(model.parameters.named)
    for (name, tensor) in exported { #expect(try archive.entry(name).shape == tensor.shape) }
    #expect(exported.count == entries.count)
}

/// The archive with its model's arrays in another layout.
private func rewritten(_ archive: Archive, _ dialect: WrittenDialect) throws -> Archive {
    let file = try FileModel(archive)
    let entries = try file.written(as: dialect).map { array in
        let bytes = try array.parts.flatMap { try $0.bytes().array }
        return ArchiveEntry(
            array.name, array.parts[0].dtype, array.shape, bytes: try ByteBuffer(bytes).view)
    }
    return Archive(
        path: "test", format: .safetensors, tables: [try ArchiveTable("", entries)],
        metadata: try file.carried())
}

@Test(arguments: ["vae", "vae_both_attention"])
func autoencodersGoThroughBothLayouts(_ kind: String) throws {
    let native = try open("models/\(kind)_params.safetensors")
    let other = try rewritten(native, .diffusers)
    #expect(try Set(other.entries.map(\.name)) == Set(autoencoderNames(kind, 0).values))
    #expect(try FileModel(other).dialect.name == "diffusers autoencoder")
    let back = try rewritten(other, .official)
    for entry in native.entries {
        let again = try back.entry(entry.name)
        #expect(again.shape == entry.shape && again.dtype == entry.dtype)
        #expect(try again.bytes().array == entry.bytes().array)
    }
    #expect(back.entries.count == native.entries.count)
    let sizes = try FileModel(back).sizes() as? VAE.Configuration
    #expect(try sizes == FileModel(native).sizes() as? VAE.Configuration && sizes != nil)
}

@Test func transformersGoThroughBothLayouts() throws {
    let archive = try open("models/dit_diffusers_params.safetensors")
    let plain = try rewritten(archive, .official)
    let model = try DiT.load(plain, options(heads: 3, grid: Grid(16, 16))).model
    // What diffusers computes differently goes with the model.
    #expect(model.configuration.depth == 2 && model.configuration.frequencyShift == 1)
    #expect(model.configuration.epsilon == 1e-5)
    let back = try rewritten(plain, .diffusers)
    let names = Set(archive.entries.map(\.name)).subtracting(["pos_embed.pos_embed"])
    #expect(Set(back.entries.map(\.name)) == names)
    for entry in back.entries {
        #expect(try entry.bytes().array == archive.entry(entry.name).bytes().array)
    }
    let affine = try FileModel(open("models/dit_affine_params.safetensors"))
    #expect(message { _ = try affine.written(as: .diffusers) }.contains("no affine norms"))
    #expect(try affine.written(as: .training).count == affine.names.count)
    let masked = try FileModel(open("models/mae_params.safetensors"))
    #expect(message { _ = try masked.written(as: .diffusers) }.contains("no layout of MAE, ViT"))
}

@Test func compVisAutoencoder() throws {
    let native = try open("models/vae_params.safetensors")
    let archive = try renamed(native, adding: [entry("first_stage_model.loss.logvar", [])]) {
        "first_stage_model.\($0)"
    }
    let (model, report) = try VAE.load(archive)
    #expect(
        report.table == "first_stage_model" && report.ignored.first?.reason.contains("loss") == true
    )
    #expect(
        model.configuration.multipliers == [1, 2, 2] && model.configuration.blocksPerLevel == 1)
    #expect(model.configuration.normalization.scale == [0.18215])
    #expect(report.text.contains("assumed  latent scale 0.18215: the published one for 4 latent"))
    var given = LoadOptions()
    given.scale = 0.5
    let told = try VAE.load(archive, given)
    #expect(told.model.configuration.normalization.scale == [0.5] && told.report.assumed.isEmpty)
    let both = try VAE.load(open("models/vae_both_attention_params.safetensors")).model
    #expect(
        both.configuration.encoderAttentionLevels == [1]
            && both.configuration.decoderAttentionLevels == [1])
}

@Test func layerScaleIsTheModels() throws {
    let archive = try open("models/mae_params.safetensors")
    let factors: [(String, Float)] = [
        ("blocks.0.ls1", 0.5), ("blocks.0.ls2", -2), ("blocks.1.ls1", 3), ("blocks.1.ls2", 1),
    ]
    let scaled = try renamed(
        archive,
        adding: [entry("mask_token", [1, 48])]
            + factors.map { try entry("\($0).gamma", [48], $1) }
    ) { $0.hasPrefix("decoder_") || $0 == "mask_token" ? nil : $0 }
    let (model, report) = try ViT.load(scaled, options(heads: 3))
    #expect(report.dialect == "DINOv2" && report.fits && model.configuration.layerScale)
    for (name, factor) in factors {
        let kept = try model.parameters.tensor("\(name).gamma").values
        #expect(kept == [Float](repeating: factor, count: 48))
    }
    // The factors of a projection's rows.
    let folded = try FileModel(scaled).foldingLayerScale()
    for (name, factor) in [("blocks.0.attn.proj.weight", 0.5), ("blocks.0.mlp.fc2.bias", -2)]
        as [(String, Float)]
    {
        let original = try ViT.load(archive, options(heads: 3)).model.parameters.tensor(name)
        let source = try #require(folded.source(name))
        let made = try Tensor(original.shape)
        try source.fill(made)
        #expect(made.values == original.values.map { $0 * factor })
    }
    #expect(!folded.names.contains { $0.hasSuffix("gamma") })
    let registers = try renamed(archive, adding: [entry("reg_token", [1, 4, 48])]) { $0 }
    let registered = try ViT.load(registers, options(heads: 3)).model
    #expect(registered.configuration.registers == 4 && registered.configuration.leading == 5)
}

@Test func everyHalfPrecisionValueIsExact() throws {
    let words = (0...UInt16.max).map { $0 }
    let bytes = words.withUnsafeBytes { Array($0) }
    let entry = ArchiveEntry("x", .float16, [65536], bytes: try ByteBuffer(bytes).view)
    let tensor = try Tensor([65536])
    try entry.fill(tensor.floats)
    for (word, value) in zip(words, tensor.values) {
        let expected = Float(Float16(bitPattern: word))
        #expect(value.bitPattern == expected.bitPattern || (value.isNaN && expected.isNaN))
    }
}
