// Guided sampling: which samples the model is asked for, and what is made of its answers.

import TestSupport
import Testing
import USPBase
import USPKit
import USPTensor

/// Two blocks of random weights; the last layer too, which starts at zero.
private func transformer(_ family: String) throws -> DiT {
    var sizes = DiT.Configuration()
    sizes.returnsSigma = family == "DiT"
    (sizes.grid, sizes.width, sizes.depth, sizes.heads) = (Grid(4, 4), 32, 2, 2)
    sizes.classes = 5
    let model = try DiT(sizes, seed: 1)
    for name in model.weights.names where name != "pos_embed" {
        let weight = try model.weights[name]
        let values = try randomTensor(weight.shape, name, scale: 0.05)
        try weight.copy(from: values)
    }
    return model
}

private func samples(_ tensor: Tensor) -> [[Float]] {
    let count = tensor.count / tensor.shape[0]
    return (0..<tensor.shape[0]).map { Array(tensor.values[$0 * count..<($0 + 1) * count]) }
}

@Suite struct GuidanceTests {
    private let labels = [1, 2, 4]

    private func latents() throws -> Tensor { try normalTensor([3, 4, 8, 8], seed: 1) }

    /// A model answers both halves from one set of latents, a function is given them twice; the
    /// numbers are the same, sample by sample, as those of the plain rule. Variances are not guided.
    @Test(arguments: ["DiT", "SiT"], [3, 4, 8]) func halvesRunAsOneBatch(
        _ family: String, _ channels: Int
    ) throws {
        let (model, x) = (try transformer(family), try latents())
        let times: [Float] = [7, 7, 7]
        var batches: [(Int, [Int])] = []
        let function = Denoiser(nullClass: 5) { x, times, labels throws(USPError) in
            batches.append((x.shape[0], labels ?? []))
            return try model.forward(x, t: times, y: labels)
        }
        var guidance = Guidance(scales: [1, 2.5, 4])
        guidance.channels = channels
        let paired = try model.denoiser.guided(guidance).predict(x, times, labels)
        let doubled = try function.guided(guidance).predict(x, times, labels)
        #expect(batches.count == 1 && batches[0].0 == 6)
        #expect(batches[0].1 == [1, 2, 4, 5, 5, 5])
        #expect(paired.values == doubled.values)
        let given = samples(try model.forward(x, t: times, y: labels))
        let null = samples(try model.forward(x, t: times, y: nil))
        let (plane, found) = (x.shape[2] * x.shape[3], samples(paired))
        for (sample, scale) in (guidance.scales ?? []).enumerated() {
            let expected = given[sample].indices.map { i in
                i < min(channels, 4) * plane
                    ? null[sample][i] + scale * (given[sample][i] - null[sample][i])
                    : given[sample][i]
            }
            #expect(relativeError(found[sample], expected) < 1e-5)
        }
    }

