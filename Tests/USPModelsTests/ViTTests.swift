// The classifier against timm: class token, average pooling, linear probe.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct ViTTests {
    static let cases = [
        "classifier_token", "classifier_average", "classifier_no_embed_class", "probe_evaluation",
        "probe_training",
    ]

    private func configuration(_ golden: GoldenCase) -> ViT.Configuration {
        var encoder = golden.encoder
        encoder.embedsClass = golden.config["embeds_class"] as? Bool ?? true
        return ViT.Configuration(
            encoder,
            pool: golden.config["pool"] as? String == "average" ? .avg : .token,
            head: golden.config["head"] == nil ? .linear : .probe,
            classes: golden.integer("classes"))
    }

    @Test(arguments: cases) func matchesPyTorch(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let configuration = configuration(golden)
        for recomputes in Recomputation.allCases {
            let parameters = try golden.parameters(try configuration.specs())
            let model = try ViT(configuration, parameters)
            model.recomputes = recomputes
            let images = try golden.tensor("in.images")
            let imageGradient = try trainable(images)
            let tape = Tape()
            let context = Context(tape: tape)
            let logits = try model.logits(
                images, trainsStatistics: golden.config["batch_statistics"] as? Bool ?? false,
                in: context)
            #expect(relativeError(logits, try golden.values("out.logits")) < 1e-5)
            let loss =
                golden.floats["in.target"] == nil
                ? try context.softmaxCrossEntropy(
                    logits: logits, labels: try golden.indices("in.labels"),
                    smoothing: Float(golden.config["smoothing"] as? Double ?? 0))
                : try context.softmaxCrossEntropy(
                    logits: logits, targets: try golden.tensor("in.target"))
            #expect(relativeError(loss, try golden.values("out.loss")) < 1e-5)
            try tape.backward(from: loss)
            try golden.checkGradients(parameters, input: imageGradient, "images")
            if let mean = golden.floats["out.head.0.running_mean"] {
                let own = try parameters.tensor("head.0.running_mean")
                #expect(relativeError(own, mean.values) < 1e-5)
            }
        }
    }

    @Test(arguments: cases.dropLast()) func bfloat16IsNoWorseThanAutocast(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let configuration = configuration(golden)
        let parameters = try golden.parameters(
            try configuration.specs(), trainable: false)
        let model = try ViT(configuration, parameters)
        let logits = try model.logits(
            try golden.tensor("in.images"), in: Context(compute: .bfloat16))
        try golden.checkHalf(logits, "logits")
    }

    @Test func probingTrainsTheHeadOnly() throws {
        let golden = try GoldenCase("models/probe_training")
        let configuration = configuration(golden)
        let parameters = try golden.parameters(
            try configuration.specs(), trainable: false)
        try parameters.makeTrainable { $0.name.hasPrefix("head.") }
        let model = try ViT(configuration, parameters)
        let tape = Tape()
        let context = Context(tape: tape)
        let logits = try model.logits(
            try golden.tensor("in.images"), trainsStatistics: true, in: context)
        try tape.backward(
            from: try context.softmaxCrossEntropy(
                logits: logits, labels: try golden.indices("in.labels")))
        let (worst, _, count) = try golden.gradientError(parameters)
        #expect(worst < 1e-4 && count == 2)
    }

    @Test func dropPathDropsWholeSamples() throws {
        try alone {
            var configuration = configuration(try GoldenCase("models/classifier_token"))
            configuration.dropPath = 0.9
            let model = try ViT(configuration, key: RandomKey(seed: 2))
            let images = try normalTensor([8, 4, 16, 16], seed: 3)
            let random = Context(random: RandomKey(seed: 4))
            let dropped = try model.tokens(images, in: random).values
            #expect(dropped == (try model.tokens(images, in: random)).values)
            let first = try model.tokens(images, depth: 1, in: random)
            let all = try model.tokens(images, in: random)
            let size = all.count / 8
            let same = (0..<8).filter { sample in
                let range = sample * size..<(sample + 1) * size
                return Array(first.values[range]) == Array(all.values[range])
            }
            #expect(!same.isEmpty)
        }
    }

    @Test func layerDecay() {
        #expect(LayerDecay.layer(of: "pos_embed", depth: 12) == 0)
        #expect(LayerDecay.layer(of: "patch_embed.proj.bias", depth: 12) == 0)
        #expect(LayerDecay.layer(of: "blocks.11.mlp.fc1.weight", depth: 12) == 12)
        #expect(LayerDecay.layer(of: "fc_norm.weight", depth: 12) == 13)
        #expect(LayerDecay.scale(of: "head.weight", depth: 12, decay: 0.75) == 1)
        #expect(LayerDecay.scale(of: "blocks.11.norm1.weight", depth: 12, decay: 0.5) == 0.5)
    }
}
