// The target's sizes: a published name's, or the source's, with what the options change.

import USPBase
import USPModels
import USPTensor

extension TransferOptions {
    /// The configuration of the target, checked against what the source can fill.
    func configuration(
        _ source: TransferSource
    ) throws(USPError) -> any TransformerConfiguration {
        var result: any TransformerConfiguration
        switch target {
        case .configuration(let given): result = given
        case .named(let name): result = try named(name, source)
        }
        try check(parts: result.family, source)
        try change(&result, source)
        try check(result, source)
        return result
    }

    /// A published name's sizes, or a family's over the source's.
    private func named(
        _ name: String, _ source: TransferSource
    ) throws(USPError) -> any TransformerConfiguration {
        guard
            let found = try Family.configuration(named: name) as? any TransformerConfiguration
        else {
            throw USPError(
                .unsupported,
                "to: \(name) is no transformer; targets are published names and the families "
                    + Family.transformers().joined(separator: ", "))
        }
        try check(name, found, source)
        var result = found
        if Family.transformers().contains(name) { result = continued(found, source) }
        result.rmsNorm = rmsNorm ?? result.rmsNorm
        result.swiglu = swiglu ?? result.swiglu
        result.rope = rope ?? result.rope
        result.queryKeyNorm = queryKeyNorm ?? result.queryKeyNorm
        result.shift = shift ?? result.shift
        if result.isModulated { result.affine = affine && !foldNorms && !result.rmsNorm }
        // Copied blocks go on with the numbers that they were trained with.
        result.epsilon = source.sizes.epsilon
        result.attentionEpsilon = source.sizes.attentionEpsilon
        guard var target = result as? DiT.Configuration,
            let given = source.configuration as? DiT.Configuration
        else { return result }
        (target.frequencies, target.frequencyShift) = (given.frequencies, given.frequencyShift)
        return target
    }

    /// A family's configuration with the source's sizes; all of it where both are of one kind.
    private func continued(
        _ family: any TransformerConfiguration, _ source: TransferSource
    ) -> any TransformerConfiguration {
        if var given = source.configuration as? DiT.Configuration,
            let target = family as? DiT.Configuration
        {
            given.variant = target.variant
            return given
        }
        if let given = source.configuration as? MaskedAutoencoder.Configuration, given.hasDecoder,
            family is MaskedAutoencoder.Configuration
        {
            return given
        }
        if source.configuration is MAR.Configuration, family is MAR.Configuration {
            return source.configuration
        }
        if let given = source.configuration as? Segmenter.Configuration,
            family is Segmenter.Configuration
        {
            return given
        }
        if var target = family as? MAR.Configuration {
            target.transformer = source.sizes
            (target.classToken, target.embedsClass, target.registers) = (false, false, 0)
            (target.affine, target.preNorm) = (true, false)
            return target
        }
        var result = family
        let own = result.transformer
        let activation = own.activation
        result.transformer = source.sizes
        if (family as? DiT.Configuration)?.variant == .lightningDiT {
            (result.rmsNorm, result.swiglu) = (own.rmsNorm, own.swiglu)
            (result.rope, result.queryKeyNorm) = (own.rope, own.queryKeyNorm)
        }
        if result.isModulated {
            // Its published GELU is another; plain blocks go on with theirs.
            result.activation = activation
            (result.classToken, result.embedsClass) = (false, true)
            (result.registers, result.layerScale) = (0, false)
        }
        result.affine = true
        result.preNorm = result.preNorm && family is ViT.Configuration
        return result
    }

    private func change(
        _ target: inout any TransformerConfiguration, _ source: TransferSource
    ) throws(USPError) {
        target.grid = grid ?? target.grid
        target.patch = patch ?? target.patch
        target.channels = channels ?? target.channels
        if let classes { try target.set("classes", String(classes)) }
        if keepsActivation { target.activation = source.sizes.activation }
        if source.isModulated && !target.isModulated {
            // The blocks were trained with this GELU, no class token and, up to the chosen block,
            // no further block; with those the extractor computes what the diffusion transformer
            // does.
            target.activation = source.sizes.activation
            target.classToken = false
            target.depth = min(block ?? target.depth, target.depth)
        }
        if var network = target as? Segmenter.Configuration {
            try require(
                head != .probe, .argument, "head: probe, expected upernet or linear of a Segmenter")
            if let wanted = Segmenter.Head(rawValue: head.rawValue), wanted != network.head {
                (network.head, network.outIndices) = (wanted, [])
            }
            network.headChannels = headChannels ?? network.headChannels
            network.relativePositions = relativePositions || network.relativePositions
            target = network.resolved
        }
        if var own = target as? MAR.Configuration {
            own.buffer = buffer ?? own.buffer
            own.headWidth = headWidth ?? own.headWidth
            own.headDepth = headDepth ?? own.headDepth
            target = own
        }
        if var network = target as? DiT.Configuration {
            changeOutputs(&network, source)
            target = network
        }
        guard var classifier = target as? ViT.Configuration else { return }
        try require(
            head == .fineTune || head == .probe, .argument,
            "head: \(head.rawValue), expected fine-tune or probe of a ViT")
        classifier.pool = pool ?? (classifier.classToken ? classifier.pool : .avg)
        // A norm that was trained in front of averaging stays there.
        if classifier.pool == .avg && source.file.normsBeforeAveraging { classifier.fcNorm = false }
        if classifier.head != .none {
            classifier.head = head == .probe ? .probe : .linear
        }
        target = classifier
    }