    /// The originals' guided pass: both halves hold the guided channels.
    @Test(arguments: ["dit", "dit_affine", "sit", "sit_affine"])
    func guidedPassesAreTheOriginals(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)_guided")
        let parameters = try golden.names("param.").map { (name) throws in
            (name: name, tensor: try golden.tensor("param.\(name)"))
        }
        var options = LoadOptions()
        options.family = name.hasPrefix("dit") ? "DiT" : "SiT"
        options.heads = golden.config["heads"] as? Int
        let model = try DiT.load(Checkpoint(parameters), options)
        let times =
            try golden.floats["in.t"]?.values ?? golden.indices("in.t").map { Float($0) }
        for (channels, key) in [(3, "three"), (4, "all")] {
            var guidance = Guidance(4)
            guidance.channels = channels
            let y = try model.forwardGuided(
                golden.tensor("in.x"), t: times, y: golden.indices("in.labels"), guidance)
            #expect(relativeError(y, try golden.values("out.\(key)")) < 1e-5)
        }
    }

    /// LightningDiT's guided pass: below its interval both halves get the labelled half's channels.
    @Test func guidedPassesHaveAnInterval() throws {
        let golden = try GoldenCase("models/lightning_guided")
        let model = try DiT.load(
            goldenFolder.appending(path: "models/lightning_params.safetensors").path())
        #expect(model.family == "LightningDiT")
        var guidance = Guidance(4)
        (guidance.begin, guidance.end) = (0.3, 1)
        for (time, key) in [(0.5, "inside"), (0.2, "below")] as [(Float, String)] {
            let y = try model.forwardGuided(
                golden.tensor("in.x"), t: [Float](repeating: time, count: 4),
                y: golden.indices("in.labels"), guidance)
            #expect(relativeError(y, try golden.values("out.\(key)")) < 1e-5)
        }
    }

    @Test func outsideItsIntervalNothingIsDoubled() throws {
        var sizes: [Int] = []
        let function = Denoiser(nullClass: 5) { x, times, labels throws(USPError) in
            sizes.append(x.shape[0])
            return try x.copied()
        }
        var guidance = Guidance(4)
        (guidance.begin, guidance.end) = (0.25, 0.75)
        var options = SampleOptions()
        (options.method, options.steps) = ("euler", 5)
        let sampler = try Sampler(.flow(Transport()), options)
        _ = try sampler.run(function.guided(guidance), from: latents(), labels: labels)
        #expect(sizes == [3, 6, 6, 6])
        sizes = []
        _ = try sampler.run(function.guided(Guidance(1)), from: latents(), labels: labels)
        #expect(sizes == [3, 3, 3, 3])
    }

    /// After its first steps a guided run takes no memory from the system.
    @Test(arguments: ["DiT", "SiT"]) func stepsAllocateNothing(_ family: String) throws {
        let (model, x) = (try transformer(family), try latents())
        let denoiser = try model.denoiser.guided(Guidance(4))
        var allocations: [Int] = []
        var options = SampleOptions()
        let monitor = SamplingMonitor { _ throws(USPError) in
            allocations.append(MemoryPool.shared.systemAllocations)
        }
        let process: Sampler.Process
        if family == "DiT" {
            var respaced = Diffusion.Options()
            respaced.respacing = "6"
            process = .diffusion(try Diffusion(respaced))
        } else {
            (options.method, options.steps) = ("heun", 7)
            process = .flow(try Transport())
        }
        try alone {
            let sampler = try Sampler(process, options)
            _ = try sampler.run(denoiser, from: x, labels: labels, noise: nil, monitor)
        }
        #expect(allocations.count == 6)
        #expect(allocations.suffix(4).allSatisfy { $0 == allocations[5] }, "\(allocations)")
    }

    @Test func nullClassIsTheLastRowOfTheTable() throws {
        let model = try transformer("DiT")
        #expect(model.nullClass == 5)
        #expect(model.denoiser.nullClass == 5)
        let x = try latents()
        let explicit = try model.forward(x, t: [1, 1, 1], y: [5, 5, 5])
        #expect(try model.forward(x, t: [1, 1, 1], y: nil).values == explicit.values)
    }

    /// A transfer's labels are fresh: nothing to move away from, unless who loads it says so.
    @Test func transferredNullClassesGuideNothing() throws {
        func refused(_ body: () throws -> Void) -> String {
            do {
                try body()
                return ""
            } catch { return "\(error)" }
        }
        let words = "null class was never trained"
        let x = try latents()
        let twice = try normalTensor([2, 4, 8, 8], seed: 1)
        var sizes = MaskedAutoencoder.Configuration()
        sizes.transformer = try transformer("SiT").configuration.transformer
        sizes.transformer.classToken = true
        let encoder = try MaskedAutoencoder(sizes, seed: 2)
        for family in ["SiT", "DiT"] {
            var wanted = TransferOptions()
            wanted.classes = 5
            let made = try TransferPlan(encoder.checkpoint(), to: family, wanted).apply()
            let model = try DiT.load(made)
            let guided = refused { _ = try model.denoiser.guided(Guidance(2)) }
            #expect(guided.contains(words) && guided.contains("transfer"), "\(guided)")
            #expect(refused { _ = try model.denoiser.guided(Guidance(1)) } == "")
            let pass = { (scale: Float) in
                refused {
                    _ = try model.forwardGuided(
                        twice, t: [1, 1], y: [1, 5], Guidance(scale))
                }
            }
            #expect(pass(2).contains(words) && pass(1) == "")
            // What was never trained stays so when it moves on.
            let again = try DiT.load(
                TransferPlan(made, to: family, TransferOptions()).apply())
            #expect(refused { _ = try again.denoiser.guided(Guidance(2)) }.contains(words))
            var options = LoadOptions()
            options.nullClass = true
            let told = try DiT.load(made, options)
            #expect(refused { _ = try told.denoiser.guided(Guidance(2)) } == "")
            // With dropped labels it is trained.
            var training = TrainerOptions()
            training.labelDropout = 0.1
            let trainer = try Trainer(model, training)
            try trainer.step(Batch(x, labels: labels))
            let trained = try #require(try trainer.model() as? DiT)
            #expect(refused { _ = try trained.denoiser.guided(Guidance(2)) } == "")
        }
        var wanted = TransferOptions()
        (wanted.classes, wanted.buffer) = (5, 2)
        let mar = try MAR.load(TransferPlan(encoder.checkpoint(), to: "MAR", wanted).apply())
        var sampling = MAR.SampleOptions()
        (sampling.iterations, sampling.respacing, sampling.scale) = (1, "2", 2)
        #expect(refused { _ = try mar.sample(labels: [1], sampling) }.contains(words))
        sampling.scale = 1
        #expect(refused { _ = try mar.sample(labels: [1], sampling) } == "")
    }

    @Test func badInputIsRefused() throws {
        let (model, x) = (try transformer("DiT"), try latents())
        func message(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        var process = Diffusion.Options()
        process.respacing = "4"
        let sampler = try Sampler(.diffusion(Diffusion(process)))
        for label in [-1, 6] {
            let text = message {
                _ = try sampler.run(model.denoiser, from: x, labels: [0, 1, label])
            }
            #expect(text.contains("labels") && text.contains("\(label)"), "\(text)")
        }
        #expect(
            message { _ = try sampler.run(model.denoiser, from: x, labels: [0, 1]) }
                .contains("labels: 2, expected 3"))
        #expect(
            message {
                _ = try model.denoiser.guided(Guidance(scales: [1, 2])).predict(
                    x, [1, 1, 1], labels)
            }.contains("2 scales for 3 samples"))
        #expect(
            message {
                _ = try Denoiser { x, _, _ throws(USPError) in x }.guided(Guidance(2))
            }.contains("null_class: the model has none"))
        var options = SampleOptions()
        options.steps = 5
        #expect(
            message { _ = try Sampler(sampler.process, options) }
                .contains("steps: 5, but the process has 4"))
        for respacing in ["0", "1001", "ddim999", "x"] {
            process.respacing = respacing
            #expect(message { _ = try Diffusion(process) }.contains("respacing"))
        }
    }

    /// The tape's derivative against differences of the network itself.
    @Test(arguments: ["SiT", "DiT"]) func derivativesOfModelsAreExact(_ family: String) throws {
        let (model, x) = (try transformer(family), try latents())
        let probe = try normalTensor(x.shape, seed: 5)
        let derivative = try #require(model.denoiser.derivative)
        let (output, product) = try derivative(x, [0.3, 0.3, 0.3], labels, probe)
        let count = x.count / 3
        let stride = output.count / 3
        let direction = try normalTensor(x.shape, seed: 6)
        let step: Float = 0.05
        func moved(_ distance: Float) throws -> [Float] {
            let place = zip(x.values, direction.values).map { $0 + distance * $1 }
            return try model.forward(
                Tensor(x.shape, place), t: [0.3, 0.3, 0.3], y: labels
            ).values
        }
        let (above, below) = (try moved(step), try moved(-step))
        for sample in 0..<3 {
            var (along, back) = (0.0, 0.0)
            for i in 0..<count {
                let slope = (above[sample * stride + i] - below[sample * stride + i]) / (2 * step)
                along += Double(probe.values[sample * count + i]) * Double(slope)
                let p = product.values[sample * count + i]
                back += Double(p) * Double(direction.values[sample * count + i])
            }
            #expect(abs(along - back) < 2e-3 * max(abs(along), 0.1))
        }
        #expect(output.values == (try model.forward(x, t: [0.3, 0.3, 0.3], y: labels)).values)
    }

    /// A training file of REPA is known by its projectors; its model's time goes the other way, also
    /// after saving, and its guidance moves all channels.
    @Test func modelsOfREPAKeepTheirDirection() throws {
        let model = try transformer("SiT")
        var arrays = try model.weights.names.map { (name) throws in
            (name: name, tensor: try model.weights[name])
        }
        for (layer, sides) in [(0, (8, 32)), (2, (8, 8)), (4, (6, 8))] {
            arrays.append(
                ("projectors.0.\(layer).weight", try Tensor.zeros([sides.0, sides.1])))
            arrays.append(("projectors.0.\(layer).bias", try Tensor.zeros([sides.0])))
        }
        var options = LoadOptions()
        (options.family, options.heads, options.encoderDepth) = ("SiT", 2, 1)
        let repa = try DiT.load(Checkpoint(arrays), options)
        let again = try DiT.load(repa.checkpoint(), options)
        let x = try latents()
        var run = SampleOptions()
        (run.method, run.steps) = ("heun", 5)
        let sampler = try Sampler(.flow(Transport()), run)
        let mirrored = Denoiser(nullClass: 5) { x, times, labels throws(USPError) in
            let v = try model.forward(x, t: times.map { 1 - $0 }, y: labels)
            return try Tensor(v.shape, v.values.map { -$0 })
        }
        var guidance = Guidance(3)
        let guided = try repa.denoiser.guided(guidance)
        guidance.channels = 4
        let expected = try sampler.run(mirrored.guided(guidance), from: x, labels: labels)
        for denoiser in [guided, try again.denoiser.guided(Guidance(3))] {
            let value = try sampler.run(denoiser, from: x, labels: labels)
            #expect(relativeError(value, expected.values) < 1e-5)
        }
        #expect(throws: USPError.self) {
            try Sampler(.diffusion(Diffusion())).run(repa.denoiser, from: x, labels: labels)
        }
    }
}
