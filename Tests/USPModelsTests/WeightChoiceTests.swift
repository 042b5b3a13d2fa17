// Which of a file's arrays are the model: behind prefixes, inside wrappers, averaged or as trained, with
// something too much or too little.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

/// A small transformer's arrays, all of one value.
private func arrays(_ sizes: any ModelConfiguration, _ value: Float) throws -> [ArchiveEntry] {
    try sizes.specs().map { spec in
        let bytes = [Float](repeating: value, count: spec.shape.count).withUnsafeBytes { Array($0) }
        return ArchiveEntry(spec.name, .float32, spec.shape, bytes: try ByteBuffer(bytes).view)
    }
}

private let diffusion = DiT.Configuration(
    grid: Grid(2, 2), width: 32, depth: 2, heads: 2, classes: 4, frequencies: 8)

private let vision = ViT.Configuration(
    TransformerSizes(grid: Grid(2, 2), channels: 3, patch: 2, width: 16, depth: 2, heads: 2),
    pool: .token, head: .linear, classes: 3)

/// A file whose tables are given by name, or whose arrays have the names in front of theirs.
private func file(
    _ tables: [(name: String, entries: [ArchiveEntry])], flat: Bool = false,
    skipped: [SkippedItem] = []
) throws -> Archive {
    let inner =
        flat
        ? [
            try ArchiveTable(
                "",
                tables.flatMap { table in
                    table.entries.map {
                        $0.renamed(table.name.isEmpty ? $0.name : "\(table.name).\($0.name)")
                    }
                })
        ] : try tables.map { try ArchiveTable($0.name, $0.entries) }
    return Archive(path: "test", format: .torch, tables: inner, skipped: skipped)
}

private let two: LoadOptions = {
    var options = LoadOptions()
    options.heads = 2
    return options
}()

private func error(_ body: () throws -> Void) -> USPError? {
    #expect(throws: USPError.self, performing: body)
}

/// The value that all parameters of the loaded DiT have.
private func value(_ archive: Archive, _ options: LoadOptions = two) throws -> Float {
    try #require(
        DiT.load(archive, options).model.parameters.tensor("blocks.0.mlp.fc1.bias").values.first)
}

@Suite struct PrefixTests {
    /// Lightning's, trainers' and larger models' attributes, and some that nobody has seen.
    @Test(arguments: [
        "model", "net", "dit", "transformer", "model.diffusion_model", "ema_model", "denoiser",
        "diffusion_model", "module.model", "autoencoder", "visual.trunk", "base_encoder", "encoder",
        "module", "_orig_mod", "module._orig_mod", "state.policy.backbone", "a.b.c.d", "0",
        "pipeline.unet",
    ]) func aModelLiesBehindAnyPrefix(_ prefix: String) throws {
        for flat in [true, false] {
            let archive = try file([(prefix, arrays(diffusion, 2))], flat: flat)
            let (model, report) = try DiT.load(archive, two)
            #expect(report.fits && report.table == prefix && model.configuration.depth == 2)
            #expect(report.beside.isEmpty && report.choice == nil && report.unexpected.isEmpty)
        }
        let classifier = try file([("state_dict.\(prefix)", arrays(vision, 1))], flat: true)
        #expect(try ViT.load(classifier, two).report.table == "state_dict.\(prefix)")
    }

    /// What is under other names stays behind, and is told.
    @Test func whatIsBesideThePrefixIsTold() throws {
        let other = try arrays(vision, 1).filter { $0.name.hasPrefix("head") }
        let archive = try file(
            [("model", arrays(diffusion, 2)), ("criterion", other)], flat: true)
        let report = try DiT.load(archive, two).report
        #expect(report.beside == [SkippedItem(name: "criterion", reason: "2 arrays")])
        #expect(report.text.contains("beside   criterion: 2 arrays"))
        #expect(report.json["beside"]?.elements?.count == 1)
    }

