// Models of newer blocks (RMS norms, SwiGLU, rotary positions, norms of queries and keys, no shifts,
// registers, layer scale) against PyTorch: loaded from names and shapes, outputs, all gradients.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

extension GoldenCase {
    /// The configuration that the case says, over these defaults.
    func sized<Configuration: ModelConfiguration>(
        _ defaults: Configuration
    ) throws -> Configuration {
        var result = defaults
        try result.apply(config["sizes"] as? String ?? "")
        return result
    }
}

@Suite struct NewerBlockTests {
    static let diffusion = [
        "lightning", "lightning_qk", "lightning_layer", "lightning_off", "sit_registers",
    ]
    static let masked = ["mae_rms", "mae_layer"]
    static let classifiers = ["vit_registers", "vit_rms"]

    private func options(_ configuration: any TransformerConfiguration) -> LoadOptions {
        var options = LoadOptions()
        options.heads = configuration.heads
        options.grid = configuration.grid
        options.decoderHeads = (configuration as? MaskedAutoencoder.Configuration)?.decoderHeads
        options.family = configuration.family
        return options
    }

    private func defaults(_ name: String) throws -> DiT.Configuration {
        let family = name.hasPrefix("sit") ? "SiT" : "LightningDiT"
        return try #require(Family.named(family).defaults as? DiT.Configuration)
    }

    /// Names and shapes tell every switch, to each class that reads the file.
    @Test func flagsAreInferred() throws {
        for name in Self.diffusion {
            let golden = try GoldenCase("models/\(name)")
            let wanted = try golden.sized(try defaults(name))
            let model = try DiT.load(try golden.paramsFile(), options(wanted))
            #expect(model.configuration == wanted)
            #expect(model.family == wanted.family)
        }
        for name in Self.masked {
            let golden = try GoldenCase("models/\(name)")
            let wanted = try golden.sized(MaskedAutoencoder.Configuration())
            let model = try MaskedAutoencoder.load(try golden.paramsFile(), options(wanted))
            #expect(model.configuration == wanted)
        }
        for name in Self.classifiers {
            let golden = try GoldenCase("models/\(name)")
            let wanted = try golden.sized(ViT.Configuration())
            #expect(
                try ViT.load(try golden.paramsFile(), options(wanted)).configuration == wanted)
        }
    }

    @Test(arguments: diffusion) func diffusionMatchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let sizes = try golden.sized(try defaults(name))
        for recomputes in Recomputation.allCases {
            let model = try DiT(sizes, try golden.parameters(try sizes.specs()))
            model.recomputes = recomputes
            let x = try golden.tensor("in.x")
            let inputGradient = try trainable(x)
            let tape = Tape()
            let context = Context(tape: tape)
            let t = try golden.tensor("in.t").values
            let y = try golden.indices("in.labels")
            let output = try model.forward(x, t: t, y: y, in: context)
            #expect(try golden.error(output.values, "y") < 1e-5)
            // In groups of samples, in place.
            let plain = try model.forward(x, t: t, y: y, in: Context())
            #expect(try golden.error(plain.values, "y") < 1e-5)
            let loss = try context.meanSquaredError(output, try Tensor.zeros(output.shape))
            try tape.backward(from: loss)
            try golden.checkGradients(model.parameters, input: inputGradient, "x")
            try golden.checkHalf(
                model.forward(x, t: t, y: y, in: Context(compute: .bfloat16)), "y")
        }
    }

    @Test(arguments: masked) func maskedMatchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let sizes = try golden.sized(MaskedAutoencoder.Configuration())
        for recomputes in Recomputation.allCases {
            let model = try MaskedAutoencoder(sizes, try golden.parameters(try sizes.specs()))
            model.recomputes = recomputes
            let images = try golden.tensor("in.images")
            let inputGradient = try trainable(images)
            let tape = Tape()
            let masking = try Masking(
                noise: try golden.values("in.noise"), batch: 2, tokens: sizes.tokens, ratio: 0.75)
            for context in [Context(tape: tape), Context()] {
                let result = try model.forward(images, masking: masking, in: context)
                #expect(try golden.error(result.prediction.values, "pred") < 1e-5)
                #expect(relativeError(result.loss, try golden.values("out.loss")) < 1e-5)
                #expect(result.mask == (try golden.values("out.mask")))
                if context.tape != nil { try tape.backward(from: result.loss) }
            }
            let latent = try model.encode(images, masking: masking, in: Context())
            #expect(try golden.error(latent.values, "latent") < 1e-5)
            try golden.checkGradients(model.parameters, input: inputGradient, "images")
            let half = try model.forward(images, masking: masking, in: Context(compute: .bfloat16))
            try golden.checkHalf(half.prediction, "pred")
        }
    }

    @Test(arguments: classifiers) func classifierMatchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let sizes = try golden.sized(ViT.Configuration())
        let model = try ViT(sizes, try golden.parameters(try sizes.specs()))
        let images = try golden.tensor("in.images")
        let inputGradient = try trainable(images)
        let tape = Tape()
        let context = Context(tape: tape)
        let logits = try model.logits(images, in: context)
        #expect(try golden.error(logits.values, "logits") < 1e-5)
        #expect(try golden.error(model.features(images).values, "features") < 1e-5)
        let loss = try context.meanSquaredError(logits, try Tensor.zeros(logits.shape))
        try tape.backward(from: loss)
        try golden.checkGradients(model.parameters, input: inputGradient, "images")
        let half = try model.logits(images, in: Context(compute: .bfloat16))
        #expect(try golden.error(half.values, "logits") < 3e-2)
    }

    /// Published parameter counts, the rotary tables aside.
    @Test(arguments: [
        ("LightningDiT-B/1", 130.556), ("LightningDiT-XL/1", 675.257),
        ("LightningDiT-XL/2", 675.257), ("LightningDiT-1p6B/1", 1631.767),
    ]) func sizesArePublished(_ name: String, _ millions: Double) throws {
        let sizes = try DiT.Configuration(named: name)
        let count = try sizes.specs().filter { !$0.name.hasPrefix("feat_rope") }
            .reduce(0) { $0 + $1.shape.count }
        #expect(abs(Double(count) / 1e6 - millions) < 0.001)
    }
}
