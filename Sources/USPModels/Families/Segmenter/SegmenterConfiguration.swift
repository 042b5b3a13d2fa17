// Sizes and parameter table of a segmentation network: timm's names for the encoder, mmsegmentation's
// for the rest.

import USPBase
import USPFiles
import USPTensor

extension Segmenter {
    /// What makes class maps of the encoder's.
    public enum Head: String, Sendable, CaseIterable {
        /// A pyramid of four maps, pooled, summed top down and fused (Xiao et al. 2018).
        case upernet
        /// Batch norm and a linear layer on the normed tokens (DINOv2).
        case linear
    }

    public struct Configuration: TransformerConfiguration {
        /// The encoder; 32x32 patches of 2x2 by default: f8 latents of 512x512 images.
        public var transformer: TransformerSizes
        public var classes = 150
        public var head = Head.upernet
        /// Channels of UperNet's maps; nil: the encoder's width.
        public var headChannels: Int?
        /// Channels of the auxiliary head, which only training uses; 0: there is none.
        public var auxiliaryChannels = 256
        /// The blocks (from 0) whose tokens are read; empty: as published for the depth.
        public var outIndices: [Int] = []
        /// A position is added to each token.
        public var absolutePositions = true
        /// In training: rate of the last block's drop path, and of the heads' channels.
        package var dropPath: Float = 0
        package var dropout: Float = 0

        public init() {
            self.init(
                TransformerSizes(grid: Grid(32, 32), width: 768, depth: 12, heads: 12))
        }

        package init(_ encoder: TransformerSizes) { transformer = encoder }

        public var family: String { "Segmenter" }
        public var encoderPrefix: String { "backbone." }

        /// The same with what goes by other sizes filled in.
        package var resolved: Configuration {
            var own = self
            if own.outIndices.isEmpty { own.outIndices = Configuration.indices(head, transformer) }
            switch head {
            case .upernet: own.headChannels = headChannels ?? transformer.width
            case .linear: (own.headChannels, own.auxiliaryChannels) = (nil, 0)
            }
            return own
        }

        /// The last block for a linear head, else those of mmsegmentation and BEiT: the thirds of
        /// the depth and its half.
        static func indices(_ head: Head, _ sizes: TransformerSizes) -> [Int] {
            let depth = sizes.depth
            guard head == .upernet else { return [depth - 1] }
            return [depth / 3, depth / 2, 2 * depth / 3, depth].map { max($0 - 1, 0) }
        }

        public var plainMetadata: [(key: String, value: String)] {
            [
                ("usp.heads", "\(transformer.heads)"), ("usp.grid", "\(transformer.grid)"),
                ("usp.out_indices", resolved.outIndices.map(String.init).joined(separator: ",")),
            ]
        }

        public func checkTogether() throws(USPError) {
            try transformer.check()
            let indices = resolved.outIndices
            try require(
                indices.allSatisfy { (0..<transformer.depth).contains($0) }
                    && zip(indices, indices.dropFirst()).allSatisfy { $0 <= $1 }, .argument,
                "out_indices: \(indices), expected blocks 0 to \(transformer.depth - 1), not falling"
            )
            try require(
                head == .linear || indices.count == 4, .argument,
                "out_indices: \(indices.count) blocks, expected 4 for UperNet")
            try require(
                absolutePositions || transformer.relativePositions, .argument,
                "absolute_positions: no, and no relative positions either")
        }
    }
}

extension Segmenter.Configuration: Described {
    public static let title = "Segmenter"
    public static let fields: [Field<Self>] =
        TransformerSizes.rows(
            without: ["affine", "shift", "pre_norm"], \.transformer) + [
            .integer("classes", \.classes, FieldRange(1, 65536), "Classes of the maps."),
            .choice(
                "head", \.head,
                "What makes class maps: UperNet, or a batch norm and a linear layer."),
            .integer(
                "head_channels", \.headChannels, .size,
                "Channels of UperNet's maps; without it the encoder's width."),
            .integer(
                "auxiliary_channels", \.auxiliaryChannels, FieldRange(0, 65536),
                "Channels of the auxiliary head, which only training uses; 0: there is none."),
            .integers(
                "out_indices", \.outIndices, FieldRange(0, 4096),
                "The blocks (from 0) whose tokens are read; without it as published for the depth."),
            .flag(
                "absolute_positions", \.absolutePositions, "A position is added to each token."),
        ]
}

