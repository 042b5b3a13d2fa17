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
    func transfer(
        _ file: String, to target: any TransformerConfiguration
    ) throws(USPError) -> Parameters {
        var options = TransferOptions(to: .configuration(target))
        options.seed = plan.seed
        options.heads = plan.heads
        options.decoderHeads = plan.decoderHeads
        if let sizes = target as? ViT.Configuration {
            options.pool = sizes.pool
            options.head = sizes.head == .probe ? .probe : .fineTune
        }
        if target.isModulated { options.gateBias = plan.gateBias }
        let parameters = try Parameters(try target.specs())
        for entry in try TransferPlan(Archive.open(folder.file(file)), options).arrays() {
            let tensor = try parameters.tensor(entry.name)
            try expect(tensor, entry.shape, entry.name)
            try tensor.copy(from: entry.tensor())
        }
        parameters.invalidateCopies()
        return parameters
    }
}
