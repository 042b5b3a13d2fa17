// Tiny autoencoders (TAESD and its descendants): the same latents from a hundredth of the
// arithmetic. Convolutions and ReLUs alone; names and order are those of diffusers' AutoencoderTiny,
// a sequence of numbered layers.
//
// - Source: github.com/madebyollin/taesd (MIT), diffusers' `AutoencoderTiny`

import USPBase
import USPFiles
import USPTensor

/// One layer of a sequence that has parameters, or none.
enum TinyLayer: Equatable {
    /// 3x3; `stride` 2 halves, `upsample` 2 doubles before.
    case convolution(
        inputs: Int, outputs: Int, stride: Int = 1, upsample: Int = 1, hasBias: Bool = true)
    case block(width: Int, isPooled: Bool)
    case relu
    /// The place of an `Upsample`, which the convolution behind it does.
    case place
}

extension VAE.Configuration {
    /// TAESD: f8, 4 latent channels.
    package static let taesd: VAE.Configuration = {
        var sizes = VAE.Configuration()
        (sizes.isTiny, sizes.baseWidth, sizes.multipliers) = (true, 64, [1, 1, 1, 1])
        (sizes.encoderBlocks, sizes.decoderBlocks) = ([1, 3, 3, 3], [3, 3, 3, 1])
        sizes.decoderWidths = [64, 64, 64, 64]
        (sizes.doublesLatent, sizes.hasLatentConvolutions) = (false, false)
        (sizes.hasMiddleAttention, sizes.blocksPerLevel, sizes.groups) = (false, 1, 1)
        return sizes
    }()

    func checkTiny() throws(USPError) {
        try require(
            !doublesLatent && !hasLatentConvolutions, .argument,
            "autoencoder: a tiny one has double_z no, quant_conv no")
        try require(
            !encoderBlocks.isEmpty || !decoderBlocks.isEmpty, .argument,
            "autoencoder: a tiny one of neither encoder_blocks nor decoder_blocks")
        try require(
            decoderWidths.count == decoderBlocks.count, .argument,
            "autoencoder: \(decoderWidths.count) decoder_widths for \(decoderBlocks.count) levels")
        let stem = hasStridedStem ? 2 : 0
        for (blocks, extra) in [(encoderBlocks, stem), (decoderBlocks, 0)] where !blocks.isEmpty {
            try require(
                blocks.count + extra == multipliers.count, .argument,
                "autoencoder: \(blocks.count + extra) levels, multipliers has \(multipliers.count)")
        }
    }

    /// The layers of the encoder in order; empty without one.
    var tinyEncoder: [TinyLayer] {
        guard !encoderBlocks.isEmpty else { return [] }
        var layers: [TinyLayer] = []
        if hasStridedStem {
            layers = [
                .convolution(inputs: imageChannels, outputs: baseWidth / 2, stride: 2), .relu,
                .convolution(inputs: baseWidth / 2, outputs: baseWidth, stride: 2), .relu,
            ]
        }
        for (level, count) in encoderBlocks.enumerated() {
            if level > 0 {
                layers.append(
                    .convolution(
                        inputs: baseWidth, outputs: baseWidth, stride: 2, hasBias: false))
            } else if !hasStridedStem {
                layers.append(.convolution(inputs: imageChannels, outputs: baseWidth))
            }
            let isPooled = hasPooledBlocks && level == encoderBlocks.count - 1
            layers += [TinyLayer](
                repeating: .block(width: baseWidth, isPooled: isPooled), count: count)
        }
        return layers + [.convolution(inputs: baseWidth, outputs: latentChannels)]
    }

    /// The layers of the decoder, behind its smooth limit.
    var tinyDecoder: [TinyLayer] {
        guard let first = decoderWidths.first else { return [] }
        var layers: [TinyLayer] = [.convolution(inputs: latentChannels, outputs: first), .relu]
        for (level, count) in decoderBlocks.enumerated() {
            let width = decoderWidths[level]
            layers += [TinyLayer](
                repeating: .block(width: width, isPooled: hasPooledBlocks && level == 0),
                count: count)
            if level + 1 < decoderBlocks.count {
                layers += [
                    .place,
                    .convolution(
                        inputs: width, outputs: decoderWidths[level + 1], upsample: 2,
                        hasBias: false),
                ]
            } else {
                layers.append(.convolution(inputs: width, outputs: imageChannels))
            }
        }
        return layers
    }

