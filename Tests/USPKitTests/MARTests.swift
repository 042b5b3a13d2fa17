// Masked autoregressive generation against PyTorch: the loss and all gradients, the head, samples.

import TestSupport
import Testing
import USPBase
import USPKit
import USPModels
import USPTensor

/// The case's model from its file, which does not tell heads of such widths.
private func model(_ golden: GoldenCase, _ compute: DType = .float32) throws -> MAR {
    var options = LoadOptions()
    options.heads = golden.config["heads"] as? Int
    options.decoderHeads = golden.config["decoder_heads"] as? Int
    options.compute = compute
    let file = try #require(golden.line["params"] as? String)
    let found = try MAR.load(goldenFolder.appending(path: file).path, options)
    guard let patch = golden.config["patch"] as? Int, patch > 1 else { return found }
    // Nor does it tell patches from channels.
    var sizes = found.configuration
    (sizes.patch, sizes.channels) = (patch, sizes.channels / (patch * patch))
    return try MAR(sizes, found.weights, found.arithmetic)
}

private func options(_ golden: GoldenCase) throws -> MAR.Options {
    var options = MAR.Options()
    (options.mask, options.noise) = (try golden.tensor("in.mask"), try golden.tensor("in.noise"))
    let shape = try #require(options.noise?.shape)
    options.times = try Tensor(
        [shape[0], shape[1], #require(options.mask?.shape[1])],
        golden.indices("in.t").map { Float($0) })
    return options
}

@Suite struct MARTests {
    static let cases = ["mar", "mar_hidden", "mar_one", "mar_patch2"]

    @Test(arguments: cases) func lossAndGradientsArePyTorchs(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let model = try model(golden)
        let (latents, labels) = (
            try golden.tensor("in.latents"), try golden.indices("in.labels")
        )
        let options = try options(golden)
        let output = try model.forward(latents, labels: labels, options)
        #expect(relativeError([output.loss], try golden.values("out.loss")) < 1e-5)
        #expect(try golden.error(output.tokenLoss.values, "token_loss") < 1e-5)
        #expect(output.mask.values == (try golden.values("in.mask")))
        let z = try model.condition(
            latents, labels: labels, mask: try golden.tensor("in.mask"))
        #expect(try golden.error(z.values, "z") < 1e-5)
        let result = try model.gradients(latents, labels: labels, options)
        #expect(relativeError([result.loss], try golden.values("out.loss")) < 1e-5)
        let names = result.gradients.table.entries.map(\.name)
        #expect(Set(names) == Set(model.weights.names))
        let scale = golden.floats.filter { $0.key.hasPrefix("grad.") }
            .flatMap(\.value.values).reduce(0) { max($0, abs($1)) }
        for name in names {
            let gradient = try result.gradients.tensor(name).values
            guard let (some, expected) = golden.kept(gradient, "grad", name) else {
                Issue.record("no golden gradient of \(name)")
                continue
            }
            // The key's bias has none in exact arithmetic, nor what sees no token.
            let floor = expected.allSatisfy { abs($0) < 1e-4 * scale } ? [scale] : []
            #expect(relativeError(some + floor, expected + floor) < 1e-4, "\(name)")
        }
    }

    @Test(arguments: cases) func bfloat16IsNear(_ name: String) throws {
        let golden = try GoldenCase("models/\(name)")
        let model = try model(golden, .bfloat16)
        let output = try model.forward(
            golden.tensor("in.latents"), labels: golden.indices("in.labels"), options(golden))
        #expect(try golden.error(output.tokenLoss.values, "token_loss") < 3e-2)
        #expect(relativeError([output.loss], try golden.values("out.loss")) < 3e-2)
    }

    @Test func theHeadIsPyTorchs() throws {
        let golden = try GoldenCase("models/mar_head")
        let model = try model(golden)
        let t = try golden.indices("in.t").map { Float($0) }
        let (x, condition) = (try golden.tensor("in.x"), try golden.tensor("in.condition"))
        let y = try model.denoise(x, t: t, condition: condition)
        #expect(try golden.error(y.values, "y") < 1e-5)
        let guided = try model.denoiseGuided(x, t: t, condition: condition, scale: 2.5)
        #expect(try golden.error(guided.values, "guided") < 1e-5)
    }

    static let runs = ["plain", "one", "each", "linear", "constant", "cool"]

    private func sampling(_ golden: GoldenCase, _ run: String) throws -> MAR.SampleOptions {
        var options = MAR.SampleOptions()
        options.orders = try golden.indices("in.orders")
        options.respacing = "4,3,1,1"
        options.iterations = ["one": 1, "each": 16, "constant": 5][run] ?? 4
        if !["plain", "one", "each", "torch"].contains(run) { options.scale = 2.5 }
        if run == "constant" { options.schedule = .constant }
        if run == "cool" { options.temperature = 0.7 }
        return options
    }

    @Test(arguments: runs) func samplesArePyTorchs(_ run: String) throws {
        let golden = try GoldenCase("models/mar_sample")
        var options = try sampling(golden, run)
        (options.start, options.noise) = (try golden.tensor("in.z"), try golden.tensor("in.noise"))
        let found = try model(golden).sample(labels: golden.indices("in.labels"), options)
        #expect(try golden.error(found.values, run) < 1e-4)
    }

    @Test(arguments: ["torch", "torch_guided"]) func torchSeedsAreTheOriginals(
        _ run: String
    ) throws {
        let golden = try GoldenCase("models/mar_sample")
        var options = try sampling(golden, run)
        (options.generator, options.seed) = ("torch", 7)
        let (model, labels) = (try model(golden), try golden.indices("in.labels"))
        let whole = try model.sample(labels: labels, options)
        #expect(try golden.error(whole.values, run) < 1e-4)
        // The second and third sample alone.
        (options.firstSample, options.totalSamples) = (1, 3)
        options.orders = options.orders.map { Array($0.dropFirst(16)) }
        let part = try model.sample(labels: Array(labels.dropFirst()), options)
        #expect(relativeError(part, Array(whole.values.dropFirst(64))) < 1e-6)
    }

    @Test func aSampleDoesNotDependOnItsBatch() throws {
        let golden = try GoldenCase("models/mar_sample")
        let model = try model(golden)
        var options = try sampling(golden, "linear")
        (options.orders, options.seed) = (nil, 5)
        let whole = try model.sample(labels: [1, 2, 3, 4], options)
        options.firstSample = 2
        let part = try model.sample(labels: [3, 4], options)
        #expect(relativeError(part, Array(whole.values.dropFirst(128))) < 1e-5)
        options.lastSteps = 3
        #expect(
            message { _ = try model.sample(labels: [3, 4], options) }.contains("last_steps: 3"))
        options.respacing = "9"
        let annealed = try model.sample(labels: [3, 4], options)
        options.lastSteps = 9
        let same = try model.sample(labels: [3, 4], options)
        options.lastSteps = nil
        #expect(same.values == (try model.sample(labels: [3, 4], options)).values)
        #expect(annealed.isFinite && annealed.values != same.values)
    }

    @Test func drawsDoNotDependOnTheBatch() throws {
        let golden = try GoldenCase("models/mar")
        let model = try model(golden)
        var options = MAR.Options()
        (options.copies, options.seed) = (2, 3)
        let latents = try randomTensor([3, 4, 4, 4], "latents")
        let three = try model.forward(latents, labels: [0, 1, 5], options)
        let two = try model.forward(latents.detachedRows(0..<2), labels: [0, 1], options)
        #expect(two.mask.values == Array(three.mask.values.prefix(32)))
        for copy in 0..<2 {
            let (a, b) = (three.tokenLoss.values, two.tokenLoss.values)
            #expect(
                relativeError(
                    Array(b[copy * 32..<copy * 32 + 32]), Array(a[copy * 48..<copy * 48 + 32]))
                    < 1e-5)
        }
        options.maskRatio = 0.4
        let hidden = try model.forward(latents, options).mask.values.reduce(0, +)
        #expect(hidden == 3 * 7)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing was refused"
        } catch let error as USPError { return error.message } catch { return "\(error)" }
    }

    @Test func whatCannotBeIsRefused() throws {
        let golden = try GoldenCase("models/mar")
        let model = try model(golden)
        let latents = try golden.tensor("in.latents")
        func masked(_ change: (Tensor) -> Void) throws -> String {
            var options = try options(golden)
            let mask = try golden.tensor("in.mask")
            change(mask)
            options.mask = mask
            return message { _ = try model.forward(latents, options) }
        }
        #expect(
            try masked { $0.floats[0] = 1 - $0.floats[0] }.contains("equally many in every row"))
        #expect(try masked { $0.fillWithZeros() }.contains("nothing is hidden"))
        #expect(try masked { $0.floats[3] = 0.5 }.contains("mask: 0.5 of sample 0, token 3"))
        let label = message { _ = try model.forward(latents, labels: [0, 6]) }
        #expect(label.contains("labels: 6 of sample 1, expected 0 to 4, or 5 for none"))
        var steps = try options(golden)
        steps.times = try Tensor.filled([3, 2, 16], 1000)
        #expect(
            message { _ = try model.forward(latents, steps) }
                == "times: 1000.0, expected whole steps 0 to 999")
        var run = MAR.SampleOptions()
        run.iterations = 17
        #expect(
            message { _ = try model.sample(labels: [1], run) }
                == "iterations: 17, expected 1 to 16, the tokens")
        (run.iterations, run.orders) = (4, Array(0..<15) + [3])
        #expect(message { _ = try model.sample(labels: [1], run) }.contains("3 is in it twice"))
        run.orders = Array(1...16)
        #expect(message { _ = try model.sample(labels: [1], run) }.contains("16 is outside"))
    }
}
