// What a report says is what a file holds; every target, every change of geometry, every refusal.

import Glibc
import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

private final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/usp-transfer-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        for name in ["a.safetensors", "b.safetensors", "a.pt", "half.safetensors"] {
            unlink("\(path)/\(name)")
        }
        rmdir(path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

private func images(_ shape: Shape) throws -> Tensor { try randomTensor(shape, "images") }

/// The archive of a plan's result in memory.
private func archive(_ plan: TransferPlan) throws -> Archive {
    Archive(
        path: "memory", format: .safetensors, tables: [try ArchiveTable("", plan.arrays())],
        metadata: plan.metadata)
}

@Test func reportsAndFilesAgree() throws {
    let scratch = Scratch()
    var options = transferOptions(.named("DiT"))
    options.grid = Grid(8, 6)
    options.classes = 10
    options.seed = 7
    let plan = try TransferPlan(try pretrained(), options)
    try plan.write(scratch.file("a.safetensors"))
    try plan.write(scratch.file("b.safetensors"))
    let written = try Archive.open(scratch.file("a.safetensors"))
    let again = try ByteView.file(scratch.file("b.safetensors")).array
    #expect(try ByteView.file(scratch.file("a.safetensors")).array == again)
    let source = try pretrained().table("model")
    var (tensors, parameters) = (0, 0)
    for entry in plan.entries {
        let found = try written.entry(entry.name)
        #expect(found.shape == entry.shape && found.dtype == .float32)
        let values = try floats(found)
        if entry.isTransferred { (tensors, parameters) = (tensors + 1, parameters + values.count) }
        switch entry.what {
        case "copied", "renamed":
            #expect(try found.bytes().array == source[entry.sources[0]]?.bytes().array)
        case "class row dropped, resampled bicubically 7x7 -> 8x6":
            let table = try floats(try #require(source["pos_embed"]))
            let expected = try PositionTable.resize(
                Array(table.dropFirst(24)), width: 24, from: Grid(7, 7), to: Grid(8, 6))
            #expect(values == expected)
        case "initialised zeros": #expect(values.allSatisfy { $0 == 0 })
        case "initialised normal 0.02 seed 7":
            let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
            #expect(abs(deviation - 0.02) < 0.003, "\(entry.name) \(deviation)")
        default: Issue.record("\(entry.name): \(entry.what)")
        }
    }
    let totals = plan.totals
    #expect(totals.transferredTensors == tensors && totals.transferredParameters == parameters)
    #expect(totals.parameters == plan.entries.reduce(0) { $0 + $1.shape.count })
    // Every tensor of the source went somewhere or was left with a reason.
    let gone = Set(plan.entries.flatMap(\.sources) + plan.left.map(\.name))
    for entry in source.entries { #expect(gone.contains(entry.name), "\(entry.name)") }
    let model = try DiT.load(written).model
    #expect(model.configuration.grid == Grid(8, 6) && model.configuration.heads == 2)
    #expect(try JSON(parsing: plan.json)["tensors"]?.integer == totals.tensors)
    #expect(plan.text.contains("of \(totals.tensors) tensors"))
}

@Test func trainingLayoutAndHalfPrecision() throws {
    let scratch = Scratch()
    let plan = try TransferPlan(try pretrained(), transferOptions(.named("SiT")))
    try plan.write(scratch.file("a.pt"))
    let archive = try Archive.open(scratch.file("a.pt"))
    #expect(archive.tables.map(\.name) == ["model", "ema"])
    let model = try DiT.load(archive).model
    #expect(model.family == "SiT")
    for entry in try plan.arrays() {
        #expect(try model.parameters.tensor(entry.name).values == floats(entry))
    }
    try plan.write(scratch.file("half.safetensors"), dtype: .bfloat16)
    #expect(
        try Archive.open(scratch.file("half.safetensors")).entries.allSatisfy {
            $0.dtype == .bfloat16
        })
    #expect(message { try plan.write("/nowhere/x.safetensors") }.contains("cannot write"))
    #expect(message { try plan.write(scratch.file("c.pt"), dtype: .int8) }.contains("i8"))
}

@Test func continuedPretraining() throws {
    var options = transferOptions(.named("MAE"))
    options.grid = Grid(8, 8)
    let plan = try TransferPlan(try pretrained(), options)
    #expect(plan.entries.allSatisfy(\.isTransferred) && plan.share == 1)
    let (model, _) = try MaskedAutoencoder.load(
        archive(plan),
        {
            var o = LoadOptions()
            o.decoderHeads = 2
            return o
        }())
    #expect(model.configuration.grid == Grid(8, 8) && model.configuration.hasDecoder)
}

/// A transferred model with its own grid computes what the source does.
@Test func classifierComputesWhatTheEncoderDoes() throws {
    let plan = try TransferPlan(try pretrained(), transferOptions(.named("ViT")))
    let target = try ViT.load(archive(plan)).model
    var options = LoadOptions()
    options.heads = 2
    let source = try ViT.load(try pretrained(), options).model
    let x = try images([2, 4, 14, 14])
    #expect(
        try target.features(x, in: Context()).values == source.features(x, in: Context()).values)
}

@Test(arguments: [true, false])
func diffusionAsFeatureExtractor(_ isAffine: Bool) throws {
    let golden = try Archive.open("\(goldenPath)/models/dit_affine_params.safetensors")
    let entries = golden.entries.filter {
        isAffine || !($0.name.contains("norm1") || $0.name.contains("norm2"))
    }
    let source = Archive(path: "dit", format: .safetensors, tables: [try ArchiveTable("", entries)])
    for block in 1...2 {
        var options = TransferOptions(to: .named("ViT"))
        options.heads = 3
        (options.block, options.timestep, options.label) = (block, 123, 4)
        let plan = try TransferPlan(source, options)
        let extractor = try ViT.load(archive(plan)).model
        #expect(
            extractor.configuration.pool == .avg
                && extractor.configuration.depth == block)
        var load = LoadOptions()
        load.heads = 3
        let model = try DiT.load(source, load).model
        let x = try images([2, 4, 16, 16])
        let conditioning = try model.conditioning(t: [123, 123], y: [4, 4], in: Context())
        let expected = try model.features(x, conditioning, depth: block, in: Context())
        let tokens = try extractor.tokens(x, in: Context())
        #expect(relativeError(tokens.values, expected.values) < 1e-5)
    }
}

