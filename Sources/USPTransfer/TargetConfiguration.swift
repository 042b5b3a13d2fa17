// The target's sizes: a published name's, or the source's, with what the options change.

import USPBase
import USPModels
import USPTensor

extension TransferOptions {
    /// The configuration of the target, checked against what the source can fill.
    func configuration(_ source: TransferSource) throws(USPError) -> ModelConfiguration {
        var result: ModelConfiguration
        switch target {
        case .configuration(let given): result = given
        case .named(let name):
            let families = ["DiT", "SiT", "ViT", "MAE"]
            result = families.contains(name) ? try family(name, source) : try preset(name)
        }
        apply(to: &result, source)
        try check(result, source)
        return result
    }

    private func preset(_ name: String) throws(USPError) -> ModelConfiguration {
        let found = try Presets.find(name)
        guard case .diffusion(var sizes) = found else { return found }
        sizes.affineNorms = affineNorms
        return .diffusion(sizes)
    }

    private func family(
        _ name: String, _ source: TransferSource
    ) throws(USPError) -> ModelConfiguration {
        if name == "DiT" || name == "SiT" {
            var sizes = DiTConfiguration(
                grid: source.grid, channels: source.channels, patch: source.patch,
                width: source.width, depth: source.depth, heads: source.heads,
                mlpRatio: source.mlpRatio, returnsSigma: name == "DiT", affineNorms: affineNorms)
            if case .diffusion(let given) = source.kind {
                (sizes.classes, sizes.learnsSigma) = (given.classes, given.learnsSigma)
            }
            return .diffusion(sizes)
        }
        let encoder = ViTConfiguration(
            grid: source.grid, channels: source.channels, patch: source.patch,
            width: source.width, depth: source.depth, heads: source.heads,
            mlpRatio: source.mlpRatio, classToken: source.hasClassToken)
        if name == "MAE" {
            var sizes = MaskedAutoencoderConfiguration(encoder: encoder)
            if case .vision(let given) = source.kind, given.hasDecoder {
                (sizes.decoderWidth, sizes.decoderDepth) = (given.decoderWidth, given.decoderDepth)
                sizes.decoderHeads = given.decoderHeads
            }
            return .maskedAutoencoder(sizes)
        }
        return .classifier(
            VisionTransformerConfiguration(
                encoder: encoder, pool: .token, head: .linear, classes: 1000))
    }

    private func apply(to configuration: inout ModelConfiguration, _ source: TransferSource) {
        switch configuration {
        case .diffusion(var sizes):
            sizes.grid = grid ?? sizes.grid
            sizes.patch = patch ?? sizes.patch
            sizes.channels = channels ?? sizes.channels
            sizes.classes = classes ?? sizes.classes
            if keepsActivation { sizes.activation = source.activation }
            configuration = .diffusion(sizes)
        case .maskedAutoencoder(var sizes):
            apply(to: &sizes.encoder, source)
            configuration = .maskedAutoencoder(sizes)
        case .classifier(var sizes):
            apply(to: &sizes.encoder, source)
            sizes.classes = classes ?? sizes.classes
            sizes.pool = pool ?? (sizes.encoder.classToken ? sizes.pool : .average)
            if sizes.head != .none {
                sizes.head = head == .probe ? .probe : .linear
                sizes.headDeviation = head == .probe ? 0.01 : 2e-5
            }
            configuration = .classifier(sizes)
        }
    }

    private func apply(to encoder: inout ViTConfiguration, _ source: TransferSource) {
        encoder.grid = grid ?? encoder.grid
        encoder.patch = patch ?? encoder.patch
        encoder.channels = channels ?? encoder.channels
        guard source.isDiffusion else {
            if keepsActivation { encoder.activation = source.activation }
            return
        }
        // The blocks were trained with this GELU, no class token and, up to the chosen block, no
        // further block; with those the extractor computes what the diffusion transformer does.
        encoder.activation = source.activation
        encoder.classToken = false
        encoder.depth = min(block ?? encoder.depth, encoder.depth)
    }