    /// Names that wrappers put between those of layers: of torch.compile, activation checkpointing,
    /// FSDP, fairscale, Opacus, DDP.
    @Test(arguments: [
        "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_fpw_module", "_module",
        "module", "_forward_module", "_fsdp_wrapped_module._checkpoint_wrapped_module",
    ]) func wrappersMayStandInsideOfNames(_ wrapper: String) throws {
        let wrapped = try arrays(diffusion, 2).map { entry in
            var parts = entry.name.split(separator: ".").map(String.init)
            if parts[0] == "blocks" { parts.insert(wrapper, at: 2) }
            if parts[0] == "x_embedder" { parts.insert(wrapper, at: 1) }
            return entry.renamed(parts.joined(separator: "."))
        }
        for prefix in ["", "model", wrapper] {
            let (model, report) = try DiT.load(file([(prefix, wrapped)], flat: true), two)
            #expect(report.fits && report.table == prefix && report.beside.isEmpty)
            #expect(try model.parameters.tensor("blocks.1.attn.proj.bias").values.first == 2)
        }
        // What the file calls them is said, and given back.
        let archive = try file([("", wrapped)])
        let (model, report) = try DiT.load(archive, two)
        let name = "blocks.0.\(wrapper).attn.qkv.weight"
        #expect(report.loaded.contains { $0.sources == [name] && $0.isRenamed })
        let exported = try FileNames(FileModel(archive)).exported(model.parameters.named)
        #expect(exported.contains { $0.name == name })
    }

    /// DINOv2 numbers its blocks through all chunks.
    @Test(arguments: [1, 2]) func blocksMayLieInChunks(_ each: Int) throws {
        let chunked = try arrays(vision, 1).map { entry in
            let parts = entry.name.split(separator: ".").map(String.init)
            guard parts[0] == "blocks", let index = Int(parts[1]) else { return entry }
            let rest = parts[2...].joined(separator: ".")
            return entry.renamed("blocks.\(index / each).\(index).\(rest)")
        }
        let (model, report) = try ViT.load(file([("teacher.backbone", chunked)], flat: true), two)
        #expect(report.fits && model.configuration.depth == 2)
        #expect(report.table == "teacher.backbone")
    }

    @Test func shardsOfFSDPAreToldInWords() throws {
        let flat = ArchiveEntry(
            "_fsdp_wrapped_module._flat_param", .float32, [4],
            bytes: try ByteBuffer([UInt8](repeating: 0, count: 16)).view)
        let told = error { _ = try DiT.load(file([("model", [flat])]), two) }
        #expect(told?.message.contains("shards of FSDP: save a full state dict") == true)
    }
}

