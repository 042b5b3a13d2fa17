// The autoencoder against PyTorch's results, its presets, tiling and training.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

/// The sizes and parameters of a golden case.
private func autoencoder(_ golden: GoldenCase) throws -> VAE {
    var sizes = VAE.Configuration()
    sizes.baseWidth = golden.config["base"] as? Int ?? 0
    sizes.multipliers = golden.config["mult"] as? [Int] ?? []
    sizes.blocksPerLevel = golden.config["blocks"] as? Int ?? 0
    sizes.latentChannels = golden.config["latent"] as? Int ?? 0
    let last = sizes.multipliers.count - 1
    if golden.config["encoder_attention"] as? Bool == true { sizes.encoderAttentionLevels = [last] }
    if golden.config["decoder_attention"] as? Bool == true { sizes.decoderAttentionLevels = [last] }
    let parameters = try Parameters(sizes.specs())
    #expect(Set(parameters.specs.map(\.name)) == Set(golden.names("param.")))
    for spec in parameters.specs {
        try parameters.tensor(spec.name).copy(from: golden.tensor("param.\(spec.name)"))
    }
    return try VAE(sizes, parameters)
}

/// The largest error of the parameters' gradients, relative to each one's largest element but no
/// less than a hundredth of the largest of all (before a norm a bias has a gradient of zero).
private func worstGradient(_ parameters: Parameters, _ golden: GoldenCase) throws -> Double {
    var pairs: [([Float], [Float])] = []
    for (position, spec) in parameters.specs.enumerated() {
        guard let gradient = parameters.gradient(position)?.values else { continue }
        if golden.floats["grad.\(spec.name)"] != nil {
            pairs.append((gradient, try golden.values("grad.\(spec.name)")))
        }
        let sampled = golden.floats.keys.first {
            $0.hasPrefix("grad_every") && $0.hasSuffix(".\(spec.name)")
        }
        if let key = sampled, let step = Int(key.dropFirst(10).prefix { $0.isNumber }) {
            let some = stride(from: 0, to: gradient.count, by: step).map { gradient[$0] }
            pairs.append((some, try golden.values(key)))
        }
    }
    #expect(pairs.count > 20)
    func largest(_ values: [Float]) -> Float { values.reduce(0) { max($0, abs($1)) } }
    let floor = 1e-2 * (pairs.map { largest($0.1) }.max() ?? 0)
    return pairs.reduce(0.0) { worst, pair in
        let difference = largest(zip(pair.0, pair.1).map { $0 - $1 })
        return max(worst, Double(difference / max(largest(pair.1), floor)))
    }
}

@Test(arguments: ["vae", "vae_encoder_attention", "vae_both_attention"])
func autoencoderAgreesWithPyTorch(_ name: String) throws {
    for side in ["encode", "decode"] {
        let golden = try GoldenCase("models/\(name)_\(side)")
        let model = try autoencoder(golden)
        try model.parameters.makeTrainable()
        let tape = Tape()
        let context = Context(tape: tape, exact: true)
        func run(_ context: Context) throws -> Tensor {
            side == "encode"
                ? try model.moments(golden.tensor("in.images"), in: context)
                : try model.decode(golden.tensor("in.x"), in: context)
        }
        let y = try run(context)
        let expected = try golden.values("out.y")
        #expect(relativeError(y, expected) < 1e-5)
        let loss = try context.meanSquaredError(y, Tensor.zeros(y.shape))
        try tape.backward(from: loss)
        #expect(try worstGradient(model.parameters, golden) < 1e-4)
        #expect(relativeError(try run(Context()), expected) < 1e-5)
        let half = relativeError(try run(Context(compute: .bfloat16)), expected)
        let peer = relativeError(try golden.values("bf16.y"), expected)
        #expect(half < 3e-2 && half < peer)
    }
}

@Test(arguments: [false, true])
func autoencoderTrainsAsPyTorch(_ exact: Bool) throws {
    let golden = try GoldenCase("models/vae_autoencode")
    let model = try autoencoder(golden)
    try model.parameters.makeTrainable()
    let tape = Tape()
    let loss = try model.loss(
        golden.tensor("in.images"), noise: golden.tensor("in.noise"), error: .squared,
        divergenceWeight: 1e-2, in: Context(tape: tape, exact: exact))
    let tolerance = 1e-5
    #expect(relativeError(loss.image, try golden.values("out.image")) < tolerance)
    #expect(relativeError(loss.total, try golden.values("out.loss")) < tolerance)
    #expect(relativeError(loss.reconstruction, try golden.values("out.reconstruction")) < tolerance)
    #expect(
        relativeError(loss.divergence?.values ?? [], try golden.values("out.divergence"))
            < tolerance)
    try tape.backward(from: loss.total)
    #expect(try worstGradient(model.parameters, golden) < 1e-4)
}

