// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of TransferOptions that have a part in some run.
struct TransferSettings: ParsableArguments {
    @Option(
        name: .customLong("grid"),
        help: "The target's rows and columns of tokens; without it the preset's, or the source's.")
    var grid: String?

    @Option(
        name: .customLong("classes"),
        help: "The target's classes. 1 to 1000000. Part in: ViT, Segmenter, LightningDiT, DiT, SiT, MAR.")
    var classes: String?

    @Option(
        name: .customLong("patch"),
        help: "The target's patch. 1 to 65536.")
    var patch: String?

    @Option(
        name: .customLong("channels"),
        help: "The target's channels. 1 to 65536.")
    var channels: String?

    @Option(
        name: .customLong("layers"),
        help: "Only so many blocks come from the source; without it all. 0 or more.")
    var layers: String?

    @Option(
        name: .customLong("seed"),
        help: "Of everything fresh. Default: 0.")
    var seed: String?

    @Flag(
        name: .customLong("affine"), inversion: .prefixedNo,
        help: "Norms with gamma and beta in a diffusion transformer's blocks, which take a ViT's; off is the ablation. Default: yes. Part in: LightningDiT, DiT, SiT.")
    var affine: Bool?

    @Flag(
        name: .customLong("keep-activation"), inversion: .prefixedNo,
        help: "The source's GELU instead of the target family's. Default: no.")
    var keepActivation: Bool?

    @Option(
        name: .customLong("channel-rule"),
        help: "Where channels differ: a fresh patch embedding, a copy of the channels that both have, or the source's again and again, scaled. One of fresh, copy, repeat. Default: fresh.")
    var channelRule: String?

    @Option(
        name: .customLong("depth-rule"),
        help: "Where depths differ: the first blocks, evenly over the source, or its blocks again and again. One of prefix, stride, repeat. Default: prefix.")
    var depthRule: String?

    @Option(
        name: .customLong("pool"),
        help: "A classifier's pooling; without it the class token where there is one. One of token, avg. Part in: ViT.")
    var pool: String?

    @Option(
        name: .customLong("head"),
        help: "How a classifier's head starts, fine-tune or, with a batch norm before it, probe; what a segmentation network's is, upernet (which fine-tune is there) or linear. One of fine-tune, probe, upernet, linear. Default: fine-tune. Part in: ViT, Segmenter.")
    var head: String?

    @Option(
        name: [.customLong("gate-bias"), .customLong("gate")],
        help: "Where adaLN's gates start: 0 as published; 1 lets every block act from the first step. Default: 0. Part in: LightningDiT, DiT, SiT.")
    var gateBias: String?

    @Option(
        name: .customLong("block"),
        help: "A diffusion source becomes a feature extractor after this block; without it after all. 1 or more.")
    var block: String?

    @Option(
        name: .customLong("timestep"),
        help: "At this time, folded into the weights. Default: 0.")
    var timestep: String?

    @Option(
        name: .customLong("label"),
        help: "And this label; without it the null class. 0 or more.")
    var label: String?

    @Option(
        name: .customLong("table"),
        help: "The source's table; without it what the family's readers take.")
    var table: String?

    @Option(
        name: .customLong("heads"),
        help: "The source's attention heads, where its file does not tell and its width is not a published one. 1 to 65536.")
    var heads: String?

    @Option(
        name: .customLong("decoder-heads"),
        help: "Those of its decoder; likewise. 1 to 65536.")
    var decoderHeads: String?

    @Option(
        name: .customLong("ignore"),
        help: "Arrays of the source, by their names or the start of these, with commas between, that are left aside; what they would fill starts afresh. Default: none.")
    var ignore: String?

    @Option(
        name: .customLong("head-channels"),
        help: "Channels of UperNet's maps; without it the width. 1 to 65536. Part in: Segmenter.")
    var headChannels: String?

