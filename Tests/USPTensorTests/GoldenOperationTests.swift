// Token operations against PyTorch: outputs within 1e-5, gradients within 1e-4.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

private func check(_ errors: GoldenErrors, _ name: String) {
    #expect(errors.output < 1e-5, "\(name): output \(errors.output)")
    #expect(errors.worstGradient < 1e-4, "\(name): gradients \(errors.gradients)")
}

@Suite struct GoldenOperationTests {
    @Test(arguments: ["plain", "affine", "modulated", "affine_modulated"])
    func layerNorm(_ kind: String) throws {
        var inputs = ["x"]
        if kind.hasPrefix("affine") { inputs += ["weight", "bias"] }
        if kind.hasSuffix("modulated") { inputs += ["shift", "scale"] }
        let errors = try goldenErrors("operations/layer_norm_\(kind)", inputs: inputs) {
            values, _, context in
            try context.layerNorm(
                values["x"]!,
                LayerNorm(
                    weight: values["weight"], bias: values["bias"],
                    shift: values["shift"].map { Chunk($0, 0, width: 40) },
                    scale: values["scale"].map { Chunk($0, 0, width: 40) }))
        }
        check(errors, kind)
    }

    @Test func attentionCore() throws {
        let errors = try goldenErrors("operations/attention_core", inputs: ["qkv"]) {
            values, _, context in
            try context.attention(qkv: values["qkv"]!, heads: 3)
        }
        check(errors, "attention")
    }

    @Test func attentionWithProjections() throws {
        let errors = try goldenErrors(
            "operations/attention",
            inputs: ["x", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias"]
        ) { values, _, context in
            let qkv = try context.linear(values["x"]!, values["qkv_weight"]!, values["qkv_bias"])
            let mixed = try context.attention(qkv: qkv, heads: 3)
            return try context.linear(mixed, values["proj_weight"]!, values["proj_bias"])
        }
        check(errors, "attention block")
    }

    @Test(arguments: ["none", "gelu_erf", "gelu_tanh", "gelu_quick", "silu"])
    func linear(_ kind: String) throws {
        let activation = goldenActivation(kind)
        let errors = try goldenErrors("operations/linear_\(kind)", inputs: ["x", "weight", "bias"])
        {
            values, _, context in
            try context.linear(
                values["x"]!, values["weight"]!, values["bias"],
                LinearOptions(activation: activation))
        }
        check(errors, kind)
    }

    @Test(arguments: ["gelu_erf", "gelu_tanh", "gelu_quick", "silu"])
    func activation(_ kind: String) throws {
        let errors = try goldenErrors("operations/activation_\(kind)", inputs: ["x"]) {
            values, _, context in
            try context.activate(values["x"]!, goldenActivation(kind))
        }
        check(errors, kind)
    }

    @Test(arguments: [("gelu_erf", Activation.geluErf), ("gelu_tanh", .geluTanh)])
    func mlp(_ kind: String, _ activation: Activation) throws {
        let errors = try goldenErrors(
            "operations/mlp_\(kind)",
            inputs: ["x", "fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias"]
        ) { values, _, context in
            let hidden = try context.linear(
                values["x"]!, values["fc1_weight"]!, values["fc1_bias"],
                LinearOptions(activation: activation))
            return try context.linear(hidden, values["fc2_weight"]!, values["fc2_bias"])
        }
        check(errors, kind)
    }

    @Test func gatedResidual() throws {
        // A product with the identity leaves the gate and the residual.
        let errors = try goldenErrors("operations/gated_residual", inputs: ["x", "f", "gate"]) {
            values, _, context in
            var identity = [Float](repeating: 0, count: 1600)
            for i in 0..<40 { identity[i * 41] = 1 }
            return try context.linear(
                values["f"]!, try Tensor([40, 40], identity), nil,
                LinearOptions(gate: Chunk(values["gate"]!, 0, width: 40), residual: values["x"]!))
        }
        check(errors, "gated residual")
    }

    @Test func patchEmbedding() throws {
        let errors = try goldenErrors("operations/patch_embed", inputs: ["x", "weight", "bias"]) {
            values, _, context in
            let patches = try context.patchify(values["x"]!, patch: 2, order: .channelFirst)
            return try context.linear(patches, values["weight"]!, values["bias"])
        }
        check(errors, "patch embedding")
    }

    @Test(arguments: [false, true]) func batchNorm(training: Bool) throws {
        let name = "operations/batch_norm_\(training ? "training" : "evaluation")"
        let errors = try goldenErrors(name, inputs: ["x"]) { values, golden, context in
            let mean = training ? try Tensor.zeros([40]) : try golden.tensor("in.mean")
            let variance = training ? try Tensor.zeros([40]) : try golden.tensor("in.variance")
            return try context.batchNorm(
                values["x"]!,
                BatchNorm(runningMean: mean, runningVariance: variance, epsilon: 1e-6),
                training: training)
        }
        check(errors, name)
    }

    @Test(arguments: [Float(0), 0.1]) func crossEntropy(smoothing: Float) throws {
        let name = "operations/cross_entropy_smoothing_\(smoothing == 0 ? "0.0" : "0.1")"
        let errors = try goldenErrors(name, inputs: ["logits"]) { values, golden, context in
            try context.softmaxCrossEntropy(
                logits: values["logits"]!, labels: try golden.indices("in.labels"),
                smoothing: smoothing)
        }
        check(errors, name)
    }

    @Test func softCrossEntropy() throws {
        let errors = try goldenErrors(
            "operations/cross_entropy_soft", inputs: ["logits", "target"], ignoring: ["target"]
        ) { values, _, context in
            try context.softmaxCrossEntropy(logits: values["logits"]!, targets: values["target"]!)
        }
        check(errors, "soft cross entropy")
    }

    @Test func meanSquaredError() throws {
        let errors = try goldenErrors("operations/mean_squared_error", inputs: ["x", "target"]) {
            values, _, context in
            try context.meanSquaredError(values["x"]!, values["target"]!)
        }
        check(errors, "mean squared error")
    }

    @Test(arguments: PatchNormalisation.allCases)
    func maskedError(_ normalisation: PatchNormalisation) throws {
        let errors = try goldenErrors(
            "operations/masked_error_norm_\(normalisation.rawValue)",
            inputs: ["pred", "target"], ignoring: ["target"]
        ) { values, golden, context in
            let target = try context.normalisePatches(values["target"]!, normalisation)
            return try context.maskedPatchError(
                values["pred"]!, target: target, mask: try golden.values("in.mask"))
        }
        check(errors, normalisation.rawValue)
    }

    @Test func timestepEmbedding() throws {
        let golden = try GoldenCase("positions/time_waves")
        let y = try Context().timestepEmbedding(try golden.values("in.t"), width: 256)
        #expect(relativeError(y, try golden.values("out.waves")) < 1e-4)
    }
}

func goldenActivation(_ name: String) -> Activation {
    switch name {
    case "gelu_erf": .geluErf
    case "gelu_tanh": .geluTanh
    case "gelu_quick": .geluQuick
    case "silu": .silu
    default: .none
    }
}
