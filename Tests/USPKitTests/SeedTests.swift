// A seed gives the latents of the original scripts, in batches of any size; pixels are theirs.

import Testing
import TestSupport
import USPBase
import USPKit
import USPTensor

/// The golden network with the last layer's weights of the golden runs.
private func network(_ golden: GoldenCase, _ family: String) throws -> DiT {
    let scale = Float(golden.config["final_linear_weight_times"] as? Double ?? 1)
    var parameters: [(name: String, tensor: Tensor)] = []
    for name in golden.names("param.") {
        let tensor = try golden.tensor("param.\(name)")
        let isLast = name == "final_layer.linear.weight"
        let values = isLast ? tensor.values.map { $0 * scale } : tensor.values
        parameters.append((name, try Tensor(tensor.shape, values)))
    }
    var options = LoadOptions()
    options.family = family
    options.heads = golden.config["heads"] as? Int
    return try DiT.load(Checkpoint(parameters), options)
}

private func options(_ golden: GoldenCase, _ method: String, steps: Int) -> SampleOptions {
    var options = SampleOptions()
    options.method = method
    if method == "Euler" { options.steps = steps }
    options.seed = UInt64(golden.config["seed"] as? Int ?? 0)
    options.generator = "torch"
    if method == "ddim" { options.eta = 0.5 }
    return options
}

/// Samples the golden labels in batches of this size.
private func draw(
    _ golden: GoldenCase, _ method: String, batch: Int
) throws -> [Float] {
    let isFlow = method == "Euler"
    let model = try network(golden, isFlow ? "SiT" : "DiT")
    let denoiser = try model.denoiser.guided(Guidance(1.5))
    var options = options(golden, method, steps: isFlow ? 5 : 4)
    options.totalSamples = 2
    let labels = try Array(golden.indices("in.labels").prefix(2))
    let z = try Tensor.torchNormal(model.inputShape(batch: 2), seed: options.seed)
    var process = Diffusion.Options()
    process.respacing = "4"
    var values: [Float] = []
    for first in stride(from: 0, to: 2, by: batch) {
        options.firstSample = first
        let rows = first..<first + batch
        let part = try z.detachedRows(rows).copied()
        let kind =
            isFlow
            ? Sampler.Process.stochastic(try Transport()) : .diffusion(try Diffusion(process))
        values += try Sampler(kind, options)
            .run(denoiser, from: part, labels: Array(labels[rows])).values
    }
    return values
}

@Test(arguments: ["ddpm", "ddim", "Euler"])
func seedsMeanWhatTheyMeanToTheScripts(method: String) throws {
    let golden = try GoldenCase("seeds/runs")
    let expected = try golden.values("out.\(method == "Euler" ? "sde" : method)")
    let whole = try draw(golden, method, batch: 2)
    #expect(relativeError(whole, expected) < 1e-4)
    #expect(try draw(golden, method, batch: 1) == whole)
}

@Test func pixelsAreTheScripts() throws {
    let golden = try GoldenCase("seeds/pixels")
    let pixels = try golden.tensor("in.images").pixels()
    #expect(try pixels.map(Int.init) == golden.indices("out.pixels"))
}

@Test func pixelsThatAreNoNumbersAreRefused() throws {
    let image = try Tensor([1, 1, 1, 2], [0, .nan])
    #expect(throws: USPError.self) { try image.pixels() }
}
