import USPBase
import USPModels
import USPTensor

func copySharedParameters(from source: Parameters, to target: Parameters) throws(USPError) {
    for (position, spec) in target.specs.enumerated() {
        let name = spec.name.replacing("x_embedder", with: "patch_embed").replacing("fc_norm", with: "norm")
        guard source.contains(name) else { continue }
        let tensor = try source.tensor(name)
        if spec.name == "pos_embed" && tensor.shape != spec.shape {
            try target[position].copy(from: tensor.reshaped([tensor.shape[1], tensor.shape[2]]).detachedRows(1..<tensor.shape[1]))
        } else if tensor.shape == spec.shape {
            try target[position].copy(from: tensor)
        }
    }
    target.invalidateCopies()
}

func transfer(_ source: MaskedAutoencoder, to target: DiT) throws(USPError) {
    try copySharedParameters(from: source.parameters, to: target.parameters)
}

func flow(_ model: DiT, _ noise: Tensor, _ labels: [Int], steps: Int, in context: Context) throws(USPError) -> Tensor {
    let z = try noise.copied()
    for step in 0..<steps {
        let t = Float(step) / Float(steps)
        let v = try model.forward(z, t: [Float](repeating: t, count: labels.count), y: labels, in: context)
        for i in 0..<z.count { z.floats[i] += v.floats[i] / Float(steps) }
    }
    return z
}