@Suite struct AveragedWeightTests {
    /// DiT's and its forks', lucidrains', timm's, BasicSR's, Lightning's, iBOT's and DINO's names.
    @Test(arguments: [
        ("model", "ema"), ("model", "model_ema"), ("model_state_dict", "ema_state_dict"),
        ("net", "net_ema"), ("state_dict", "state_dict_ema"), ("model", "ema.shadow"),
        ("ema.online_model", "ema.ema_model"), ("student.backbone", "teacher.backbone"),
        ("params", "params_ema"), ("model", "EMA"), ("model", "swa_model"),
        ("model", "ema.module"), ("current_model_state", "state_dict"), ("model", "averaged_model"),
        ("model", "optimizers.ema_weights"), ("", "ema"), ("model", "ema2"), ("g", "g_avg"),
    ]) func averagedWeightsComeFirst(_ raw: String, _ averaged: String) throws {
        for (flat, first) in [(true, raw), (true, averaged), (false, raw), (false, averaged)] {
            var tables = [(raw, try arrays(diffusion, 1)), (averaged, try arrays(diffusion, 2))]
            if first == averaged { tables.reverse() }
            let archive = try file(tables, flat: flat)
            let (model, report) = try DiT.load(archive, two)
            #expect(report.table == averaged, "\(raw), \(averaged)")
            #expect(try model.parameters.tensor("x_embedder.proj.bias").values.first == 2)
            let other = raw.isEmpty ? "the top level" : raw
            #expect(report.choice?.hasSuffix("also there: \(other)") == true)
            #expect(
                report.text.contains("choice   ") && report.notes.contains { $0.contains(other) })
            // Each of them can be named.
            for (name, number) in [(raw, Float(1)), (averaged, 2)] where !(flat && name.isEmpty) {
                var options = two
                options.table = name
                #expect(try value(archive, options) == number)
                #expect(try DiT.load(archive, options).report.choice == nil)
            }
        }
    }

    /// What the field reads of these is not the copy that follows.
    @Test(arguments: [
        ("encoder", "target_encoder"), ("base_encoder", "momentum_encoder"),
        ("encoder_q", "encoder_k"), ("model", "ema.collected_params"),
        ("model", "optimizer.exp_avg"),
    ]) func copiesForTrainingAreHelpers(_ wanted: String, _ helper: String) throws {
        let archive = try file(
            [(helper, arrays(diffusion, 1)), (wanted, arrays(diffusion, 2))], flat: true)
        #expect(try value(archive) == 2)
        #expect(try DiT.load(archive, two).report.choice?.contains(helper) == true)
    }

    @Test(arguments: [
        ["ema_0.999", "ema_0.9999"], ["generator", "student2"], ["model", "state_dict"],
        ["ema", "teacher"], ["", "net"],
    ]) func whatNothingTellsApartIsAsked(_ names: [String]) throws {
        let archive = try file(names.map { ($0, try arrays(diffusion, 1)) })
        let told = error { _ = try DiT.load(archive, two) }
        #expect(told?.kind == .argument)
        for name in names {
            let way = name.isEmpty ? "\"\"" : name
            #expect(told?.message.contains("--table \(way) (diffusion transformer, ") == true)
            var options = two
            options.table = name
            #expect(try DiT.load(archive, options).report.table == name)
        }
        let summary = try #require(ModelSummary(archive))
        #expect(summary.text.contains("say which by table"))
    }

    /// Latent diffusion's averages have names without dots, and only of what is trained.
    @Test(arguments: [
        ("", "model_ema"), ("model.", "model_ema"), ("model.diffusion_model.", "model_ema"),
        ("net.dit.", "net.ema"),
    ]) func namesWithoutDotsGetThemBack(_ module: String, _ ema: String) throws {
        let raw = try arrays(diffusion, 1)
        let parent = ema.split(separator: ".").dropLast().map { $0 + "." }.joined()
        // The module that was averaged is one beside the average.
        let top = module.dropFirst(parent.count).prefix { $0 != "." }
        let inner = module.dropFirst(parent.count + top.count).drop { $0 == "." }
        let flat = try arrays(diffusion, 2).filter { $0.name != "pos_embed" }.map {
            $0.renamed(ema + "." + (inner + $0.name).filter { $0 != "." })
        }
        let count = ArchiveEntry(
            "\(ema).num_updates", .int64, [],
            bytes: try ByteBuffer([UInt8](repeating: 0, count: 8)).view)
        for entries in [
            raw.map { $0.renamed(module + $0.name) } + flat + [count],
            flat + [count] + raw.map { $0.renamed(module + $0.name) },
        ] {
            let (model, report) = try DiT.load(file([("", entries)]), two)
            #expect(try model.parameters.tensor("blocks.1.mlp.fc1.bias").values.first == 2)
            #expect(report.table.hasPrefix(ema) && report.unexpected.isEmpty)
            #expect(report.choice?.contains("also there") == true)
            var options = two
            options.table = module.isEmpty ? nil : String(module.dropLast())
            if !module.isEmpty { #expect(try value(file([("", entries)]), options) == 1) }
            options.table = report.table
            #expect(try value(file([("", entries)]), options) == 2)
        }
    }

    /// torch_ema's and diffusers' lists have no names: all parameters in order, or what is trained.
    @Test(arguments: [("model", "ema.shadow_params"), ("state_dict.net", "shadow_params")])
    func listsOfAveragesHaveTheNamesOfTheModel(_ raw: String, _ list: String) throws {
        let trained = try arrays(diffusion, 2).filter { $0.name != "pos_embed" }
        for averages in [try arrays(diffusion, 2), trained] {
            let parts = list.split(separator: ".")
            let start = parts.count > 1 ? "\(parts[1])." : ""
            let numbered = averages.enumerated().map { $1.renamed("\(start)\($0)") }
            let archive = try file([
                (raw, arrays(diffusion, 1)), (String(parts[0]), numbered),
                ("optimizer", averages.enumerated().map { $1.renamed("exp_avg.\($0)") }),
            ])
            let (model, report) = try DiT.load(archive, two)
            #expect(try model.parameters.tensor("blocks.1.mlp.fc1.bias").values.first == 2)
            #expect(report.table == list && report.choice?.contains(raw) == true)
        }
        // What fits nothing is told, and left.
        let fewer = trained.dropLast().enumerated().map { $1.renamed("shadow_params.\($0)") }
        let archive = try file([(raw, arrays(diffusion, 1)), ("ema", fewer)])
        #expect(try value(archive) == 1)
        let told = try DiT.load(archive, two).report.choice
        #expect(told?.contains("ema.shadow_params (averages without names") == true)
    }

    /// A teacher of another size is no average.
    @Test func averagesHaveTheSameSizes() throws {
        var larger = diffusion
        larger.width = 64
        let archive = try file(
            [("student", arrays(diffusion, 1)), ("teacher", arrays(larger, 2))])
        #expect(
            error { _ = try DiT.load(archive, two) }?.message.contains("2 models in it") == true)
    }

    @Test func modelsOfTwoFamiliesAreAsked() throws {
        let archive = try file([("dit", arrays(diffusion, 1)), ("vit", arrays(vision, 1))])
        let checkpoint = Checkpoint(archive, try ArchiveTable("", archive.entries), isWhole: true)
        let told = error { _ = try loadModel(checkpoint, two) }
        #expect(told?.message.contains("--table vit (vision transformer, 32 arrays)") == true)
        #expect(try ViT.load(archive, two).report.table == "vit")
    }

    /// A checkpoint of arrays chooses as the models do.
    @Test func checkpointsTakeAveragedTables() throws {
        try inFolder { folder in
            let entries = try arrays(diffusion, 1)
            for (names, chosen) in [
                (["optimizer", "model_state_dict", "ema_state_dict"], "ema_state_dict"),
                (["student", "teacher"], "teacher"),
                (["state_dict", "state_dict_ema"], "state_dict_ema"),
                (["current_model_state", "weights"], "weights"), (["opt", "model"], "model"),
            ] {
                let path = "\(folder)/a.pt"
                try ArrayFormat.torch.write(path, entries.map { ArrayOutput($0) }, tables: names)
                #expect(try Checkpoint.open(path).tableName == chosen)
                #expect(try DiT.load(path, two).weights.file?.table == chosen)
            }
            let path = "\(folder)/b.pt"
            try ArrayFormat.torch.write(
                path, entries.map { ArrayOutput($0) }, tables: ["ema_1", "ema_2"])
            let told = error { _ = try Checkpoint.open(path) }
            #expect(told?.message.contains("--table ema_2 (32 arrays)") == true)
        }
    }
}

