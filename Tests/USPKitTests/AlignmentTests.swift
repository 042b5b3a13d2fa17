// Representation alignment against REPA's code: projections, losses, gradients, samplers, in its own
// direction of time; what does not fit is said.

import TestSupport
import Testing
import USPBase
import USPKit
import USPTensor

@Suite struct AlignmentTests {
    private func load(_ golden: GoldenCase, depth: Int? = 2) throws -> DiT {
        var options = LoadOptions()
        (options.heads, options.encoderDepth) = (3, depth)
        let file = try #require(golden.line["params"] as? String)
        return try DiT.load(
            goldenFolder.appending(path: file).path(percentEncoded: false), options)
    }

    private func features(_ golden: GoldenCase) throws -> [Tensor] {
        [try golden.tensor("in.features0"), try golden.tensor("in.features1")]
    }

    @Test(arguments: ["repa_sit", "repa_sit_qk"]) func lossesAndGradientsAreREPAs(
        _ name: String
    ) throws {
        let golden = try GoldenCase("models/\(name)")
        let model = try load(golden)
        let sizes = model.configuration
        #expect(sizes.projections == [10, 6] && sizes.projector == 20 && sizes.encoderDepth == 2)
        #expect(sizes.noiseTime == 1 && sizes.queryKeyNorm == (name == "repa_sit_qk"))
        let (t, labels) = (try golden.values("in.t"), try golden.indices("in.labels"))
        let (data, noise) = (try golden.tensor("in.data"), try golden.tensor("in.noise"))
        let velocity = try model.forward(noise, t: t, y: labels)
        #expect(try golden.error(velocity.values, "velocity") < 1e-5)
        for (index, tensor) in try model.projections(noise, t: t, y: labels).enumerated() {
            #expect(try golden.error(tensor.values, "projection\(index)") < 1e-5)
        }
        let teachers = try features(golden)
        for path in [TransportPath.linear, .gvp] {
            var options = Transport.Options()
            options.path = path
            let losses = try Transport(options).losses(
                of: model.denoiser, data: data, times: t, labels: labels, noise: noise,
                features: teachers)
            #expect(try golden.error(losses.losses, "\(path.rawValue).loss") < 1e-5)
            let alignment = try #require(losses.terms["alignment"])
            let mean = alignment.reduce(0, +) / 3
            #expect(try golden.error([mean], "\(path.rawValue).alignment") < 1e-5)
        }
        var batch = Batch(data, labels: labels)
        (batch.times, batch.noise, batch.features) = (t, noise, teachers)
        var options = TrainerOptions()
        options.align = 0.5
        let trainer = try Trainer(model, options)
        let result = try trainer.gradients(batch)
        let expected =
            try golden.values("out.Linear.loss").reduce(0, +) / 3 + 0.5
            * golden.values("out.Linear.alignment")[0]
        #expect(abs(result.loss - expected) < 1e-5 * abs(expected))
        let names = golden.names("grad.")
        #expect(names.contains("projectors.1.4.weight") && names.count > 40)
        for key in names {
            let gradient = try result.gradients.tensor(key)
            let wanted = try golden.values("grad.\(key)")
            // The keys' biases have none but rounding's.
            let floor = try golden.values("grad.blocks.0.attn.qkv.weight").map(abs).max() ?? 0
            #expect(
                relativeError(gradient.values + [floor], wanted + [floor]) < 1e-4, "\(key)")
        }
        let report = try trainer.step(batch)
        #expect(abs(report.loss - expected) < 1e-5 * abs(expected))
    }

    /// Steps are REPA's: points of time less one of an ODE, N of an SDE.
    @Test func samplersAreREPAs() throws {
        let golden = try GoldenCase("transport/repa_samplers")
        let model = try load(golden)
        let (start, labels) = (try golden.tensor("in.z"), try golden.indices("in.labels"))
        let noise = try golden.tensor("in.noise")
        for guided in ["plain", "guided"] {
            var guidance = Guidance(guided == "plain" ? 1 : 1.8)
            if guided == "guided" { (guidance.begin, guidance.end) = (0.3, 0.7) }
            let denoiser = try model.denoiser.guided(guidance)
            for method in ["euler", "heun"] {
                var options = SampleOptions()
                (options.method, options.steps, options.lastStep) = (method, 7, .euler)
                let value = try Sampler(.flow(Transport()), options).run(
                    denoiser, from: start, labels: labels)
                #expect(try golden.error(value.values, "\(guided).\(method)") < 1e-5)
            }
            for path in [TransportPath.linear, .gvp] {
                var transport = Transport.Options()
                transport.path = path
                var options = SampleOptions()
                (options.form, options.steps) = (path == .linear ? .sigma : .linear, 6)
                let value = try Sampler(.stochastic(Transport(transport)), options).run(
                    denoiser, from: start, labels: labels, noise: noise)
                let key = "\(guided).sde.\(path.rawValue)"
                #expect(try golden.error(value.values, key) < 1e-5, "\(key)")
            }
        }
    }

    @Test func lastStepsOfAnODEAreEulers() throws {
        func told(_ method: String, _ last: LastStep, _ task: Sampler.Task = .sample) -> String? {
            var options = SampleOptions()
            (options.method, options.lastStep) = (method, last)
            return #expect(throws: USPError.self) {
                try Sampler(.flow(Transport()), options, for: task)
            }?.message
        }
        #expect(told("heun", .mean)?.contains("only Euler") == true)
        #expect(told("dopri5", .euler)?.contains("last_step") == true)
        #expect(told("heun", .euler, .invert)?.contains("only in sampling") == true)
    }

    /// The depth is the file's names', its arguments', or else 8, which is told.
    @Test func encoderDepthIsTold() throws {
        let golden = try GoldenCase("models/repa_sit")
        let model = try load(golden)
        let plain = try model.checkpoint()
        func loaded(_ rename: (String) -> String) throws -> DiT {
            var options = LoadOptions()
            (options.family, options.heads) = ("SiT", 3)
            return try DiT.load(
                Checkpoint(
                    plain.entries.map(\.name).map { (name) throws in
                        (name: rename(name), tensor: try plain.tensor(name))
                    }), options)
        }
        let legacy = try loaded { name in
            name.hasPrefix("blocks.1.")
                ? "decoder_blocks.0." + name.dropFirst(9)
                : name.hasPrefix("blocks.2.") ? "decoder_blocks.1." + name.dropFirst(9) : name
        }
        #expect(legacy.configuration.encoderDepth == 1 && legacy.configuration.depth == 3)
        let untold = #expect(throws: USPError.self) { try loaded { $0 } }
        #expect(untold?.message.contains("encoder_depth: 8, but the model has 3 blocks") == true)
        // What we write says it.
        var options = LoadOptions()
        options.family = "SiT"
        let again = try DiT.load(plain, options)
        #expect(again.configuration == model.configuration)
        options.encoderDepth = 1
        #expect(try DiT.load(plain, options).configuration.encoderDepth == 1)
    }

    @Test func whatDoesNotFitIsSaid() throws {
        let golden = try GoldenCase("models/repa_sit")
        let model = try load(golden)
        let data = try golden.tensor("in.data")
        func told(_ features: [Tensor], align: Float = 0.5, of model: DiT? = nil) -> String? {
            var options = TrainerOptions()
            options.align = align
            var batch = Batch(data, labels: [1, 2, 3])
            batch.features = features
            return #expect(throws: USPError.self) {
                try Trainer(model ?? load(golden), options).step(batch)
            }?.message
        }
        let good = try features(golden)
        #expect(told([])?.contains("the teacher's tokens [B, T, Z] are needed") == true)
        #expect(told(good, align: 0)?.contains("without align") == true)
        #expect(told([good[0]])?.contains("of 1 teachers, expected 2") == true)
        #expect(
            told([try Tensor.zeros([3, 25, 10]), good[1]])?.contains(
                "25 tokens (5x5), but the model has 16 (4x4), and they are compared one by one: show "
                    + "the teacher images of 56 x 56 pixels where its patches have 14") == true)
        #expect(
            told([try Tensor.zeros([3, 16, 12]), good[1]])?.contains(
                "features[0]: a teacher 12 wide, but the projector predicts 10") == true)
        var sizes = model.configuration
        sizes.projections = []
        let plain = try DiT(sizes, seed: 0)
        #expect(told(good, of: plain)?.contains("has no projectors") == true)
        #expect(throws: USPError.self) { try plain.projections(data, t: [0, 0, 0], y: nil) }
        let function = Denoiser { x, _, _ throws(USPError) in x }
        let refused = #expect(throws: USPError.self) {
            try Transport().losses(of: function, data: data, features: good)
        }
        #expect(refused?.message.contains("a function has no projectors") == true)
    }
}
