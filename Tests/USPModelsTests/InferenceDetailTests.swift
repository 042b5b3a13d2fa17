// What a file's names and shapes mean where files differ in one thing only.

import Glibc
import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

private let golden = goldenFolder.path(percentEncoded: false)

private func open(_ name: String) throws -> Archive { try Archive.open("\(golden)/\(name)") }

private func entry(_ name: String, _ shape: Shape, _ value: Float = 1) throws -> ArchiveEntry {
    let bytes = [Float](repeating: value, count: shape.count).withUnsafeBytes { Array($0) }
    return ArchiveEntry(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
}

/// The archive's entries with others in the place of those of their names, or beside them.
private func changed(
    _ archive: Archive, _ entries: [ArchiveEntry], without: (String) -> Bool = { _ in false }
) throws -> Archive {
    let names = Set(entries.map(\.name))
    let kept = archive.entries.filter { !names.contains($0.name) && !without($0.name) }
    return Archive(
        path: "test", format: .safetensors, tables: [try ArchiveTable("", kept + entries)])
}

private func heads(_ count: Int) -> LoadOptions {
    var options = LoadOptions()
    options.heads = count
    return options
}

private func error(_ body: () throws -> Void) -> USPError? {
    #expect(throws: USPError.self, performing: body)
}

@Suite struct TransformerInferenceTests {
    /// 31/28 · 28 is below 31 in f32.
    @Test func hiddenWidthsComeBackExactly() throws {
        let sizes = DiT.Configuration(
            grid: Grid(2, 2), channels: 1, patch: 1, width: 28, depth: 1, heads: 1,
            mlpRatio: (31.0 / 28 as Float).nextUp, classes: 2)
        #expect(Int(28 * (31.0 / 28 as Float)) == 30 && sizes.block.hidden == 31)
        let entries = try sizes.specs().map { try entry($0.name, $0.shape) }
        let archive = Archive(
            path: "test", format: .safetensors, tables: [try ArchiveTable("", entries)])
        #expect(try DiT.load(archive, heads(1)).model.configuration.block.hidden == 31)
    }

    /// diffusers' file has no table, and its folder tells what shapes do not.
    @Test func theFolderTellsHeadsAndSize() throws {
        let archive = try open("models/dit_diffusers_params.safetensors")
        var template = Array("/tmp/usp-folder-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            unlink("\(folder)/config.json")
            rmdir(folder)
        }
        let config = try AtomicFile("\(folder)/config.json")
        try config.write(
            #"{"_class_name": "DiTTransformer2DModel", "num_attention_heads": 6, "#
                + #""sample_size": 12, "norm_eps": 0.001}"#)
        try config.commit()
        let file = Archive(
            path: "\(folder)/model.safetensors", format: .safetensors, tables: archive.tables)
        let sizes = try DiT.load(file).model.configuration
        #expect(sizes.heads == 6 && sizes.grid == Grid(6, 6) && sizes.epsilon == 0.001)
        let told = error { _ = try DiT.load(archive) }
        #expect(told?.message.contains("shapes do not tell the heads") == true)
    }

    @Test func aTableOfOneLabelHasNoNullClass() throws {
        let archive = try open("models/dit_affine_params.safetensors")
        let one = try entry("y_embedder.embedding_table.weight", [1, 48])
        let sizes = try DiT.load(changed(archive, [one]), heads(3)).model.configuration
        #expect(!sizes.hasNullClass && sizes.classes == 1 && sizes.labels == 1)
    }

    /// 1e-5 in diffusers' blocks, 1e-6 in the originals'; diffusers shifts the frequencies.
    @Test func constantsGoByTheDialect() throws {
        var options = heads(3)
        options.grid = Grid(8, 8)
        let other = try DiT.load(open("models/dit_diffusers_params.safetensors"), options).model
        #expect(other.configuration.epsilon == 1e-5 && other.configuration.frequencyShift == 1)
        let own = try DiT.load(open("models/dit_affine_params.safetensors"), heads(3)).model
        #expect(own.configuration.epsilon == 1e-6 && own.configuration.frequencyShift == 0)
    }

    @Test func averagingHasANormOfItsOwn() throws {
        let archive = try open("models/mae_params.safetensors")
        let norms = try [entry("fc_norm.weight", [48]), entry("fc_norm.bias", [48])]
        let file = try changed(archive, norms) { $0.hasPrefix("norm.") }
        #expect(try ViT.load(file, heads(3)).model.configuration.pool == .avg)
        let plain = ViT.Configuration(
            TransformerSizes(
                grid: Grid(2, 2), channels: 1, patch: 1, width: 8, depth: 1, heads: 1,
                classToken: false),
            pool: .token, head: .none, classes: 1)
        #expect(
            throws: USPError(.argument, "pooling the class token of a model that has none")
        ) { try plain.check() }
    }

    /// Averaged weights come first, for whatever model.
    @Test func tablesHaveAnOrder() throws {
        func nested(_ file: String) throws -> Archive {
            let entries = try open(file).entries
            return Archive(
                path: "test", format: .torch,
                tables: try ["model", "ema"].map { try ArchiveTable($0, entries) })
        }
        let diffusion = try nested("models/dit_affine_params.safetensors")
        #expect(try DiT.load(diffusion, heads(3)).report.table == "ema")
        let vision = try nested("models/mae_params.safetensors")
        #expect(try ViT.load(vision, heads(3)).report.table == "ema")
    }

    @Test func factorsOfRowsFitTheirRows() throws {
        let archive = try open("models/mae_params.safetensors")
        let factors = try ["0.ls1", "0.ls2", "1.ls1", "1.ls2"].map {
            try entry("blocks.\($0).gamma", [$0 == "0.ls1" ? 47 : 48])
        }
        let short = try changed(archive, factors) { $0.hasPrefix("decoder_") }
        let told = error { _ = try ViT.load(short, heads(3)) }
        #expect(told?.message.contains("blocks.0.ls1.gamma expected [48], got [47]") == true)
        let folded = error { _ = try FileModel(short).foldingLayerScale() }
        #expect(
            folded?.message.contains("blocks.0.ls1.gamma: [47] for the rows of [48, 48]") == true)
    }

    /// Arrays that do not lie at a multiple of four bytes are copied, not viewed.
    @Test func misalignedArraysAreCopied() throws {
        let archive = try open("models/dit_affine_params.safetensors")
        let entries = try archive.entries.map { entry in
            let moved = try ByteBuffer([0] + entry.bytes().array).view
            return ArchiveEntry(
                entry.name, .float32, entry.shape,
                bytes: try moved.part(1, entry.byteCount, entry.name))
        }
        let model = try DiT.load(changed(archive, entries), heads(3)).model
        #expect(model.parameters.slab != nil)
        let name = "blocks.1.mlp.fc2.weight"
        let expected = try DiT.load(archive, heads(3)).model.parameters.tensor(name).values
        #expect(try model.parameters.tensor(name).values == expected)
    }

    @Test func diffusersTakesOnlyItsOwnTable() throws {
        let plain = try open("models/dit_diffusers_params.safetensors")
        let file = try FileModel(plain)
        for array in try file.written(as: .diffusers) {
            let bytes = try array.parts.flatMap { try $0.bytes().array }
            #expect(try bytes == plain.entry(array.name).bytes().array)
        }
        let official = try file.written(as: .official).map { array in
            let bytes = try array.parts.flatMap { try $0.bytes().array }
            return ArchiveEntry(
                array.name, .float32, array.shape, bytes: try ByteBuffer(bytes).view)
        }
        let table = try #require(official.first { $0.name == "pos_embed" })
        let other = try changed(
            Archive(path: "test", format: .safetensors, tables: [ArchiveTable("", official)]),
            [entry("pos_embed", table.shape, 0.5)])
        let told = error { _ = try FileModel(other).written(as: .diffusers) }
        #expect(told?.message.contains("is not the table of sines and cosines") == true)
    }
}