    @Flag(
        name: .customLong("relative-positions"), inversion: .prefixedNo,
        help: "A segmentation network's blocks get biases by how far tokens are apart, zero at first. Default: no. Part in: Segmenter.")
    var relativePositions: Bool?

    @Option(
        name: .customLong("buffer"),
        help: "Rows of the class in front of the target's patches; without it the preset's. 1 to 65536. Part in: MAR.")
    var buffer: String?

    @Option(
        name: .customLong("head-width"),
        help: "Width of the target's diffusion head; without it the preset's. 1 to 65536. Part in: MAR.")
    var headWidth: String?

    @Option(
        name: .customLong("head-depth"),
        help: "Its residual blocks; without it the preset's. 1 to 4096. Part in: MAR.")
    var headDepth: String?

    @Option(
        name: .customLong("decoder-rule"),
        help: "The target's decoder: the source's blocks behind those of the encoder, or a fresh one; without it the source's decoder where width, depth and heads fit. One of continue, fresh. Part in: MAR.")
    var decoderRule: String?

    @Flag(
        name: .customLong("rms-norm"), inversion: .prefixedNo,
        help: "RMS norms in the target; without it the preset's, LightningDiT's own, or the source's. So are the next four.")
    var rmsNorm: Bool?

    @Flag(
        name: .customLong("swiglu"), inversion: .prefixedNo,
        help: "Gated MLPs in the target.")
    var swiglu: Bool?

    @Flag(
        name: .customLong("rope"), inversion: .prefixedNo,
        help: "Rotary positions in the target, beside its table.")
    var rope: Bool?

    @Flag(
        name: .customLong("qk-norm"), inversion: .prefixedNo,
        help: "Norms of queries and keys in the target.")
    var qkNorm: Bool?

    @Flag(
        name: .customLong("shift"), inversion: .prefixedNo,
        help: "Shifts in the modulation of the target's blocks. Part in: LightningDiT, DiT, SiT.")
    var shift: Bool?

    @Option(
        name: .customLong("norm-rule"),
        help: "Where the source has layer norms and the target RMS norms: copy gamma, which changes the function; or keep it exactly, by making what writes the tokens zero-mean and putting beta into the next bias. One of copy, exact. Default: copy. Part in: LightningDiT, DiT, SiT.")
    var normRule: String?

    @Flag(
        name: .customLong("fold-norms"), inversion: .prefixedNo,
        help: "Where the target's norms have no gamma and beta: put the source's into the layers behind them, exactly. Default: no. Part in: LightningDiT, DiT, SiT.")
    var foldNorms: Bool?

    @Flag(
        name: .customLong("learn-sigma"), inversion: .prefixedNo,
        help: "The target's last layer predicts a second set of channels, which REPA's has not; without it as the preset's, or the source's. Part in: LightningDiT, DiT, SiT.")
    var learnSigma: Bool?

    @Option(
        name: .customLong("projections"),
        help: "Widths of teachers' tokens, such as 768: a projector for each (REPA), whose model's noise is at time 1 unless it is a trained flow's; without it the source's. 1 to 65536. Default: none. Part in: LightningDiT, DiT, SiT.")
    var projections: String?

    @Option(
        name: .customLong("projector"),
        help: "Width of a projector's hidden layers; without it 2048, or the source's. 1 to 65536. Part in: LightningDiT, DiT, SiT.")
    var projector: String?

    @Option(
        name: .customLong("encoder-depth"),
        help: "Projectors read the tokens behind this block, counted from 1; without it 8, or the source's. REPA has 8 in its SiT-L and SiT-XL, 4 in its SiT-B. 1 to 4096. Part in: LightningDiT, DiT, SiT.")
    var encoderDepth: String?

