// Decides where each tensor of the target comes from.

import USPBase
import USPFiles
import USPModels
import USPTensor

struct Planner {
    /// A grid of 512x512: patches of an image of 8192x8192 pixels.
    static let mostTokens = 1 << 18

    let source: TransferSource
    let target: any TransformerConfiguration
    let options: TransferOptions
    private(set) var entries: [TransferEntry] = []
    private(set) var left: [SkippedItem] = []
    private(set) var notes: [String] = []
    private var used: Set<String> = []

    init(
        _ source: TransferSource, _ target: any TransformerConfiguration, _ options: TransferOptions
    ) {
        (self.source, self.target, self.options) = (source, target, options)
    }

    mutating func run(_ specs: [ParameterSpec]) throws(USPError) {
        for spec in specs { try add(spec) }
        noteBlocks()
        for name in source.file.names where !used.contains(name) {
            let names = source.file.sources[name]?.names.joined(separator: " + ") ?? name
            left.append(SkippedItem(name: names, reason: reasonToLeave(name)))
        }
        left += source.file.ignored
        left += source.file.unexpected.map {
            SkippedItem(name: $0, reason: "of no model that we know")
        }
        notes += source.file.notes
        if source.sizes.activation != target.activation, !target.swiglu, !source.sizes.swiglu {
            notes.append(
                "the source's MLPs were trained with \(label(source.sizes.activation)), the target's use "
                    + "\(label(target.activation)), as published")
        }
        if source.sizes.heads != target.heads && source.untold.isEmpty {
            notes.append(
                "the source has \(source.sizes.heads) attention heads, the target \(target.heads)")
        }
    }

    /// What of the blocks the target has in another way.
    private mutating func noteBlocks() {
        let (own, target) = (source.sizes, target.transformer)
        if target.rmsNorm && !own.rmsNorm && options.normRule == .copy {
            notes.append(
                "the source's norms subtract a mean and add beta, the target's RMS norms do not: the "
                    + "function changes; norm_rule exact keeps it")
        }
        if !target.rmsNorm && own.rmsNorm {
            notes.append("the source's RMS norms become layer norms: the function changes")
        }
        if target.rope != own.rope {
            notes.append(
                "queries and keys turn in the \(target.rope ? "target" : "source") alone: attention "
                    + "starts from other scores")
        }
        if target.swiglu != own.swiglu {
            notes.append(
                "the source's MLPs are \(own.swiglu ? "" : "not ")gated, the target's are"
                    + "\(target.swiglu ? "" : " not"): they start afresh")
        }
        if target.queryKeyNorm && !own.queryKeyNorm {
            notes.append("the target's norms of queries and keys start afresh")
        }
    }

    private func label(_ activation: Activation) -> String {
        activation == .geluTanh ? "the tanh form of GELU" : "the exact GELU"
    }

    private mutating func add(_ spec: ParameterSpec) throws(USPError) {
        if let target = target as? MAR.Configuration, !(source.configuration is MAR.Configuration) {
            return try addAutoregressive(spec, target)
        }
        let parts = spec.name.split(separator: ".", maxSplits: 2).map(String.init)
        switch parts[0] {
        case "blocks": try addBlock(spec, Int(parts[1]) ?? 0, parts[2])
        case "pos_embed", "decoder_pos_embed": addPositions(spec)
        case "patch_embed", "x_embedder": addPatches(spec)
        case "feat_rope", "decoder_feat_rope":
            if source.sizes.grid == target.grid { addPlain(spec) } else { addFresh(spec) }
        case "final_layer" where parts[1] == "linear": addOutputs(spec)
        default: addPlain(spec)
        }
    }

    // MARK: the four kinds of tensors

    mutating func addBlock(
        _ spec: ParameterSpec, _ block: Int, _ rest: String
    ) throws(USPError) {
        guard let origin = origin(of: block) else {
            return addFresh(spec, "block beyond the transferred ones")
        }
        let name = "blocks.\(origin).\(rest)"
        if source.isModulated && !target.isModulated {
            return try addFolded(spec, origin, rest, name)
        }
        let moved = origin == block ? [] : ["from block \(origin)"]
        guard let shape = source.file.sources[name]?.shape else { return addFresh(spec) }
        if rest.hasSuffix("relative_position_bias_table"), shape != spec.shape {
            return addFresh(spec, "the source's is of another grid")
        }
        if rest.hasPrefix("adaLN_modulation"), shape != spec.shape {
            return addFresh(spec, "the source's has \(source.sizes.shift ? "" : "no ")shifts")
        }
        try expectShape(spec, name)
        let steps = normSteps(rest, origin)
        append(spec, .copy, name, moved + steps.map(phrase), steps: steps)
    }

