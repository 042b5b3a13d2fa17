// Options that change one thing of a transfer, and what a plan refuses.

import Glibc
import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

private func entry(_ name: String, _ shape: Shape, _ value: Float = 1) throws -> ArchiveEntry {
    let bytes = [Float](repeating: value, count: shape.count).withUnsafeBytes { Array($0) }
    return ArchiveEntry(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
}

/// The small checkpoint's model with other entries in the place of those of their names.
private func changed(
    _ entries: [ArchiveEntry], without: (String) -> Bool = { _ in false }
) throws -> Archive {
    let names = Set(entries.map(\.name))
    let kept = try pretrained().table("model").entries.filter {
        !names.contains($0.name) && !without($0.name)
    }
    return Archive(
        path: "test", format: .safetensors, tables: [try ArchiveTable("", kept + entries)])
}

private func made(_ plan: TransferPlan, _ name: String) throws -> [Float] {
    try floats(try #require(try plan.arrays().first { $0.name == name }))
}

private func diffusion() throws -> Archive {
    try Archive.open("\(goldenPath)/models/dit_affine_params.safetensors")
}

private func error(_ options: TransferOptions, _ source: Archive? = nil) throws -> USPError? {
    let source = try source ?? pretrained()
    return #expect(throws: USPError.self) { try TransferPlan(source, options) }
}

@Test func tablesAreResampledAsAsked() throws {
    var options = transferOptions(.named("DiT"))
    (options.grid, options.resampling) = (Grid(4, 4), .antialiased)
    let plan = try TransferPlan(try pretrained(), options)
    let entry = try #require(plan.entries.first { $0.name == "pos_embed" })
    #expect(entry.what == "class row dropped, resampled bicubically, antialiased, 7x7 -> 4x4")
    let table = try floats(try #require(try pretrained().table("model")["pos_embed"]))
    let expected = try PositionTable.resize(
        Array(table.dropFirst(24)), width: 24, from: Grid(7, 7), to: Grid(4, 4), .antialiased)
    #expect(try made(plan, "pos_embed") == expected)
}

/// A class token that the source has not: a row of zeros in front of the others.
@Test func newClassTokensHaveNoPosition() throws {
    let table = try #require(try pretrained().table("model")["pos_embed"]).bytes().array
    let rows = ArchiveEntry(
        "pos_embed", .float32, [1, 49, 24], bytes: try ByteBuffer(Array(table[96...])).view)
    let source = try changed([rows]) { $0 == "cls_token" || $0.contains("decoder") }
    let encoder = TransformerSizes(
        grid: Grid(7, 7), channels: 4, patch: 2, width: 24, depth: 2, heads: 2)
    let sizes = ViT.Configuration(
        encoder, pool: .token, head: .linear, classes: 3)
    let plan = try TransferPlan(
        source, transferOptions(.configuration(sizes)))
    let values = try made(plan, "pos_embed")
    #expect(values[..<24].allSatisfy { $0 == 0 })
    #expect(try Array(values[24...]) == floats(rows))
}

/// FlexiViT's kernel for smaller patches: w' = P·w·Pᵀ, P the pseudo-inverse of the antialiased
/// resize of 4 pixels to 2, whose rows are (3, 3, 1, 0)/7 and (0, 1, 3, 3)/7: P's first column is
/// 7/325 · (57, −18).
@Test func patchesShrinkByTheAntialiasedResize() throws {
    var values = [Float](repeating: 0, count: 24 * 4 * 16)
    values[0] = 1
    let bytes = values.withUnsafeBytes { Array($0) }
    let kernel = ArchiveEntry(
        "patch_embed.proj.weight", .float32, [24, 4, 4, 4], bytes: try ByteBuffer(bytes).view)
    var options = transferOptions(.named("DiT"))
    options.patch = 2
    let source = try changed([kernel]) { $0.contains("decoder") || $0 == "mask_token" }
    let made = try made(TransferPlan(source, options), "x_embedder.proj.weight")
    let (a, b): (Float, Float) = (7.0 * 57 / 325, 7.0 * -18 / 325)
    #expect(relativeError(Array(made[..<4]), [a * a, a * b, b * a, b * b]) < 1e-6)
    #expect(made[4...].allSatisfy { $0 == 0 })
}

@Test func headsStartByTheirRule() throws {
    for (rule, deviation, name) in [
        (.fineTune, "2e-05", "head.weight"), (.probe, "0.01", "head.1.weight"),
    ] as [(HeadRule, String, String)] {
        var options = transferOptions(.named("ViT"))
        options.head = rule
        let plan = try TransferPlan(try pretrained(), options)
        let entry = try #require(plan.entries.first { $0.name == name })
        #expect(entry.what == "initialised truncated normal \(deviation) seed 0")
    }
}

/// The source's GELU is exact, the target's published one the tanh form: told, unless kept.
@Test func activationsAreKeptOrTold() throws {
    var options = transferOptions(.named("SiT"))
    let published = try TransferPlan(try pretrained(), options)
    options.keepsActivation = true
    let kept = try TransferPlan(try pretrained(), options)
    func activation(_ plan: TransferPlan) -> Activation? {
        plan.configuration.activation
    }
    #expect(activation(published) == .geluTanh && published.notes.count == 1)
    #expect(activation(kept) == .geluErf && kept.notes.isEmpty)
}

/// Without a label the folded modulation is the null class's; the plan says so.
@Test func foldedModulationsAreOfTheNullClass() throws {
    var options = TransferOptions(to: .named("ViT"))
    (options.heads, options.timestep) = (3, 10)
    let plan = try TransferPlan(try diffusion(), options)
    #expect(plan.entries.contains { $0.what.contains("modulation at t = 10.0, label null folded") })
    #expect(
        !plan.left.contains { $0.name.contains("adaLN_modulation") && $0.name.contains("block") })
    options.label = 10
    let null = try TransferPlan(try diffusion(), options)
    for name in ["blocks.0.norm1.weight", "blocks.1.mlp.fc2.weight"] {
        #expect(try made(plan, name) == made(null, name))
    }
    options.label = 4
    let other = try TransferPlan(try diffusion(), options)
    #expect(try made(plan, "blocks.0.norm1.weight") != made(other, "blocks.0.norm1.weight"))
    // A diffusion transformer has no class token, so its extractor has none either.
    let sizes = ViT.Configuration(
        TransformerSizes(
            grid: Grid(8, 8), channels: 4, patch: 2, width: 48, depth: 2, heads: 3),
        pool: .token, head: .none, classes: 1)
    var configured = TransferOptions(to: .configuration(sizes))
    configured.heads = 3
    let plain = try TransferPlan(diffusion(), configured).configuration
    let found = try #require(plain as? ViT.Configuration)
    #expect(!found.classToken && found.pool == .avg)
}

@Test func plansRefuseWhatTheyCannotDo() throws {
    var options = transferOptions(.named("DiT"))
    options.layers = -1
    #expect(try error(options)?.message == "layers: -1 is negative")
    options = TransferOptions(to: .named("ViT"))
    (options.heads, options.block) = (3, 0)
    #expect(try error(options, diffusion())?.message == "block: 0, the source has 2")
    var sizes = transformer(try GoldenCase("transfer/full"))
    sizes.mlpRatio = 2
    let ratio = try error(transferOptions(.configuration(sizes)))
    #expect(ratio?.message == "the source's MLP ratio is 4.0, the target's 2.0")
    let narrow = try changed([entry("blocks.1.attn.qkv.weight", [71, 24])])
    let told = try error(transferOptions(.named("DiT")), narrow)
    #expect(told?.message == "test: blocks.1.attn.qkv.weight is [71, 24], expected [72, 24]")
}

@Test func sharesAreWrittenToATenth() throws {
    let plan = try TransferPlan(try pretrained(), transferOptions(.named("DiT")))
    let totals = plan.totals
    let share = Double(totals.transferredParameters) / Double(totals.parameters)
    let tenths = Int((1000 * share).rounded())
    #expect(tenths % 10 != 0 && plan.share == share)
    #expect(plan.text.contains("(\(tenths / 10).\(tenths % 10) %) come from pretraining"))
}

/// More than a million values go through the conversion piece by piece.
@Test func longTensorsAreConvertedWhole() throws {
    var options = transferOptions(.named("SiT"))
    options.classes = 50_000
    let plan = try TransferPlan(try pretrained(), options)
    let path = "/tmp/usp-transfer-\(UInt64.random(in: 0..<UInt64.max)).safetensors"
    defer { unlink(path) }
    try plan.write(path, dtype: .bfloat16)
    let name = "y_embedder.embedding_table.weight"
    let bytes = try Archive.open(path).entry(name).bytes()
    let words = withExtendedLifetime(bytes.owner) {
        Array(bytes.bytes.bindMemory(to: UInt16.self))
    }
    let values = try made(plan, name)
    #expect(words.count == values.count && values.count > 1 << 20)
    let isRounded = zip(words, values).allSatisfy {
        abs(Float(bitPattern: UInt32($0) << 16) - $1) <= abs($1) / 256
    }
    #expect(isRounded)
}