@Test func presetsHaveThePublishedSizes() throws {
    func count(_ sizes: VAE.Configuration) -> Int {
        (try? sizes.specs())?.reduce(0) { $0 + $1.shape.count } ?? 0
    }
    #expect(count(.f8) == 83_653_863)
    let mar = try VAE.Configuration.mar.specs()
    #expect(mar.contains { $0.name == "encoder.down.4.attn.1.proj_out.weight" })
    #expect(!mar.contains { $0.name.hasPrefix("decoder.up.4.attn") })
    #expect(mar.first { $0.name == "quant_conv.weight" }?.shape == [32, 32, 1, 1])
    let vavae = try VAE.Configuration.vavae.specs()
    #expect(vavae.contains { $0.name == "decoder.up.4.attn.2.q.weight" })
    for sizes in [VAE.Configuration.f8, .mar, .vavae] { try sizes.check() }
}

/// A small autoencoder with everything switched on.
private func small() throws -> VAE {
    var sizes = VAE.Configuration()
    (sizes.imageChannels, sizes.baseWidth, sizes.groups, sizes.latentChannels) = (1, 8, 4, 3)
    (sizes.multipliers, sizes.blocksPerLevel) = ([1, 2], 1)
    sizes.normalization = LatentNormalization(shift: [0.5, -1, 0], scale: [2, 0.5, 1])
    return try VAE(sizes, key: RandomKey(seed: 3))
}

@Test func latentsAreNormalisedUnlessAskedOtherwise() throws {
    let model = try small()
    let images = try randomTensor([2, 1, 8, 12], "images")
    let context = Context()
    let raw = try model.encode(images, normalizes: false, in: context)
    let latents = try model.encode(images, in: context)
    #expect(latents.shape == [2, 3, 4, 6])
    for index in 0..<24 {
        #expect(abs(latents.values[index] - (raw.values[index] - 0.5) * 2) < 1e-5)
        #expect(abs(latents.values[24 + index] - (raw.values[24 + index] + 1) * 0.5) < 1e-5)
    }
    let decoded = try model.decode(latents, in: context).values
    #expect(
        relativeError(decoded, try model.decode(raw, normalized: false, in: context).values) < 1e-5)
    let moments = try model.moments(images, in: context)
    let again = try model.latents(model.posterior(moments: moments, in: context), in: context)
    #expect(again.values == latents.values)
}

@Test func autoencoderRefusesWhatDoesNotFit() throws {
    let model = try small()
    #expect(throws: USPError.self) {
        try model.encode(randomTensor([1, 1, 7, 8], "x"), in: Context())
    }
    #expect(throws: USPError.self) {
        try model.encode(randomTensor([1, 3, 8, 8], "x"), in: Context())
    }
    #expect(throws: USPError.self) {
        try model.encode(randomTensor([1, 8, 8], "x"), in: Context())
    }
    #expect(throws: USPError.self) {
        try model.decode(randomTensor([1, 4, 8, 8], "x"), in: Context())
    }
    var sizes = VAE.Configuration.f8
    sizes.groups = 48
    #expect(throws: USPError.self) { try sizes.check() }
}