    /// What keeps the function of a block whose norms are other ones.
    private mutating func normSteps(_ rest: String, _ origin: Int) -> [TransferStep] {
        let block = "blocks.\(origin)"
        let behind = ["attn.qkv": "norm1", "mlp.fc1": "norm2", "mlp.w12": "norm2"]
        let layer = rest.split(separator: ".").dropLast().joined(separator: ".")
        let isBias = rest.hasSuffix("bias")
        if options.foldNorms, rest.hasPrefix("adaLN_modulation") {
            return [.foldShifts(block: origin)]
        }
        if let norm = behind[layer].map({ "\(block).\($0)" }),
            options.foldNorms || options.normRule == .exact
        {
            used.insert("\(norm).bias")
            if options.foldNorms { used.insert("\(norm).weight") }
            if isBias { return [.addShift(weight: "\(block).\(layer).weight", norm: norm)] }
            return options.foldNorms ? [.scaleColumns(norm: norm)] : []
        }
        let writes = ["attn.proj", "mlp.fc2", "mlp.w3"].contains(layer)
        return options.normRule == .exact && writes ? [.centre(isRows: true)] : []
    }

    private func phrase(_ step: TransferStep) -> String {
        switch step {
        case .centre: "mean over the width taken away"
        case .scaleColumns: "gamma folded in"
        case .addShift: "beta folded in"
        case .foldShifts: "shifts changed for folded norms"
        }
    }

    /// What writes the tokens in front of the blocks.
    private func embeddingSteps(isRows: Bool) -> [TransferStep] {
        options.normRule == .exact ? [.centre(isRows: isRows)] : []
    }

    /// The source's block for one of the target's.
    func origin(of block: Int) -> Int? {
        guard block < options.layers ?? .max else { return nil }
        switch options.depthRule {
        case .prefix: return block < source.sizes.depth ? block : nil
        case .stride: return block * source.sizes.depth / max(target.depth, 1)
        case .repeat: return block % source.sizes.depth
        }
    }

    /// A modulated block as a plain one, at a fixed time and label.
    private mutating func addFolded(
        _ spec: ParameterSpec, _ origin: Int, _ rest: String, _ name: String
    ) throws(USPError) {
        let modulation = "blocks.\(origin).adaLN_modulation.1"
        used.formUnion(["\(modulation).weight", "\(modulation).bias"])
        let at = "t = \(options.timestep), label \(options.label.map(String.init) ?? "null")"
        switch rest {
        case "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias":
            if source.file.sources[name] != nil { used.insert(name) }
            let half = rest.hasPrefix("norm1") ? 0 : 1
            append(
                spec, .modulatedNorm(block: origin, half: half, isBias: rest.hasSuffix("bias")),
                name,
                ["modulation at \(at) folded in"], extra: "\(modulation).weight")
        case "attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias":
            try expectShape(spec, name)
            append(
                spec, .gatedRows(block: origin, half: rest.hasPrefix("attn") ? 0 : 1), name,
                ["gate at \(at) folded in"], extra: "\(modulation).weight")
        default: try addCopy(spec, name, [])
        }
    }

    private mutating func addPositions(_ spec: ParameterSpec) {
        guard let shape = source.file.sources[spec.name]?.shape, shape.rank == 3,
            shape[2] == spec.shape[2],
            shape[1] == source.sizes.leadingPositions + source.sizes.tokens
        else { return addFresh(spec) }
        let change = PositionChange(
            from: source.sizes.grid, to: target.grid,
            leadingBefore: source.sizes.leadingPositions, leadingAfter: target.leadingPositions)
        var steps: [String] = []
        if change.leadingBefore > change.leadingAfter { steps.append("class row dropped") }
        if change.leadingBefore < change.leadingAfter {
            steps.append("row of zeros for the class token")
        }
        if change.from != change.to {
            let how = options.resampling == .bicubic ? "bicubically" : "bicubically, antialiased,"
            steps.append("resampled \(how) \(change.from) -> \(change.to)")
        }
        let after = spec.name == "pos_embed" ? embeddingSteps(isRows: false) : []
        append(
            spec, steps.isEmpty ? .copy : .positions(change), spec.name,
            steps + after.map(phrase), steps: after)
    }