    func tinySpecs() -> [ParameterSpec] {
        var specs: [ParameterSpec] = []
        func convolution(
            _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 3, hasBias: Bool = true
        ) {
            let start = Initializer.torchDefault(fanIn: inputs * kernel * kernel)
            specs.append(ParameterSpec("\(name).weight", [outputs, inputs, kernel, kernel], start))
            if hasBias { specs.append(ParameterSpec("\(name).bias", [outputs], start)) }
        }
        for (part, layers) in [("encoder", tinyEncoder), ("decoder", tinyDecoder)] {
            for (index, layer) in layers.enumerated() {
                let name = "\(part).layers.\(index)"
                switch layer {
                case .convolution(let inputs, let outputs, _, _, let hasBias):
                    convolution(name, inputs, outputs, hasBias: hasBias)
                case .block(let width, let isPooled):
                    for place in [0, 2, 4] { convolution("\(name).conv.\(place)", width, width) }
                    guard isPooled else { continue }
                    convolution("\(name).pool.0", width, 4 * width, kernel: 1, hasBias: false)
                    specs.append(ParameterSpec("\(name).pool.1.weight", [4 * width], .ones))
                    specs.append(ParameterSpec("\(name).pool.1.bias", [4 * width], .zeros))
                    convolution("\(name).pool.3", 4 * width, width, kernel: 1, hasBias: false)
                case .relu, .place: continue
                }
            }
        }
        return specs
    }
}

extension AutoencoderLayers {
    /// `[B, H, W, C]` in −1 … 1 to `[B, H/f, W/f, z]`.
    func tinyEncoder(_ sizes: VAE.Configuration, _ images: Tensor) throws(USPError) -> Tensor {
        try require(
            !sizes.encoderBlocks.isEmpty, .unsupported,
            "autoencoder: the file holds a decoder alone; it cannot encode")
        let channels = images.shape[3]
        let x = try context.scaleChannels(
            images, by: [Float](repeating: 0.5, count: channels),
            offsets: [Float](repeating: 0.5, count: channels))
        return try run(sizes.tinyEncoder, "encoder", x)
    }

    /// `[B, h, w, z]` to `[B, f·h, f·w, C]`, about −1 … 1.
    func tinyDecoder(_ sizes: VAE.Configuration, _ latents: Tensor) throws(USPError) -> Tensor {
        try require(
            !sizes.decoderBlocks.isEmpty, .unsupported,
            "autoencoder: the file holds an encoder alone; it cannot decode")
        let y = try run(sizes.tinyDecoder, "decoder", context.softClamp(latents, 3))
        let channels = y.shape[3]
        return try context.scaleChannels(
            y, by: [Float](repeating: 2, count: channels),
            offsets: [Float](repeating: -1, count: channels))
    }

    private func run(
        _ layers: [TinyLayer], _ part: String, _ input: Tensor
    ) throws(USPError) -> Tensor {
        var x = input
        for (index, layer) in layers.enumerated() {
            let name = "\(part).layers.\(index)"
            switch layer {
            case .convolution(_, _, let stride, let upsample, let hasBias):
                x = try tinyConvolution(
                    name, x, stride: stride, upsample: upsample, hasBias: hasBias)
            case .block(_, let isPooled): x = try tinyBlock(name, x, isPooled: isPooled)
            case .relu: x = try context.activate(x, .relu)
            case .place: continue
            }
        }
        return x
    }

    private func tinyConvolution(
        _ name: String, _ x: Tensor, stride: Int = 1, upsample: Int = 1, hasBias: Bool = true,
        residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let weight = try parameters.tensor("\(name).weight")
        return try context.convolution(
            x, weight: weight, bias: hasBias ? parameters.tensor("\(name).bias") : nil,
            stride: stride, padding: Padding(weight.shape[2] == 1 ? 0 : 1), upsample: upsample,
            residual: residual)
    }

    /// ReLU(x + conv(x)); `isPooled` adds to x first what all pixels say.
    private func tinyBlock(
        _ name: String, _ input: Tensor, isPooled: Bool
    ) throws(USPError) -> Tensor {
        var x = input
        if isPooled {
            let wide = try tinyConvolution("\(name).pool.0", x, hasBias: false)
            let normed = try context.groupNorm(
                wide, weight: parameters.tensor("\(name).pool.1.weight"),
                bias: parameters.tensor("\(name).pool.1.bias"), groups: 4, epsilon: 1e-5)
            x = try tinyConvolution(
                "\(name).pool.3", context.activate(normed, .relu), hasBias: false, residual: x)
        }
        var y = try context.activate(tinyConvolution("\(name).conv.0", x), .relu)
        y = try context.activate(tinyConvolution("\(name).conv.2", y), .relu)
        return try context.activate(tinyConvolution("\(name).conv.4", y, residual: x), .relu)
    }
}

extension FileModel {
    /// Whether layers have numbers in place of names.
    var isTinyAutoencoder: Bool {
        names.contains { $0.hasPrefix("encoder.layers.") || $0.hasPrefix("decoder.layers.") }
    }