    private func changeOutputs(_ target: inout DiT.Configuration, _ source: TransferSource) {
        target.learnsSigma = learnsSigma ?? target.learnsSigma
        if !projections.isEmpty { target.projections = projections }
        target.projector = projector ?? target.projector
        target.encoderDepth = encoderDepth ?? target.encoderDepth
        guard let given = source.configuration as? DiT.Configuration, given.isFlow, target.isFlow
        else { return }
        // What was trained in one direction goes on in it.
        target.noiseAt = nil
        if target.noiseTime != given.noiseTime { target.noiseAt = given.noiseTime }
    }

    /// - Throws: `.unsupported` for a source whose blocks are not the target's
    private func check(
        _ name: String, _ found: any TransformerConfiguration, _ source: TransferSource
    ) throws(USPError) {
        let isOwn = source.configuration is MAR.Configuration
        guard found is MAR.Configuration, !isOwn else {
            return try require(
                !isOwn || found is MAR.Configuration, .unsupported,
                "to: \(name): a MAR becomes no other family")
        }
        let sizes = source.sizes
        let isPlain =
            !source.isModulated && !sizes.rmsNorm && !sizes.swiglu && !sizes.rope
            && !sizes.queryKeyNorm
        try require(
            isPlain, .unsupported,
            "to: \(name): starts from plain blocks, as a masked autoencoder's; the source's, of a "
                + "\(source.configuration.family), are others")
    }

    /// - Throws: `.argument` for an option that has no part in this target or source
    private func check(parts family: String, _ source: TransferSource) throws(USPError) {
        try checkParts(in: family)
        let ofFeatures = [
            ("block", block != nil), ("timestep", timestep != 0), ("label", label != nil),
        ]
        for (name, isSet) in ofFeatures where isSet {
            try require(
                source.isModulated, .argument,
                "\(name): has no part in this source, only in "
                    + Family.transformers { $0.isModulated }.joined(separator: ", "))
        }
    }

    private func check(
        _ configuration: any TransformerConfiguration, _ source: TransferSource
    ) throws(USPError) {
        let (target, own) = (configuration.transformer, source.sizes)
        if target.width != own.width {
            let fitting = Family.presetNames.filter { name in
                let found = try? Family.configuration(named: name)
                return (found as? any TransformerConfiguration)?.width == own.width
            }
            let wide =
                fitting.isEmpty
                ? "none of the published models is"
                : "as wide are \(fitting.joined(separator: ", "))"
            throw USPError(
                .shape,
                "the source is \(own.width) wide, the target \(target.width): widths cannot be "
                    + "changed; \(wide)")
        }
        try require(
            target.hidden == own.hidden || target.swiglu != own.swiglu, .shape,
            "the source's MLP ratio is \(own.mlpRatio), the target's \(target.mlpRatio)")
        try require(
            target.grid.height > 0 && target.grid.width > 0
                && target.grid.height <= Planner.mostTokens / target.grid.width, .argument,
            "grid: \(target.grid), expected 1 to \(Planner.mostTokens) tokens")
        try require(
            normRule == .copy || (target.rmsNorm && !own.rmsNorm), .argument,
            "norm_rule: exact is for a source of layer norms and a target of RMS norms; the source has "
                + "\(own.rmsNorm ? "RMS" : "layer") norms, the target \(target.rmsNorm ? "RMS" : "layer")"
        )
        try require(
            !foldNorms || (own.affine && !own.rmsNorm && !target.rmsNorm), .argument,
            "fold_norms: needs a source of layer norms with gamma and beta and a target of layer norms"
        )
        try require(
            !foldNorms || !source.isModulated || (own.shift && target.shift), .argument,
            "fold_norms: beta goes into the shifts, which \(own.shift ? "the target" : "the source") "
                + "has not")
        try require(
            layers.map { $0 >= 0 } ?? true, .argument, "layers: \(layers ?? 0) is negative")
        try require(
            block.map { $0 >= 1 && $0 <= own.depth } ?? true, .argument,
            "block: \(block ?? 0), the source has \(own.depth)")
        if let label, let sizes = source.configuration as? DiT.Configuration {
            try require(
                (0..<sizes.labels).contains(label), .argument,
                "label: \(label), expected 0 to \(sizes.labels - 1)")
        }
    }
}