    private mutating func addPatches(_ spec: ParameterSpec) {
        let name = source.configuration.patchEmbedding + spec.name.drop { $0 != "." }
        guard source.file.sources[name] != nil else { return addFresh(spec) }
        let change = PatchChange(
            patchBefore: source.sizes.patch, patchAfter: target.patch,
            channelsBefore: source.sizes.channels, channelsAfter: target.channels)
        let hasOtherChannels = change.channelsBefore != change.channelsAfter
        if hasOtherChannels && options.channelRule == .fresh {
            return addFresh(
                spec, "the source has \(source.sizes.channels) channels, not \(target.channels)")
        }
        guard spec.shape.rank == 4, hasOtherChannels || change.patchBefore != change.patchAfter
        else {
            let after = embeddingSteps(isRows: true)
            return append(spec, .copy, name, after.map(phrase), steps: after)
        }
        var steps: [String] = []
        if change.patchBefore != change.patchAfter {
            steps.append(
                "patch \(change.patchBefore) -> \(change.patchAfter) by the pseudo-inverse of "
                    + "resizing")
        }
        if hasOtherChannels {
            let how =
                options.channelRule == .copy ? "copied, the rest zero" : "repeated and scaled"
            steps.append("channels \(change.channelsBefore) -> \(change.channelsAfter), \(how)")
        }
        let after = embeddingSteps(isRows: true)
        append(spec, .patches(change), name, steps + after.map(phrase), steps: after)
    }

    private mutating func addPlain(_ spec: ParameterSpec) {
        // A plain encoder's final norm is over tokens; average pooling has one of its own.
        guard let shape = source.file.sources[spec.name]?.shape else { return addFresh(spec) }
        guard shape == spec.shape else { return addFresh(spec, "the source's is \(shape)") }
        if options.hasFreshHead, spec.name.hasPrefix("head.") {
            return addFresh(spec, "the source's is of other classes")
        }
        let isToken = ["cls_token", "register_tokens"].contains(spec.name)
        let after = isToken ? embeddingSteps(isRows: false) : []
        append(spec, .copy, spec.name, after.map(phrase), steps: after)
    }

    /// The last layer, where the target predicts a variance and the source does not, or the other way.
    private mutating func addOutputs(_ spec: ParameterSpec) {
        guard let own = source.configuration as? DiT.Configuration,
            let wanted = target as? DiT.Configuration, own.learnsSigma != wanted.learnsSigma,
            own.patch == wanted.patch, own.channels == wanted.channels,
            let shape = source.file.sources[spec.name]?.shape,
            shape.extents.dropFirst() == spec.shape.extents.dropFirst()
        else { return addPlain(spec) }
        let change = TransferOperation.outputs(
            before: own.predictedChannels, after: wanted.predictedChannels)
        let words = own.learnsSigma ? "rows of the variance dropped" : "rows of zeros for the variance"
        append(spec, change, spec.name, [words])
    }

    mutating func addCopy(
        _ spec: ParameterSpec, _ name: String, _ steps: [String]
    ) throws(USPError) {
        try expectShape(spec, name)
        append(spec, .copy, name, steps)
    }

    private func expectShape(_ spec: ParameterSpec, _ name: String) throws(USPError) {
        guard let shape = source.file.sources[name]?.shape else {
            throw USPError(.missingWeight, "\(source.archive.path): no \(name) in it")
        }
        try require(
            shape == spec.shape, .shape,
            "\(source.archive.path): \(name) is \(shape), the target's \(spec.name) \(spec.shape)")
    }

    // MARK: entries