extension Segmenter.Configuration {
    /// The parameter table.
    ///
    /// - Throws: `.argument` for sizes that no model has
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        let own = resolved
        return try own.backboneSpecs()
            + (head == .linear ? own.linearSpecs() : own.pyramidSpecs() + own.upernetSpecs())
    }

    private func backboneSpecs() throws(USPError) -> [ParameterSpec] {
        let (encoder, width) = (transformer, transformer.width)
        let name = "backbone"
        var specs: [ParameterSpec] = []
        if encoder.classToken {
            specs.append(
                ParameterSpec(
                    "\(name).cls_token", [1, 1, width], .truncatedNormal(deviation: 0.02)))
        }
        specs += encoder.registerSpecs(deviation: 0.02).map { $0.named("\(name).\($0.name)") }
        if absolutePositions {
            specs.append(
                ParameterSpec(
                    "\(name).pos_embed", [1, encoder.leadingPositions + encoder.tokens, width],
                    .truncatedNormal(deviation: 0.02)))
        }
        specs += PatchEmbedding.specs(
            "\(name).patch_embed", width: width, channels: encoder.channels, patch: encoder.patch,
            xavier: false)
        specs += try encoder.rotarySpecs("\(name).feat_rope")
        let block = encoder.block(.truncatedNormal(0.02))
        for index in 0..<encoder.depth {
            specs += block.specs("\(name).blocks.\(index)").map {
                // As MAE's fine-tuning: the blocks act in full from the start.
                $0.name.hasSuffix(".gamma") ? $0.starting(.ones) : $0
            }
        }
        return head == .linear
            ? specs + NormLayer.specs("\(name).norm", width: width, encoder.norm) : specs
    }

    private func linearSpecs() -> [ParameterSpec] {
        let width = transformer.width * outIndices.count
        return BatchNormLayer.specs("decode_head.bn", width: width)
            + PixelClassifier.specs("decode_head", inputs: width, classes: classes)
    }

    private func pyramidSpecs() -> [ParameterSpec] {
        let width = transformer.width
        func up(_ name: String) -> [ParameterSpec] {
            DoublingLayer.specs("neck.\(name)", width: width)
        }
        return up("upsample_4x.0") + BatchNormLayer.specs("neck.upsample_4x.1", width: width)
            + up("upsample_4x.3") + up("upsample_2x.0")
    }

    private func upernetSpecs() -> [ParameterSpec] {
        let (width, channels) = (transformer.width, headChannels ?? transformer.width)
        var specs: [ParameterSpec] = []
        func add(_ name: String, _ inputs: Int, _ outputs: Int, kernel: Int) {
            specs += ConvolutionUnit.specs(name, inputs: inputs, outputs: outputs, kernel: kernel)
        }
        for index in UperNet.cells.indices {
            add("decode_head.psp_modules.\(index).1", width, channels, kernel: 1)
        }
        let pooled = width + UperNet.cells.count * channels
        add("decode_head.bottleneck", pooled, channels, kernel: 3)
        for level in 0..<3 {
            add("decode_head.lateral_convs.\(level)", width, channels, kernel: 1)
        }
        for level in 0..<3 {
            add("decode_head.fpn_convs.\(level)", channels, channels, kernel: 3)
        }
        add("decode_head.fpn_bottleneck", 4 * channels, channels, kernel: 3)
        specs += PixelClassifier.specs("decode_head", inputs: channels, classes: classes)
        guard auxiliaryChannels > 0 else { return specs }
        add("auxiliary_head.convs.0", width, auxiliaryChannels, kernel: 3)
        return specs
            + PixelClassifier.specs(
                "auxiliary_head", inputs: auxiliaryChannels, classes: classes)
    }
}

extension ParameterSpec {
    package func named(_ name: String) -> ParameterSpec {
        ParameterSpec(name, shape, initializer, isTrainable: isTrainable)
    }

    func starting(_ initializer: Initializer) -> ParameterSpec {
        ParameterSpec(name, shape, initializer, isTrainable: isTrainable)
    }
}
