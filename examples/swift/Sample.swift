// Sample latents from a diffusion transformer, and from a function of one's own.

import USPKit

func sample() throws(USPError) {
    var sizes = DiT.Configuration()
    sizes.grid = Grid(4, 4)
    sizes.width = 32
    sizes.depth = 2
    sizes.heads = 2
    sizes.classes = 10
    let model = try DiT(sizes, seed: 1)  // or DiT.load("DiT-XL-2-256x256.pt")

    var process = Diffusion.Options()
    process.respacing = "10"
    let z = try Tensor.normal([2, 4, 8, 8], seed: 7)

    var run = SampleOptions()
    run.seed = 7
    let sampler = try Sampler(.diffusion(Diffusion(process)), run)
    let monitor = SamplingMonitor { progress throws(USPError) in
        print("\(progress.stage) \(progress.step)/\(progress.steps)")
    }
    let guided = try model.denoiser.guided(Guidance(4))
    let latents = try sampler.run(guided, from: z, labels: [3, 7], noise: nil, monitor)
    print("the first latent is \(latents.values[0])")

    // Any function may be sampled: noise and variance from latents, times and labels.
    let function = Denoiser { x, _, _ throws(USPError) in
        try Tensor([x.shape[0], 8, 8, 8], [Float](repeating: 0, count: 2 * x.shape.count))
    }
    print("of a function: \(try sampler.run(function, from: z).values[0])")
}
