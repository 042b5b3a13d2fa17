// `usp features MODEL IMAGES -o features.npz`: what a transformer makes of images.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Features: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep what a transformer makes of images, or show it as colours.",
        discussion: """
            After chosen blocks of a ViT, a masked autoencoder, a DiT or a SiT, before any norm: the \
            mean of the patches' tokens of each image [N, D], or with --tokens all of them [N, T, D], \
            as arrays layer.1, layer.2, ... Images are cut in the middle, and a diffusion transformer \
            is asked for its null class at the time of least noise, or at --time, on latents as they \
            are.

            --pca draws a picture as people look at DINOv2: a column for each image, and below it \
            its tokens after each block, coloured by their first three principal components over all \
            images.

            --attention keeps what each token takes from each, [N, heads, T, T], class token and \
            registers in front, as arrays attention.1, ...
            """)

    @Argument(help: "The transformer.")
    var model: String

    @OptionGroup var seen: SeenArguments

    @Option(help: "Blocks, from 1, with commas between them; without it the last.")
    var layers: String?

    @Flag(help: "Keep all tokens, not their mean.")
    var tokens = false

    @Flag(help: "Keep attention's probabilities as well.")
    var attention = false

    @Option(help: "A diffusion transformer's time, on its own scale.")
    var time: Float?

    @Option(name: .shortAndLong, help: "The arrays to write: .npz, .safetensors, ...")
    var output: String?

    @Option(help: "The picture to write, .png.")
    var pca: String?

    @Option(help: "Attention heads, where the file does not tell.")
    var heads: Int?

    @Option(help: "DiT or SiT, where the file does not tell.")
    var family: String?

    func validate() throws {
        if output == nil && pca == nil {
            throw ValidationError("give --output ARRAYS, or --pca PICTURE, or both")
        }
        if output == nil && attention { throw ValidationError("--attention: needs --output") }
    }

    func run() throws {
        Interrupt.listen()
        var loading = try seen.loading(heads: heads)
        loading.family = family
        let network = try loadModel(model, loading).told()
        let source = try TokenSource(network, time: time)
        let images = try seen.images(for: network, model)
        let layers = try numbers(source.depth)
        let writer = try output.map { path throws(USPError) in try ArrayWriter(path) }
        if let pca { try ImageFiles.expectWritable(pca) }
        let inputs = try images.inputs(Images.paths(seen.images))
        let found = try gathered(inputs.shape[0], layers.count) { range throws(USPError) in
            try source.features(
                inputs.detachedRows(range), layers: layers, tokens: tokens || pca != nil)
        }
        let words =
            "\(grouped(inputs.shape[0])) images, "
            + (layers.count == 1 ? "block " : "blocks ")
            + layers.map(String.init).joined(separator: ", ")
        if let writer {
            var arrays: [ArrayOutput] = []
            for (layer, tensor) in zip(layers, found) {
                let whole = tensor.shape.rank == 3 && !tokens ? try means(tensor) : tensor
                arrays.append(ArrayOutput("layer.\(layer)", whole))
            }
            if attention {
                for layer in layers {
                    let maps = try gathered(inputs.shape[0], 1) { range throws(USPError) in
                        [try source.attention(inputs.detachedRows(range), layer: layer)]
                    }
                    arrays.append(ArrayOutput("attention.\(layer)", maps[0]))
                }
            }
            try writer.write(arrays)
            say("\(output ?? ""): \(words)")
        }
        if let pca {
            let pictures = try inColours(images.pixels(inputs))
            let side = pictures.shape[2] / source.grid.height
            let rows = try found.map { tokens throws(USPError) in
                try source.picture(tokens, side: side)
            }
            try ImageFiles.writeRows(pca, [pictures] + rows)
            say("\(pca): \(words)")
        }
    }

    /// The blocks that are asked for; the last one if none is.
    private func numbers(_ depth: Int) throws(USPError) -> [Int] {
        guard let layers else { return [depth] }
        let numbers = layers.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        let known = numbers.compactMap(\.self)
        try require(
            known.count == numbers.count && Set(known).count == known.count, .argument,
            "--layers: \(layers), expected different blocks with commas between them, such as 4,8,12"
        )
        return known
    }

    /// Arrays of all samples, made of eight at a time.
    private func gathered(
        _ count: Int, _ arrays: Int, _ part: (Range<Int>) throws(USPError) -> [Tensor]
    ) throws(USPError) -> [Tensor] {
        var result: [Tensor] = []
        for first in stride(from: 0, to: count, by: 8) {
            try Interrupt.check()
            let range = first..<min(first + 8, count)
            for (place, tensor) in try part(range).enumerated() {
                if result.count <= place {
                    result.append(
                        try Tensor(Shape([count] + Array(tensor.shape.extents.dropFirst()))))
                }
                try result[place].detachedRows(range).copy(from: tensor)
            }
        }
        return result
    }

    /// `[N, T, D]` to `[N, D]`.
    private func means(_ tokens: Tensor) throws(USPError) -> Tensor {
        let (samples, count, width) = (tokens.shape[0], tokens.shape[1], tokens.shape[2])
        let result = try Tensor([samples, width])
        for sample in 0..<samples {
            for column in 0..<width {
                let sum = (0..<count).reduce(0.0) { sum, token in
                    sum + Double(tokens.floats[(sample * count + token) * width + column])
                }
                result.floats[sample * width + column] = Float(sum / Double(count))
            }
        }
        return result
    }

    /// Grey images as RGB.
    private func inColours(_ images: Tensor) throws(USPError) -> Tensor {
        guard images.shape[1] == 1 else { return images }
        let plane = images.shape[2] * images.shape[3]
        let result = try Tensor([images.shape[0], 3, images.shape[2], images.shape[3]])
        for place in 0..<3 * images.shape[0] {
            (result.floats + place * plane).update(
                from: images.floats + place / 3 * plane, count: plane)
        }
        return result
    }
}
