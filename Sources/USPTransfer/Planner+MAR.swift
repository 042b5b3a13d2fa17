// Where the tensors of a masked autoregressive model come from: a masked autoencoder's encoder, and
// its decoder where it fits, or a plain encoder.

import USPBase
import USPModels
import USPTensor

extension Planner {
    /// What of the source becomes the decoder.
    private enum Decoder {
        case copied
        /// The source's blocks behind those that became the encoder: the first of them.
        case continued(Int)
        case fresh(String?)
    }

    mutating func addAutoregressive(
        _ spec: ParameterSpec, _ target: MAR.Configuration
    ) throws(USPError) {
        let parts = spec.name.split(separator: ".", maxSplits: 2).map(String.init)
        let ending = spec.name.drop { $0 != "." }
        switch parts[0] {
        case "z_proj": addProjection(spec, "patch_embed.proj" + ending, target)
        case "encoder_blocks": try addBlock(spec, Int(parts[1]) ?? 0, parts[2])
        case "encoder_norm":
            let last = origin(of: target.depth - 1)
            guard last == source.sizes.depth - 1, options.layers ?? .max >= target.depth else {
                return addFresh(spec, "the source's is behind blocks that are not transferred")
            }
            addRenamed(spec, "norm" + ending)
        case "encoder_pos_embed_learned":
            addLearned(spec, "pos_embed", leading: source.sizes.leadingPositions)
        case "decoder_embed", "mask_token", "decoder_norm":
            switch decoder(target) {
            case .copied: addRenamed(spec, spec.name)
            case .continued: addFresh(spec)
            case .fresh(let reason): addFresh(spec, reason)
            }
        case "decoder_pos_embed_learned":
            guard case .copied = decoder(target) else { return addFresh(spec) }
            addLearned(spec, "decoder_pos_embed", leading: source.sizes.leading)
        case "decoder_blocks":
            try addDecoderBlock(spec, Int(parts[1]) ?? 0, parts[2], target)
        default: addFresh(spec)
        }
    }

    private mutating func addDecoderBlock(
        _ spec: ParameterSpec, _ block: Int, _ rest: String, _ target: MAR.Configuration
    ) throws(USPError) {
        switch decoder(target) {
        case .copied: addRenamed(spec, spec.name)
        case .fresh: addFresh(spec)
        case .continued(let first):
            guard first + block < source.sizes.depth else {
                return addFresh(spec, "block beyond the transferred ones")
            }
            try addCopy(spec, "blocks.\(first + block).\(rest)", ["going on from the encoder"])
        }
    }

    /// - Throws: never; what cannot be is started afresh, with the reason
    private func decoder(_ target: MAR.Configuration) -> Decoder {
        switch options.decoderRule {
        case "fresh": return .fresh("as decoder_rule says")
        case "continue":
            return target.decoderWidth == source.sizes.width
                ? .continued(target.depth)
                : .fresh("the source's blocks are \(source.sizes.width) wide")
        default: break
        }
        guard let own = source.configuration as? MaskedAutoencoder.Configuration, own.hasDecoder
        else { return .fresh(nil) }
        let fits =
            own.decoderWidth == target.decoderWidth && own.decoderDepth == target.decoderDepth
            && (own.decoderHeads == target.decoderHeads
                || source.untold.contains("decoder_heads"))
        return fits
            ? .copied
            : .fresh(
                "the source's decoder is \(own.decoderWidth) wide, \(own.decoderDepth) blocks of "
                    + "\(own.decoderHeads) heads")
    }

    private mutating func addRenamed(_ spec: ParameterSpec, _ name: String) {
        guard let shape = source.file.sources[name]?.shape else { return addFresh(spec) }
        guard shape == spec.shape else { return addFresh(spec, "the source's is \(shape)") }
        append(spec, .copy, name, [])
    }

    /// The kernel of patches, flattened: channel, row, column is a token's order too.
    private mutating func addProjection(
        _ spec: ParameterSpec, _ name: String, _ target: MAR.Configuration
    ) {
        guard let found = source.file.sources[name] else { return addFresh(spec) }
        let own = source.sizes
        guard own.channels == target.channels, own.patch == target.patch else {
            return addFresh(
                spec,
                "the source's patches are \(own.patch) wide, of \(own.channels) channels")
        }
        append(
            spec, found.shape == spec.shape ? .copy : .reshape, name,
            found.shape == spec.shape ? [] : ["flattened"])
    }

    /// A learned table: fresh rows for the buffer, then the source's for the grid.
    private mutating func addLearned(_ spec: ParameterSpec, _ name: String, leading: Int) {
        guard let shape = source.file.sources[name]?.shape, shape.rank == 3,
            shape[2] == spec.shape[2], shape[1] == leading + source.sizes.tokens
        else { return addFresh(spec) }
        let change = PositionChange(
            from: source.sizes.grid, to: target.grid, leadingBefore: leading, leadingAfter: 0)
        var steps = ["fresh rows for the buffer"]
        if leading > 0 { steps.append("class row dropped") }
        if change.from != change.to {
            steps.append("resampled bicubically \(change.from) -> \(change.to)")
        }
        append(spec, .learnedPositions(change), name, steps)
    }
}
