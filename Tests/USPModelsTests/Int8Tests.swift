// Models whose blocks multiply in 8 bits: near f32, from files of any type, and what is refused.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

@Suite struct Int8Tests {
    private let sizes = DiT.Configuration(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 96, depth: 4, heads: 4, classes: 5,
        returnsSigma: false)

    /// Every parameter is random: fresh ones ignore time and label.
    private func parameters(_ specs: [ParameterSpec]) throws -> Parameters {
        let result = try Parameters(specs)
        for (position, spec) in specs.enumerated() {
            let width = Float(spec.shape.extents.last ?? 1)
            let scale = spec.shape.rank > 1 ? 1 / width.squareRoot() : 0.1
            try result[position].copy(from: randomTensor(spec.shape, spec.name, scale: scale))
        }
        return result
    }

    private func prediction(_ model: DiT) throws -> [Float] {
        let x = try normalTensor(sizes.imageShape(2), seed: 1)
        return try model.forward(x, t: [10, 700], y: [1, 4]).values
    }

    private func options(_ compute: DType) -> LoadOptions {
        var options = LoadOptions()
        options.compute = compute
        return options
    }

    @Test func blocksAreNearF32() throws {
        let parameters = try parameters(try sizes.specs())
        let exact = try prediction(DiT(sizes, parameters))
        let coarse = try prediction(DiT(sizes, parameters, Arithmetic(compute: .int8)))
        let error = relativeError(coarse, exact)
        #expect(error > 1e-4 && error < 3e-2, "\(error)")
    }

    @Test(arguments: ViTTests.cases.prefix(3)) func classifiersAreNear(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        var configuration = ViT.Configuration(
            golden.encoder,
            pool: golden.config["pool"] as? String == "average" ? .avg : .token, head: .linear,
            classes: golden.integer("classes"))
        configuration.embedsClass = golden.config["embeds_class"] as? Bool ?? true
        let model = try ViT(
            configuration, try golden.parameters(try configuration.specs(), trainable: false),
            Arithmetic(compute: .int8))
        let error = relativeError(
            try model.logits(try golden.tensor("in.images")), try golden.values("out.logits"))
        #expect(error > 1e-5 && error < 3e-2, "\(error)")
    }

    /// A file of 8-bit weights is read as it is: no floats are made of its integers, unless somebody
    /// asks for them, and they are what other loaders make.
    @Test func integersOfAFileAreRead() throws {
        try alone {
            try inFolder { folder in
                let (plain, small) = ("\(folder)/plain.safetensors", "\(folder)/small.safetensors")
                let model = try DiT(sizes, try parameters(try sizes.specs()))
                try model.save(plain)
                var saving = Checkpoint.SaveOptions()
                saving.dtype = .int8
                try Checkpoint.open(plain).save(small, saving)

                let widened = try DiT.load(small)
                let loaded = try DiT.load(small, options(.int8))
                let ofFloats = try DiT.load(plain, options(.int8))
                let result = try prediction(loaded)
                let (floats, exact) = (try prediction(ofFloats), try prediction(widened))
                #expect(relativeError(result, floats) < 1e-2)
                #expect(relativeError(result, exact) < 3e-2)
                for (position, spec) in loaded.parameters.specs.enumerated() {
                    let tensor = loaded.parameters[position]
                    let isOfBlock =
                        spec.name.hasPrefix("blocks.") && spec.name.hasSuffix(".weight")
                        && !spec.name.contains("adaLN")
                    #expect((tensor.storage.integerRows != nil) == isOfBlock, "\(spec.name)")
                    #expect(!tensor.storage.isWidened, "\(spec.name)")
                    #expect(tensor.values == widened.parameters[position].values, "\(spec.name)")
                }
                let repeated = try prediction(loaded)
                #expect(repeated == result)
                let again = "\(folder)/again.safetensors"
                try loaded.save(again)
                let reloaded = try prediction(DiT.load(again))
                #expect(reloaded == exact)
            }
        }
    }

    @Test func modelsWithoutBlocksAreRefused() throws {
        try inFolder { folder in
            let path = "\(folder)/vae.safetensors"
            var sizes = VAE.Configuration()
            (sizes.baseWidth, sizes.multipliers, sizes.blocksPerLevel) = (32, [1, 1], 1)
            try VAE(sizes).save(path)
            let error = #expect(throws: USPError.self) { try loadModel(path, options(.int8)) }
            #expect(error?.message.contains("VAE has none") == true)
        }
    }
}
