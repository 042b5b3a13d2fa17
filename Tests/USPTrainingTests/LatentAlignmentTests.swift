// VA-VAE's training losses, and what is said where they cannot be had.

import Testing
import TestSupport
import USPBase
import USPData
import USPModels
import USPTensor
import USPTraining

struct LatentAlignmentTests {
    private let golden = try! GoldenCase("models/vae_aligned")

    private func trained(
        _ key: String, _ change: (inout TrainerOptions) -> Void = { _ in }
    ) throws -> LossGradients {
        let vae = try VAE.load(golden.paramsFile())
        var options = TrainerOptions()
        (options.align, options.teacherWidth, options.klWeight) = (0.5, 10, 0)
        options.reconstruction = .absolute
        if key == "margins" { (options.distmatMargin, options.cosMargin) = (0.25, 0.5) }
        change(&options)
        let trainer = try Trainer(vae, options)
        try trainer.updates.parameters.tensor("linear_proj.weight")
            .copy(from: golden.tensor("in.projection"))
        var batch = try Batch(golden.tensor("in.images"))
        batch.noise = try golden.tensor("in.noise")
        batch.features = [try golden.tensor("in.features")]
        return try trainer.gradients(batch)
    }

    @Test(arguments: ["plain", "margins"]) func lossesAndGradientsAreVAVAEs(_ key: String) throws {
        let result = try trained(key)
        #expect(try golden.error([result.loss], "\(key).loss") < 1e-5)
        for name in ["encoder.conv_out.weight", "encoder.conv_in.weight", "decoder.conv_in.bias"] {
            let values = try result.gradients.tensor(name).values
            #expect(try golden.error(values, "\(key).\(name)") < 1e-4)
        }
        let projection = try result.gradients.tensor("linear_proj.weight").values
        #expect(try golden.error(projection, "\(key).projection") < 1e-4)
    }
}