    mutating func append(
        _ spec: ParameterSpec, _ operation: TransferOperation, _ name: String, _ words: [String],
        steps after: [TransferStep] = [], extra: String? = nil
    ) {
        let found = source.file.sources[name]
        if found != nil { used.insert(name) }
        var steps = words
        if let found {
            if found.parts.count > 1 { steps.insert("\(found.parts.count) parts stacked", at: 0) }
            if found.rowScale != nil { steps.append("layer scale folded in") }
            if found.dtype != .float32 { steps.append("\(found.dtype.name) -> f32") }
        }
        let names =
            (found?.names ?? []) + (extra.map { source.file.sources[$0]?.names ?? [] } ?? [])
        let isRenamed = operation == .copy && found?.names != [spec.name]
        let verb = operation == .copy ? (isRenamed ? "renamed" : "copied") : ""
        let what = ([verb] + steps).filter { !$0.isEmpty }.joined(separator: ", ")
        entries.append(
            TransferEntry(
                name: spec.name, shape: spec.shape, operation: operation, steps: after,
                sources: names, what: what,
                initializer: spec.initializer, sourceName: name))
    }

    mutating func addFresh(_ spec: ParameterSpec, _ reason: String? = nil) {
        let isModulation =
            spec.name.hasPrefix("blocks.") && spec.name.hasSuffix("adaLN_modulation.1.bias")
        let hasGates = isModulation && options.gateBias != 0
        var what = "initialised \(spec.initializer.label(seed: options.seed))"
        if hasGates { what += ", gates \(options.gateBias)" }
        if let reason { what += "; \(reason)" }
        entries.append(
            TransferEntry(
                name: spec.name, shape: spec.shape,
                operation: hasGates ? .gates(options.gateBias) : .initialize, steps: [],
                sources: [],
                what: what,
                initializer: spec.initializer, sourceName: ""))
    }

    private func reasonToLeave(_ name: String) -> String {
        let parts = name.split(separator: ".").map(String.init)
        switch parts[0] {
        case "blocks":
            if parts.count > 3, parts[2].hasPrefix("norm"), parts[3] == "bias", target.rmsNorm {
                return "RMS norms have no beta"
            }
            if parts.count > 2, parts[2] == "mlp", source.sizes.swiglu != target.swiglu {
                return "the target's MLPs are \(target.swiglu ? "" : "not ")gated"
            }
            if parts.count > 2, parts[2].hasPrefix("norm"),
                used.contains("blocks.\(parts[1]).attn.qkv.weight")
            {
                return "the target's norms have no beta and gamma"
            }
            return parts.contains("adaLN_modulation")
                ? "the target is not modulated" : "the target's blocks do not use it"
        case "cls_token": return "the target has no class token"
        case "register_tokens": return "the target has no registers"
        case "feat_rope", "decoder_feat_rope":
            return target.rope ? "computed for the target's grid" : "nothing turns in the target"
        case "pos_embed": return "the target's position table is its own"
        case "patch_embed", "x_embedder":
            return "for \(source.sizes.channels) channels; the target has \(target.channels)"
        case "mask_token", "decoder_embed", "decoder_blocks", "decoder_norm", "decoder_pred",
            "decoder_pos_embed":
            return "the decoder of pretraining"
        case "norm" where target is MAR.Configuration:
            return "behind blocks that the target does not use"
        case "norm", "fc_norm": return "the target has no such final norm"
        case "head": return "the classifier's head"
        case "t_embedder", "y_embedder":
            return target.isModulated
                ? "for other classes" : "time and label are folded into the blocks"
        case "projectors": return "the target has no such projectors"
        case "final_layer":
            return target.isModulated
                ? "for other channels" : "predicts noise, not features"
        default: return "the target has no place for it"
        }
    }
}

extension Initializer {
    /// The rule in words.
    func label(seed: UInt64) -> String {
        switch self {
        case .zeros: "zeros"
        case .ones: "ones"
        case .constant(let value): "\(value)"
        case .normal(let deviation): "normal \(deviation) seed \(seed)"
        case .truncatedNormal(let deviation): "truncated normal \(deviation) seed \(seed)"
        case .uniform(let bound): "uniform within \(bound) seed \(seed)"
        case .xavierUniform: "Xavier uniform seed \(seed)"
        case .table: "table of sines and cosines"
        }
    }
}