    /// Names of what was said.
    var said: [String] {
        [
            grid == nil ? nil : "grid",
            classes == nil ? nil : "classes",
            patch == nil ? nil : "patch",
            channels == nil ? nil : "channels",
            layers == nil ? nil : "layers",
            seed == nil ? nil : "seed",
            affine == nil ? nil : "affine",
            keepActivation == nil ? nil : "keep_activation",
            channelRule == nil ? nil : "channel_rule",
            depthRule == nil ? nil : "depth_rule",
            pool == nil ? nil : "pool",
            head == nil ? nil : "head",
            gateBias == nil ? nil : "gate_bias",
            block == nil ? nil : "block",
            timestep == nil ? nil : "timestep",
            label == nil ? nil : "label",
            table == nil ? nil : "table",
            heads == nil ? nil : "heads",
            decoderHeads == nil ? nil : "decoder_heads",
            ignore == nil ? nil : "ignore",
            headChannels == nil ? nil : "head_channels",
            relativePositions == nil ? nil : "relative_positions",
            buffer == nil ? nil : "buffer",
            headWidth == nil ? nil : "head_width",
            headDepth == nil ? nil : "head_depth",
            decoderRule == nil ? nil : "decoder_rule",
            rmsNorm == nil ? nil : "rms_norm",
            swiglu == nil ? nil : "swiglu",
            rope == nil ? nil : "rope",
            qkNorm == nil ? nil : "qk_norm",
            shift == nil ? nil : "shift",
            normRule == nil ? nil : "norm_rule",
            foldNorms == nil ? nil : "fold_norms",
            learnSigma == nil ? nil : "learn_sigma",
            projections == nil ? nil : "projections",
            projector == nil ? nil : "projector",
            encoderDepth == nil ? nil : "encoder_depth",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout TransferOptions) throws(USPError) {
        if let grid { try options.set("grid", grid) }
        if let classes { try options.set("classes", classes) }
        if let patch { try options.set("patch", patch) }
        if let channels { try options.set("channels", channels) }
        if let layers { try options.set("layers", layers) }
        if let seed { try options.set("seed", seed) }
        if let affine { try options.set("affine", affine ? "yes" : "no") }
        if let keepActivation { try options.set("keep_activation", keepActivation ? "yes" : "no") }
        if let channelRule { try options.set("channel_rule", channelRule) }
        if let depthRule { try options.set("depth_rule", depthRule) }
        if let pool { try options.set("pool", pool) }
        if let head { try options.set("head", head) }
        if let gateBias { try options.set("gate_bias", gateBias) }
        if let block { try options.set("block", block) }
        if let timestep { try options.set("timestep", timestep) }
        if let label { try options.set("label", label) }
        if let table { try options.set("table", table) }
        if let heads { try options.set("heads", heads) }
        if let decoderHeads { try options.set("decoder_heads", decoderHeads) }
        if let ignore { try options.set("ignore", ignore) }
        if let headChannels { try options.set("head_channels", headChannels) }
        if let relativePositions { try options.set("relative_positions", relativePositions ? "yes" : "no") }
        if let buffer { try options.set("buffer", buffer) }
        if let headWidth { try options.set("head_width", headWidth) }
        if let headDepth { try options.set("head_depth", headDepth) }
        if let decoderRule { try options.set("decoder_rule", decoderRule) }
        if let rmsNorm { try options.set("rms_norm", rmsNorm ? "yes" : "no") }
        if let swiglu { try options.set("swiglu", swiglu ? "yes" : "no") }
        if let rope { try options.set("rope", rope ? "yes" : "no") }
        if let qkNorm { try options.set("qk_norm", qkNorm ? "yes" : "no") }
        if let shift { try options.set("shift", shift ? "yes" : "no") }
        if let normRule { try options.set("norm_rule", normRule) }
        if let foldNorms { try options.set("fold_norms", foldNorms ? "yes" : "no") }
        if let learnSigma { try options.set("learn_sigma", learnSigma ? "yes" : "no") }
        if let projections { try options.set("projections", projections) }
        if let projector { try options.set("projector", projector) }
        if let encoderDepth { try options.set("encoder_depth", encoderDepth) }
    }
}