@Test func tilesCoverEveryPositionOnce() throws {
    for (extent, tile, overlap) in [
        (5, 8, 2), (8, 8, 3), (9, 8, 2), (30, 8, 2), (31, 8, 7), (64, 16, 0), (17, 16, 15),
    ] {
        let axis = TileAxis(extent: extent, tile: tile, overlap: overlap)
        for factor in [1, 2] {
            var sum = [Float](repeating: 0, count: extent * factor)
            for (index, start) in axis.starts.enumerated() {
                for (offset, weight) in axis.weights(index, factor: factor).enumerated() {
                    #expect(weight > 0)
                    sum[start * factor + offset] += weight
                }
            }
            #expect(sum.allSatisfy { abs($0 - 1) < 1e-5 })
        }
        if let last = axis.starts.last { #expect(last + axis.length == extent) }
        for (a, b) in zip(axis.starts, axis.starts.dropFirst()) { #expect(a + tile - b >= overlap) }
    }
}

@Test func tilesStayCloseToTheWhole() throws {
    let model = try small()
    let context = Context()
    let latents = try randomTensor([2, 3, 24, 19], "z")
    let whole = try model.decode(latents, in: context)
    let tiled = try model.decodeTiled(latents, Tiling(tile: 12, overlap: 4), in: context)
    #expect(tiled.shape == whole.shape)
    let mean =
        zip(tiled.values, whole.values).reduce(Float(0)) { $0 + abs($1.0 - $1.1) }
        / Float(whole.count)
    let size = whole.values.reduce(Float(0)) { $0 + abs($1) } / Float(whole.count)
    #expect(mean < 0.3 * size)
    let one = try model.decodeTiled(latents, Tiling(tile: 24, overlap: 4), in: context)
    #expect(one.values == whole.values)
    let images = try randomTensor([1, 1, 40, 32], "images")
    let moments = try model.momentsTiled(images, Tiling(tile: 8, overlap: 2), in: context)
    #expect(moments.shape == [1, 6, 20, 16])
    #expect(throws: USPError.self) {
        try model.decodeTiled(latents, Tiling(tile: 4, overlap: 4), in: context)
    }
}

/// [B, C, rows, columns] of a larger image.
private func cropped(_ x: Tensor, _ rows: Range<Int>, _ columns: Range<Int>) throws -> Tensor {
    var values: [Float] = []
    for plane in 0..<x.shape[0] * x.shape[1] {
        for row in rows {
            let start = (plane * x.shape[2] + row) * x.shape[3]
            values += (columns.lowerBound + start..<columns.upperBound + start).map { x.values[$0] }
        }
    }
    return try Tensor([x.shape[0], x.shape[1], rows.count, columns.count], values)
}

/// Weights are at least 0 and sum to 1, so nowhere is the blend further from the whole image than
/// the worst of the tiles that cover the place.
@Test(arguments: [(9, 7, 6, 2), (13, 12, 5, 0), (12, 5, 8, 7), (7, 16, 4, 1)])
func blendedTilesAreNoFurtherOffThanTheTiles(
    _ height: Int, _ width: Int, _ tile: Int, _ overlap: Int
) throws {
    let model = try small()
    let context = Context()
    let latents = try randomTensor([1, 3, height, width], "z")
    let whole = try model.decode(latents, in: context)
    let rows = TileAxis(extent: height, tile: tile, overlap: overlap)
    let columns = TileAxis(extent: width, tile: tile, overlap: overlap)
    var bound: Float = 0
    for top in rows.starts {
        for left in columns.starts {
            let (down, across) = (top..<top + rows.length, left..<left + columns.length)
            let alone = try model.decode(try cropped(latents, down, across), in: context)
            let place = try cropped(
                whole, 2 * top..<2 * (top + rows.length), 2 * left..<2 * (left + columns.length))
            bound = zip(alone.values, place.values).reduce(bound) { max($0, abs($1.0 - $1.1)) }
        }
    }
    let tiled = try model.decodeTiled(latents, Tiling(tile: tile, overlap: overlap), in: context)
    let worst = zip(tiled.values, whole.values).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
    #expect(worst > 0 && worst <= bound * 1.00001)
}

@Test func fastConvolutionsStayCloseToExactOnes() throws {
    var sizes = VAE.Configuration.f8
    (sizes.baseWidth, sizes.blocksPerLevel) = (32, 1)
    let model = try VAE(sizes, key: RandomKey(seed: 5))
    let latents = try randomTensor([2, 4, 9, 7], "z")
    let images = try model.decode(latents, in: Context())
    let exact = Context(exact: true)
    #expect(relativeError(images, try model.decode(latents, in: exact).values) < 1e-5)
    let moments = try model.moments(images, in: Context())
    #expect(relativeError(moments, try model.moments(images, in: exact).values) < 1e-5)
}

@Test func autoencoderIsTheSameForAnyNumberOfThreadsAndBatch() throws {
    var sizes = VAE.Configuration.f8
    (sizes.baseWidth, sizes.blocksPerLevel, sizes.multipliers) = (32, 1, [1, 2])
    let model = try VAE(sizes, key: RandomKey(seed: 5))
    let latents = try randomTensor([3, 4, 6, 5], "z")
    try alone {
        let together = try model.decode(latents, in: Context()).values
        useThreads(1)
        let single = try (0..<3).flatMap { index throws in
            try model.decode(latents.detachedRows(index..<index + 1), in: Context()).values
        }
        #expect(together == single)
    }
}

@Test func latentStatisticsGiveUnitVariance() throws {
    let latents = try randomTensor([6, 3, 8, 8], "z", scale: 5)
    for index in 0..<latents.count where index / 64 % 3 == 1 {
        latents.floats[index] = latents.floats[index] * 0.1 + 7
    }
    let channels = try LatentNormalization(measuring: latents, perChannel: true)
    #expect(abs(channels.shift[1] - 7) < 0.2 && abs(channels.scale[1] - 2) < 0.3)
    #expect(abs(channels.scale[0] - 0.2) < 0.03)
    let whole = try LatentNormalization(measuring: latents)
    #expect(whole.shift == [0] && whole.scale.count == 1)
    #expect(throws: USPError.self) {
        try LatentNormalization(measuring: Tensor.zeros([1, 2, 2, 2]))
    }
    let model = try small()
    #expect(try model.roundTripError(randomTensor([1, 1, 8, 8], "x"), in: Context()).isFinite)
}