    /// - Throws: `.argument` for an option that has no part in this target or source
    private func checkParts(of family: String, _ source: TransferSource) throws(USPError) {
        try expectPart(
            in: family,
            [
                ("pool", pool != nil, ["ViT"]), ("head", head != .fineTune, ["ViT"]),
                ("classes", classes != nil, ["ViT", "DiT", "SiT"]),
                ("plain norms", !affineNorms, ["DiT", "SiT"]),
                ("gate bias", gateBias != 0, ["DiT", "SiT"]),
            ])
        let ofFeatures = [
            ("block", block != nil), ("timestep", timestep != 0), ("label", label != nil),
        ]
        for (name, isSet) in ofFeatures where isSet {
            try require(
                source.isDiffusion, .argument,
                "\(name): has no part in this source, only in DiT, SiT")
        }
    }

    private func check(
        _ configuration: ModelConfiguration, _ source: TransferSource
    ) throws(USPError) {
        let target = Sizes(configuration)
        try checkParts(of: target.family, source)
        if target.width != source.width {
            let fitting = Presets.names.filter { name in
                (try? Presets.find(name)).map { Sizes($0).width == source.width } ?? false
            }
            let wide =
                fitting.isEmpty
                ? "none of the published models is"
                : "as wide are \(fitting.joined(separator: ", "))"
            throw USPError(
                .shape,
                "the source is \(source.width) wide, the target \(target.width): widths cannot be "
                    + "changed; \(wide)")
        }
        try require(
            Int(Float(target.width) * target.mlpRatio)
                == Int(Float(source.width) * source.mlpRatio),
            .shape, "the source's MLP ratio is \(source.mlpRatio), the target's \(target.mlpRatio)")
        try require(
            target.grid.height > 0 && target.grid.width > 0
                && target.grid.height <= Planner.mostTokens / target.grid.width, .argument,
            "grid: \(target.grid), expected 1 to \(Planner.mostTokens) tokens")
        try require(
            layers.map { $0 >= 0 } ?? true, .argument, "layers: \(layers ?? 0) is negative")
        try require(
            block.map { $0 >= 1 && $0 <= source.depth } ?? true, .argument,
            "block: \(block ?? 0), the source has \(source.depth)")
        if let label, case .diffusion(let sizes) = source.kind {
            try require(
                (0..<sizes.labels).contains(label), .argument,
                "label: \(label), expected 0 to \(sizes.labels - 1)")
        }
    }
}

/// What all targets have.
struct Sizes {
    let width: Int
    let depth: Int
    let heads: Int
    let mlpRatio: Float
    let grid: Grid
    let patch: Int
    let channels: Int
    let leading: Int
    let activation: Activation
    let family: String

    init(_ configuration: ModelConfiguration) {
        switch configuration {
        case .diffusion(let sizes): self.init(sizes)
        case .maskedAutoencoder(let sizes): self.init(sizes.encoder, "MAE")
        case .classifier(let sizes): self.init(sizes.encoder, "ViT")
        }
    }

    private init(_ sizes: DiTConfiguration) {
        (width, depth, heads, mlpRatio) = (sizes.width, sizes.depth, sizes.heads, sizes.mlpRatio)
        (grid, patch, channels, leading) = (sizes.grid, sizes.patch, sizes.channels, 0)
        (activation, family) = (sizes.activation, sizes.returnsSigma ? "DiT" : "SiT")
    }

    private init(_ encoder: ViTConfiguration, _ family: String) {
        (width, depth, heads) = (encoder.width, encoder.depth, encoder.heads)
        (mlpRatio, grid, patch) = (encoder.mlpRatio, encoder.grid, encoder.patch)
        (channels, leading) = (encoder.channels, encoder.leadingPositions)
        (activation, self.family) = (encoder.activation, family)
    }
}

extension ModelConfiguration {
    /// The parameter table.
    package func specs() throws(USPError) -> [ParameterSpec] {
        switch self {
        case .diffusion(let sizes): try DiT.specs(sizes)
        case .maskedAutoencoder(let sizes): try MaskedAutoencoder.specs(sizes)
        case .classifier(let sizes): try VisionTransformer.specs(sizes)
        }
    }
}