    /// Sizes of a tiny autoencoder, or of its encoder or decoder alone. Its latents need no scale.
    func tinyConfiguration(_ options: LoadOptions) throws(USPError) -> VAE.Configuration {
        var sizes = VAE.Configuration.taesd
        (sizes.encoderBlocks, sizes.decoderBlocks, sizes.decoderWidths) = ([], [], [])
        if sources["encoder.layers.0.weight"] != nil { try readEncoder(&sizes) }
        if sources["decoder.layers.0.weight"] != nil { try readDecoder(&sizes) }
        sizes.hasPooledBlocks = names.contains { $0.hasSuffix(".pool.0.weight") }
        sizes.normalization =
            try options.normalization(channels: sizes.latentChannels) ?? told(
                as: VAE.Configuration.self)?.normalization
            ?? folder?.normalization ?? LatentNormalization()
        return sizes
    }

    private func readEncoder(_ sizes: inout VAE.Configuration) throws(USPError) {
        let first = try tinyShape("encoder.layers.0.weight")
        (sizes.imageChannels, sizes.baseWidth) = (first[1], first[0])
        var index = 1
        sizes.hasStridedStem = sources["encoder.layers.2.bias"] != nil
        if sizes.hasStridedStem {
            sizes.baseWidth = try tinyShape("encoder.layers.2.weight")[0]
            index = 4
        }
        while true {
            sizes.encoderBlocks.append(blocks("encoder", from: &index))
            guard sources["encoder.layers.\(index).weight"] != nil,
                sources["encoder.layers.\(index).bias"] == nil, index < 512
            else { break }
            index += 1
        }
        sizes.latentChannels = try tinyShape("encoder.layers.\(index).weight")[0]
        let levels = sizes.encoderBlocks.count + (sizes.hasStridedStem ? 2 : 0)
        sizes.multipliers = [Int](repeating: 1, count: levels)
    }

    private func readDecoder(_ sizes: inout VAE.Configuration) throws(USPError) {
        let first = try tinyShape("decoder.layers.0.weight")
        (sizes.latentChannels, sizes.decoderWidths) = (first[1], [first[0]])
        var index = 2
        while true {
            sizes.decoderBlocks.append(blocks("decoder", from: &index))
            // the place of an Upsample, and the convolution behind it
            guard sources["decoder.layers.\(index).weight"] == nil,
                sources["decoder.layers.\(index + 1).weight"] != nil, index < 512
            else { break }
            sizes.decoderWidths.append(try tinyShape("decoder.layers.\(index + 1).weight")[0])
            index += 2
        }
        sizes.imageChannels = try tinyShape("decoder.layers.\(index).weight")[0]
        sizes.multipliers = [Int](repeating: 1, count: sizes.decoderBlocks.count)
        if sizes.encoderBlocks.isEmpty { sizes.baseWidth = sizes.decoderWidths.last ?? 64 }
    }

    /// How many blocks follow one another; the index moves behind them.
    private func blocks(_ part: String, from index: inout Int) -> Int {
        let first = index
        while sources["\(part).layers.\(index).conv.0.weight"] != nil, index < 512 { index += 1 }
        return index - first
    }

    private func tinyShape(_ name: String) throws(USPError) -> Shape {
        let shape = try shape(name)
        try require(
            shape.rank == 4 && shape.count > 0, .format,
            "\(path): \(name) is \(shape), not a convolution")
        return shape
    }
}

extension Dialect {
    static let diffusersTiny = Dialect(
        name: "diffusers AutoencoderTiny",
        anchors: ["encoder.layers.0.weight", "decoder.layers.0.weight"],
        schema: .tinyAutoencoder,
        matches: { table in
            ["encoder", "decoder"].contains { part in
                table.contains("\(part).layers.0.weight")
                    && [1, 2, 4].contains { table.contains("\(part).layers.\($0).conv.0.weight") }
            }
        },
        meaning: { name, _ in
            let parts = components(name)
            let isOurs = parts.count > 3 && ["encoder", "decoder"].contains(parts[0])
            return isOurs && parts[1] == "layers" ? .parameter(name) : .unknown
        })

    /// TAESD's own files: a sequence's numbers.
    static let tinyEncoder = Dialect(
        name: "TAESD encoder", schema: .tinyAutoencoder,
        matches: { table in
            table.contains("0.weight")
                && (table.contains("1.conv.0.weight") || table.contains("4.conv.0.weight"))
        },
        meaning: { name, _ in numbered(name, "encoder", from: 0) })

    /// The decoder's first layer is its limit, which diffusers does not number.
    static let tinyDecoder = Dialect(
        name: "TAESD decoder", schema: .tinyAutoencoder,
        matches: { table in table.contains("1.weight") && table.contains("3.conv.0.weight") },
        meaning: { name, _ in numbered(name, "decoder", from: 1) })

    private static func numbered(_ name: String, _ part: String, from first: Int) -> NameMeaning {
        var parts = components(name)
        guard parts.count > 1, let index = Int(parts[0]), index >= first, index < 512 else {
            return .unknown
        }
        parts[0] = "\(part).layers.\(index - first)"
        return .parameter(parts.joined(separator: "."))
    }
}
