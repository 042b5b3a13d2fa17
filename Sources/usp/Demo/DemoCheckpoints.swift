// The demo's models as files that every other command loads: sizes that shapes do not tell are kept
// beside the tensors.

import USPBase
import USPKit
import USPModels

extension DemoFolder {
    func save(_ name: String, _ network: KLAutoencoder) throws(USPError) {
        try VAE(network, ModelWeights(network.parameters), Arithmetic()).save(file(name))
    }

    func save(_ name: String, _ network: USPModels.MaskedAutoencoder) throws(USPError) {
        try USPKit.MaskedAutoencoder(network, ModelWeights(network.parameters), Arithmetic())
            .save(file(name))
    }

    func save(_ name: String, _ network: USPModels.DiT) throws(USPError) {
        try USPKit.DiT(network, ModelWeights(network.parameters), Arithmetic()).save(
            file(name))
    }
}
