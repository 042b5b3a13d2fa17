// Golden model cases: configurations from the manifest, parameters from the case, errors of
// outputs and gradients.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

extension GoldenCase {
    func integer(_ key: String) -> Int { config[key] as? Int ?? 0 }

    var encoder: TransformerSizes {
        let side = integer("image") / integer("patch")
        return TransformerSizes(
            grid: Grid(side, side), channels: integer("channels"), patch: integer("patch"),
            width: integer("width"), depth: integer("depth"), heads: integer("heads"))
    }

    var maskedAutoencoder: MaskedAutoencoder.Configuration {
        MaskedAutoencoder.Configuration(
            encoder, decoderWidth: integer("decoder_width"),
            decoderDepth: integer("decoder_depth"), decoderHeads: integer("decoder_heads"))
    }

    func transformer(returnsSigma: Bool) -> DiT.Configuration {
        let side = integer("image") / integer("patch")
        return DiT.Configuration(
            grid: Grid(side, side), channels: integer("channels"), patch: integer("patch"),
            width: integer("width"), depth: integer("depth"), heads: integer("heads"),
            classes: integer("classes"), returnsSigma: returnsSigma,
            affine: config["affine"] as? Bool ?? false)
    }

    /// Parameters of the table with the case's values; every one must be there.
    func parameters(_ specs: [ParameterSpec], trainable: Bool = true) throws -> Parameters {
        let parameters = try Parameters(specs)
        for (index, spec) in specs.enumerated() {
            try parameters[index].copy(from: try tensor("param.\(spec.name)"))
        }
        parameters.invalidateCopies()
        if trainable { try parameters.makeTrainable() }
        return parameters
    }

    /// The worst gradient error over all parameters in the case, and how many were compared.
    func gradientError(_ parameters: Parameters) throws -> (worst: Double, name: String, count: Int)
    {
        var (worst, name, count) = (0.0, "", 0)
        let gradients = floats.filter { $0.key.hasPrefix("grad.") }.flatMap(\.value.values)
        let scale = gradients.reduce(0) { max($0, abs($1)) }
        // What is zero but for rounding (before a batch norm) has no relative error of its own.
        func isNegligible(_ values: [Float]) -> Bool {
            values.allSatisfy { abs($0) < 1e-4 * scale }
        }
        for (position, spec) in parameters.specs.enumerated() where spec.isTrainable {
            guard let actual = parameters.gradient(position)?.values else { continue }
            guard let (some, expected) = kept(actual, "grad", spec.name) else { continue }
            let floor = isNegligible(expected) ? [scale] : []
            let error = relativeError(some + floor, expected + floor)
            count += 1
            if error > worst { (worst, name) = (error, spec.name) }
        }
        return (worst, name, count)
    }

    /// Checks an output in bf16: within 3e-2, and no worse than PyTorch's autocast. In models of
    /// less than 16 columns chance decides whose rounding is the larger: there within its double.
    func checkHalf(_ actual: Tensor, _ key: String) throws {
        guard let (some, expected) = kept(actual.values, "out", key) else {
            throw USPError(.io, "the golden case lacks out.\(key)")
        }
        let error = relativeError(some, expected)
        let torch = relativeError(kept([], "bf16", key)?.expected ?? [], expected)
        #expect(error < 3e-2, "\(key): bf16 error \(error)")
        let narrowest = min(integer("width"), config["decoder_width"] as? Int ?? .max)
        let share = error / (narrowest < 16 ? 2 : 1)
        #expect(share <= torch, "\(key): bf16 error \(error), PyTorch's \(torch)")
    }

    func checkGradients(_ parameters: Parameters, input: Tensor?, _ key: String) throws {
        let (worst, name, count) = try gradientError(parameters)
        #expect(worst < 1e-4, "gradient of \(name): \(worst)")
        #expect(count > 10)
        guard let input else { return }
        let own = try error(input.values, key, kind: "grad_in")
        #expect(own < 1e-4, "gradient of \(key): \(own)")
    }
}

/// Runs the body with 1 and with 2 threads and expects the same bits.
func expectSameOnAllThreads(_ body: () throws -> [[Float]]) throws {
    try alone {
        useThreads(1)
        let one = try body()
        useThreads(2)
        #expect(try body() == one)
    }
}