@Suite struct FitTests {
    private func changed(
        _ entries: [ArchiveEntry], without: String..., adding: [(String, Shape)] = [],
        skipped: [SkippedItem] = []
    ) throws -> Archive {
        let kept = entries.filter { !without.contains($0.name) }
        let added = try adding.map { name, shape in
            let bytes = [UInt8](repeating: 0, count: 4 * shape.count)
            return ArchiveEntry(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
        }
        return try file([("", kept + added)], skipped: skipped)
    }

    /// Counters, decays, log variances, temperatures.
    @Test(arguments: ["step", "n_averaged", "logvar", "ema_decay", "module.logit_scale"])
    func aNumberBesideTheModelIsLeftAside(_ name: String) throws {
        let archive = try changed(arrays(diffusion, 1), adding: [(name, [])])
        let report = try DiT.load(archive, two).report
        #expect(report.fits && report.ignored.contains { $0.name == name })
    }

    @Test func whatIsTooMuchMayBeIgnored() throws {
        let archive = try changed(
            arrays(diffusion, 1),
            adding: [("guidance.weight", [4]), ("guidance.bias", [4]), ("extra", [2])])
        let told = error { _ = try DiT.load(archive, two) }
        #expect(
            told?.kind == .shape && told?.message.contains("unexpected 3: guidance.weight") == true)
        #expect(told?.message.contains("ignore leaves arrays or parameters aside by name") == true)
        var options = two
        options.ignore = ["guidance", "extra"]
        let report = try DiT.load(archive, options).report
        #expect(
            report.fits && report.ignored.filter { $0.reason.hasPrefix("left aside") }.count == 3)
        options.ignore = ["guidance"]
        #expect(
            error { _ = try DiT.load(archive, options) }?.message.contains("unexpected 1") == true)
        options.ignore = ["guidance", "extras"]
        #expect(
            error { _ = try DiT.load(archive, options) }?.message
                == "ignore: nothing in test is called extras; did you mean extra?")
        options = two
        options.isStrict = false
        let lenient = try DiT.load(archive, options)
        #expect(
            !lenient.report.fits && lenient.report.notes.contains { $0.contains("unexpected 3") })
        #expect(lenient.model.weights.notes == lenient.report.notes)
    }

    @Test func whatIsMissingMayStartByItsRule() throws {
        let archive = try changed(
            arrays(diffusion, 1), without: "blocks.1.mlp.fc2.bias", "t_embedder.mlp.0.bias")
        #expect(error { _ = try DiT.load(archive, two) }?.message.contains("missing 2") == true)
        var options = two
        options.ignore = ["blocks.1.mlp", "t_embedder.mlp.0.bias"]
        let (model, report) = try DiT.load(archive, options)
        #expect(report.fits && report.initialized.count == 5)
        #expect(try model.parameters.tensor("blocks.1.mlp.fc2.bias").values.allSatisfy { $0 == 0 })
        #expect(try model.parameters.tensor("blocks.1.mlp.fc1.bias").values.first == 0)
        #expect(try model.parameters.tensor("blocks.0.mlp.fc1.bias").values.first == 1)
        #expect(
            report.notes.contains { $0.contains("blocks.1.mlp.fc2.bias: left aside, as asked") })
    }

    /// A head that is not wanted is as if it were not there; one of another size starts fresh.
    @Test func aHeadMayBeIgnored() throws {
        var options = two
        options.ignore = ["head"]
        let archive = try changed(arrays(vision, 1))
        #expect(try ViT.load(archive, options).model.configuration.head == ViT.Head.none)
    }

    /// timm's `qkv_bias=False`.
    @Test func attentionWithoutBiasesHasZeros() throws {
        let bare = try arrays(vision, 1).filter { !$0.name.hasSuffix("qkv.bias") }
        let (model, report) = try ViT.load(file([("", bare)]), two)
        #expect(report.fits && report.initialized.count == 2)
        #expect(report.text.contains("no block has one (qkv_bias=False); zeros"))
        #expect(try model.parameters.tensor("blocks.1.attn.qkv.bias").values.allSatisfy { $0 == 0 })
        // One that is lost is another thing.
        let lost = try changed(arrays(vision, 1), without: "blocks.1.attn.qkv.bias")
        #expect(error { _ = try ViT.load(lost, two) }?.message.contains("missing 1") == true)
    }

    /// What is in the file and cannot be read is not called missing.
    @Test func whatCannotBeReadIsSaidSo() throws {
        let item = SkippedItem(
            name: "blocks.0.mlp.fc1.bias", reason: "complex numbers are not read")
        let archive = try changed(
            arrays(diffusion, 1), without: "blocks.0.mlp.fc1.bias", skipped: [item])
        let told = error { _ = try DiT.load(archive, two) }
        #expect(
            told?.message.contains(
                "blocks.0.mlp.fc1.bias (in the file, but complex numbers are not read)") == true)
        var options = two
        options.ignore = ["blocks.0.mlp.fc1.bias"]
        #expect(try DiT.load(archive, options).report.fits)
        let all = try arrays(diffusion, 1).map {
            SkippedItem(name: $0.name, reason: "complex numbers are not read")
        }
        let none = try file([], skipped: all)
        #expect(
            error { _ = try DiT.load(none, two) }?.message.contains(
                "its arrays are none; not read: pos_embed (complex numbers are not read)") == true)
    }
}
