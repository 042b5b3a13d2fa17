// The masked autoencoder against PyTorch: every normalisation, own targets, pixels.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct MaskedAutoencoderTests {
    static let cases = [
        "mae_norm_patch", "mae_norm_none", "mae_norm_image", "mae_target", "mae_pixel_norm_patch",
        "mae_pixel_norm_none", "mae_pixel16_norm_patch", "mae_pixel16_norm_none",
    ]

    private func run(
        _ golden: GoldenCase, _ model: MaskedAutoencoder, _ images: Tensor, _ context: Context
    ) throws -> MaskedAutoencoder.Reconstruction {
        let masking = try Masking(
            noise: try golden.values("in.noise"), batch: images.shape[0],
            tokens: golden.encoder.tokens, ratio: golden.config["mask_ratio"] as? Double ?? 0.75)
        let kind = golden.config["normalise"] as? String ?? "none"
        return try model.forward(
            images, masking: masking,
            target: golden.floats["in.target"] == nil ? nil : try golden.tensor("in.target"),
            normalisation: PatchNormalisation(rawValue: kind) ?? .none, in: context)
    }

    @Test(arguments: cases) func matchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let configuration = golden.maskedAutoencoder
        for recomputes in Recomputation.allCases {
            let parameters = try golden.parameters(try configuration.specs())
            let model = try MaskedAutoencoder(configuration, parameters)
            model.recomputes = recomputes
            let images = try golden.tensor("in.images")
            let imageGradient = try trainable(images)
            let tape = Tape()
            let output = try run(golden, model, images, Context(tape: tape))
            #expect(try golden.error(output.prediction.values, "pred") < 1e-5)
            #expect(relativeError(output.loss, try golden.values("out.loss")) < 1e-5)
            if let mask = golden.floats["out.mask"] { #expect(output.mask == mask.values) }
            try tape.backward(from: output.loss)
            // Where the images are their own target, PyTorch's gradient also flows through that.
            let hasTarget = golden.floats["in.target"] != nil
            try golden.checkGradients(
                parameters, input: hasTarget ? imageGradient : nil, "images")
        }
    }

    @Test(arguments: cases) func bfloat16IsNoWorseThanAutocast(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let configuration = golden.maskedAutoencoder
        let parameters = try golden.parameters(
            try configuration.specs(), trainable: false)
        let model = try MaskedAutoencoder(configuration, parameters)
        let output = try run(
            golden, model, try golden.tensor("in.images"), Context(compute: .bfloat16))
        try golden.checkHalf(output.prediction, "pred")
    }

    @Test func bfloat16Trains() throws {
        let golden = try GoldenCase("models/mae_norm_patch")
        let configuration = golden.maskedAutoencoder
        let parameters = try golden.parameters(try configuration.specs())
        let model = try MaskedAutoencoder(configuration, parameters)
        let tape = Tape()
        let context = Context(tape: tape, compute: .bfloat16)
        let output = try run(golden, model, try golden.tensor("in.images"), context)
        try tape.backward(from: output.loss)
        let (worst, name, _) = try golden.gradientError(parameters)
        #expect(worst < 8e-2, "\(name) \(worst)")
    }

    @Test func encoderFeatures() throws {
        try alone {
            let golden = try GoldenCase("models/mae_norm_patch")
            let configuration = golden.maskedAutoencoder
            let parameters = try golden.parameters(try configuration.specs())
            let model = try MaskedAutoencoder(configuration, parameters)
            let images = try golden.tensor("in.images")
            let masking = try Masking(
                noise: try golden.values("in.noise"), batch: 2, tokens: 64, ratio: 0.75)
            let latent = try model.encode(images, masking: masking, in: Context())
            #expect(relativeError(latent, try golden.values("out.latent")) < 1e-5)
            let everything = try Masking(
                noise: (0..<128).map { Float($0) }, batch: 2, tokens: 64, ratio: 0)
            let plain = try model.encode(images, in: Context())
            #expect(
                plain.values
                    == (try model.encode(images, masking: everything, in: Context())).values)
        }
    }

    @Test func threadsDoNotMatter() throws {
        let golden = try GoldenCase("models/mae_norm_patch")
        let configuration = golden.maskedAutoencoder
        try expectSameOnAllThreads {
            let parameters = try golden.parameters(try configuration.specs())
            let model = try MaskedAutoencoder(configuration, parameters)
            let tape = Tape()
            let output = try run(golden, model, try golden.tensor("in.images"), Context(tape: tape))
            try tape.backward(from: output.loss)
            return [output.prediction.values, parameters.gradients?.values ?? []]
        }
    }

    @Test func withoutDecoderRefusesToReconstruct() throws {
        let golden = try GoldenCase("models/mae_norm_patch")
        var configuration = golden.maskedAutoencoder
        configuration.decoderWidth = 0
        let model = try MaskedAutoencoder(configuration, key: RandomKey(seed: 1))
        let images = try golden.tensor("in.images")
        #expect(try model.encode(images, in: Context()).shape == [2, 65, 48])
        do {
            _ = try run(golden, model, images, Context())
            Issue.record("reconstructed without a decoder")
        } catch let error as USPError {
            #expect(error.message.contains("no decoder"))
        }
    }

    @Test func freshParametersStartAsTheOriginals() throws {
        let configuration = try GoldenCase("models/mae_norm_patch").maskedAutoencoder
        let model = try MaskedAutoencoder(configuration, key: RandomKey(seed: 5))
        let table = try PositionTable.sincos(width: 48, grid: Grid(8, 8), leading: 1)
        #expect(try model.parameters.tensor("pos_embed").values == table)
        let weight = try model.parameters.tensor("blocks.0.attn.qkv.weight").values
        let bound = (6 / Float(48 + 144)).squareRoot()
        #expect(weight.allSatisfy { abs($0) <= bound } && weight.contains { abs($0) > 0.9 * bound })
    }

    @Test func noisyInput() throws {
        let x = try Tensor([2, 1], [1, 2])
        let noise = try Tensor([2, 1], [10, 20])
        let y = try MaskedAutoencoder.noisy(x, t: [1, 0.64], noise: noise)
        #expect(relativeError(y, [1, 0.8 * 2 + 0.6 * 20]) < 1e-6)
    }
}
