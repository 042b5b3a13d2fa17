// Stage 3: one encoder's weights into any model, by the library's plan.

import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTraining
import USPTransfer

extension Demo {
    /// The parameters of the target, started from the encoder in `file` of the output folder;
    /// everything that the encoder does not have is fresh.
    func transfer(_ file: String, to target: ModelConfiguration) throws(USPError) -> Parameters {
        var options = TransferOptions(to: .configuration(target))
        options.seed = plan.seed
        options.source.heads = plan.heads
        options.source.decoderHeads = plan.decoderHeads
        switch target {
        case .classifier(let sizes):
            options.pool = sizes.pool
            options.head = sizes.head == .probe ? .probe : .fineTune
        case .diffusion: options.gateBias = plan.gateBias
        case .maskedAutoencoder: break
        }
        let specs: [ParameterSpec] =
            switch target {
            case .classifier(let sizes): try VisionTransformer.specs(sizes)
            case .diffusion(let sizes): try DiT.specs(sizes)
            case .maskedAutoencoder(let sizes): try MaskedAutoencoder.specs(sizes)
            }
        let parameters = try Parameters(specs)
        for entry in try TransferPlan(Archive.open(folder.file(file)), options).apply() {
            let tensor = try parameters.tensor(entry.name)
            try expect(tensor, entry.shape, entry.name)
            try tensor.copy(from: entry.tensor())
        }
        parameters.invalidateCopies()
        return parameters
    }
}