@Test func plainToAffineComputesTheSame() throws {
    let golden = try Archive.open("\(goldenPath)/models/dit_affine_params.safetensors")
    let entries = golden.entries.filter { !$0.name.contains("norm1") && !$0.name.contains("norm2") }
    let source = Archive(path: "dit", format: .safetensors, tables: [try ArchiveTable("", entries)])
    var options = TransferOptions(to: .named("DiT"))
    options.heads = 3
    let plan = try TransferPlan(source, options)
    #expect(
        plan.left.isEmpty
            && plan.entries.filter { !$0.isTransferred }.allSatisfy { $0.name.contains("norm") })
    var load = LoadOptions()
    load.heads = 3
    let (before, after) = (try DiT.load(source, load).model, try DiT.load(archive(plan)).model)
    let x = try images([1, 4, 16, 16])
    let y = try before.forward(x, t: [500], y: [3], in: Context())
    #expect(
        relativeError(try after.forward(x, t: [500], y: [3], in: Context()).values, y.values) < 1e-6
    )
}

@Test func depthsAndLayers() throws {
    var sizes = transformer(try GoldenCase("transfer/full"))
    sizes.depth = 4
    for (rule, expected) in [
        (.prefix, [0, 1, nil, nil]), (.stride, [0, 0, 1, 1]), (.repeat, [0, 1, 0, 1]),
    ] as [(DepthRule, [Int?])] {
        var options = transferOptions(.configuration(sizes))
        options.depthRule = rule
        let plan = try TransferPlan(try pretrained(), options)
        for (block, origin) in expected.enumerated() {
            let entry = try #require(
                plan.entries.first { $0.name == "blocks.\(block).attn.qkv.weight" })
            #expect(entry.sources == (origin.map { ["blocks.\($0).attn.qkv.weight"] } ?? []))
        }
    }
    var options = transferOptions(.named("DiT"))
    options.gateBias = 1
    let plan = try TransferPlan(try pretrained(), options)
    let entry = try #require(
        try plan.arrays().first { $0.name == "blocks.0.adaLN_modulation.1.bias" })
    let values = try floats(entry)
    #expect(values[48..<72].allSatisfy { $0 == 1 } && values[120...].allSatisfy { $0 == 1 })
    #expect(values.reduce(0, +) == 48)
}