@Suite struct AutoencoderInferenceTests {
    /// A small autoencoder's arrays in a file, with this text beside it as `config.json`.
    private func load(
        _ sizes: VAE.Configuration, config: String? = nil,
        changing changes: [ArchiveEntry] = [], _ options: LoadOptions = LoadOptions()
    ) throws -> VAE.Configuration {
        var template = Array("/tmp/usp-folder-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            unlink("\(folder)/config.json")
            rmdir(folder)
        }
        if let config {
            let file = try AtomicFile("\(folder)/config.json")
            try file.write(config)
            try file.commit()
        }
        let names = Set(changes.map(\.name))
        let entries = try sizes.specs().map {
            try entry($0.name, $0.shape)
        }.filter { !names.contains($0.name) }
        let archive = Archive(
            path: "\(folder)/model.safetensors", format: .safetensors,
            tables: [try ArchiveTable("", entries + changes)])
        let file = try FileModel(archive)
        return try #require(try file.sizes(options) as? VAE.Configuration)
    }

    private var small: VAE.Configuration {
        var sizes = VAE.Configuration()
        (sizes.baseWidth, sizes.groups, sizes.multipliers) = (8, 4, [1, 1])
        sizes.blocksPerLevel = 1
        return sizes
    }

    @Test func theFolderTellsWhatShapesDoNot() throws {
        let config = """
            {"_class_name": "AutoencoderKL", "norm_num_groups": 4, "scaling_factor": 0.25,
             "shift_factor": 2}
            """
        let sizes = try load(small, config: config)
        #expect(sizes.groups == 4)
        #expect(sizes.normalization == LatentNormalization(shift: [2], scale: [0.25]))
        var options = LoadOptions()
        (options.groups, options.scale) = (2, 3)
        let given = try load(small, config: config, options)
        #expect(given.groups == 2 && given.normalization == LatentNormalization(scale: [3]))
        // Groups of 32 are the rule, and do not divide 8 channels.
        #expect(error { _ = try load(small, config: "{\"norm_num_groups\": 4}") } != nil)
    }

    /// MAR's 16 channels at f16: 0.2325; 16 channels at f8 are somebody else's.
    @Test func publishedScalesGoByTheShape() throws {
        var options = LoadOptions()
        options.groups = 4
        var sizes = small
        sizes.latentChannels = 16
        #expect(try load(sizes, options).normalization == LatentNormalization())
        sizes.multipliers = [1, 1, 1, 1, 1]
        #expect(try load(sizes, options).normalization.scale == [0.2325])
    }

    @Test func levelsAreMultiplesOfTheFirst() throws {
        let odd = try entry("encoder.down.1.block.0.conv2.weight", [12, 12, 3, 3])
        let told = error { _ = try load(small, changing: [odd]) }
        #expect(told?.message.contains("level 1 has 12 channels, no multiple of") == true)
    }

    @Test func statisticsOfEachChannelAreOverTheBatch() throws {
        let latents = try Tensor([2, 2, 1, 1], [1, 10, 3, 30])
        let channels = try LatentNormalization(measuring: latents, perChannel: true)
        #expect(channels.shift == [2, 20] && channels.scale == [1, 0.1])
    }

    /// Two tiles of four that share two pixels: level, then two ramps that add up to one.
    @Test func tilesFadeAcrossWhatTheyShare() throws {
        let axis = TileAxis(extent: 6, tile: 4, overlap: 2)
        #expect(axis.starts == [0, 2])
        #expect(axis.weights(0, factor: 1) == [1, 1, 0.75, 0.25])
        #expect(axis.weights(1, factor: 1) == [0.25, 0.75, 1, 1])
    }
}