@Test func patchesAndChannels() throws {
    let kernel = try floats(
        try #require(try pretrained().table("model")["patch_embed.proj.weight"]))
    func resized(_ patch: Int, _ channels: Int, _ rule: ChannelRule) throws -> [Float] {
        var options = transferOptions(.named("DiT"))
        (options.patch, options.channels, options.channelRule) = (patch, channels, rule)
        let plan = try TransferPlan(try pretrained(), options)
        return try floats(
            try #require(try plan.arrays().first { $0.name == "x_embedder.proj.weight" }))
    }
    // A patch of one pixel stands for a constant patch of four: the kernel's sum.
    let sums = stride(from: 0, to: kernel.count, by: 4).map { kernel[$0..<$0 + 4].reduce(0, +) }
    #expect(relativeError(try resized(1, 4, .fresh), sums) < 1e-6)
    // Larger patches of an enlarged image give the same tokens: <B x, w'> = <x, w>.
    let large = try resized(4, 4, .fresh)
    let pixels: [Float] = [0.3, -1, 2, 0.7]
    let axis: [[Float]] = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    for row in [0, 5, 95] {
        var (small, enlarged): (Float, Float) = (0, 0)
        for y in 0..<4 {
            for x in 0..<4 {
                var value: Float = 0
                for i in 0..<2 {
                    for j in 0..<2 { value += axis[y][i] * axis[x][j] * pixels[2 * i + j] }
                }
                enlarged += value * large[row * 16 + y * 4 + x]
            }
        }
        for i in 0..<4 { small += pixels[i] * kernel[row * 4 + i] }
        #expect(abs(small - enlarged) < 1e-5)
    }
    let copied = try resized(2, 16, .copy)
    #expect(
        Array(copied[0..<16]) == Array(kernel[0..<16]) && copied[16..<64].allSatisfy { $0 == 0 })
    let repeated = try resized(2, 16, .repeat)
    #expect(Array(repeated[16..<32]) == kernel[0..<16].map { $0 / 4 })
}

/// DINOv2's LayerScale goes into the projections; its unused mask token stays.
@Test func layerScaleIsFolded() throws {
    func ones(_ name: String, _ shape: Shape, _ value: Float) throws -> ArchiveEntry {
        let bytes = [Float](repeating: value, count: shape.count).withUnsafeBytes { Array($0) }
        return ArchiveEntry(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
    }
    let encoder = try pretrained().table("model").entries.filter {
        !$0.name.hasPrefix("decoder_") && $0.name != "mask_token"
    }
    let scales = try [ones("blocks.0.ls1.gamma", [24], 0.25), ones("mask_token", [1, 24], 1)]
    let table = try ArchiveTable("", encoder + scales)
    let source = Archive(path: "dino", format: .safetensors, tables: [table])
    let plan = try TransferPlan(source, transferOptions(.named("DiT")))
    let entry = try #require(plan.entries.first { $0.name == "blocks.0.attn.proj.weight" })
    #expect(entry.sources == ["blocks.0.attn.proj.weight", "blocks.0.ls1.gamma"])
    #expect(entry.what.contains("layer scale folded in"))
    let made = try #require(try plan.arrays().first { $0.name == entry.name })
    #expect(try floats(made) == floats(try #require(table[entry.name])).map { $0 * 0.25 })
    #expect(plan.left.contains { $0.name == "mask_token" })
}

@Test func refusals() throws {
    for grid in [Grid(1 << 40, 1 << 40), Grid(0, 4), Grid(-1, -1), Grid(60000, 60000)] {
        var options = transferOptions(.named("DiT"))
        options.grid = grid
        #expect(message { _ = try TransferPlan(try pretrained(), options) }.contains("grid"))
    }
    #expect(
        message { _ = try TransferPlan(try pretrained(), transferOptions(.named("DiT-XL/2"))) }
            .contains("24 wide, the target 1152"))
    #expect(
        message { _ = try TransferPlan(try pretrained(), transferOptions(.named("DiT-XXL/2"))) }
            .contains("did you mean"))
    let vae = try Archive.open("\(goldenPath)/models/vae_params.safetensors")
    #expect(
        message { _ = try TransferPlan(vae, transferOptions(.named("DiT"))) }.contains(
            "an autoencoder"))
    let other = try Archive.open("\(goldenPath)/containers/types.pth")
    #expect(
        message { _ = try TransferPlan(other, transferOptions(.named("DiT"))) }.contains(
            "no model that we know"))
}
