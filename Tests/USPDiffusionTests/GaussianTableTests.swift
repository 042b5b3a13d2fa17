import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// A process by the options that the golden cases name.
func gaussian(
    respacing: String = "", schedule: String = "linear", steps: Int = 1000,
    prediction: String = "EPSILON", variance: String = "LEARNED_RANGE", loss: String = "MSE"
) throws -> Diffusion {
    var configuration = Diffusion.Options()
    configuration.schedule = try BetaSchedule.named(schedule)
    configuration.trainingSteps = steps
    configuration.respacing = respacing
    configuration.prediction = try GaussianPrediction.named(prediction)
    configuration.variance = try GaussianVariance.named(variance)
    configuration.loss = try GaussianLoss.named(loss)
    return try Diffusion(configuration)
}

private func table(_ name: String, _ process: Diffusion) -> [Double] {
    let bars = process.alphasCumulative
    return switch name {
    case "betas": process.betas
    case "alphas_cumprod": bars
    case "alphas_cumprod_prev": process.alphasCumulativePrevious
    case "alphas_cumprod_next": process.alphasCumulativeNext
    case "posterior_variance": process.posteriorVariance
    case "posterior_log_variance_clipped": process.posteriorLogVariance
    case "posterior_mean_coef1": process.meanFromStart
    case "posterior_mean_coef2": process.meanFromCurrent
    case "sqrt_recip_alphas_cumprod": bars.map { (1 / $0).squareRoot() }
    case "sqrt_recipm1_alphas_cumprod": bars.map { (1 / $0 - 1).squareRoot() }
    default: []
    }
}

@Suite struct GaussianTableTests {
    @Test(arguments: [
        ("schedule_linear", "", "linear", 1000),
        ("schedule_squaredcos_cap_v2", "", "squaredcos_cap_v2", 1000),
        ("schedule_linear_400", "", "linear", 400), ("respaced_250", "250", "linear", 1000),
        ("respaced_10_10_20", "10,10,20", "linear", 1000),
        ("respaced_ddim50", "ddim50", "linear", 1000), ("respaced_7", "7", "linear", 1000),
        ("respaced_1", "1", "linear", 1000),
    ])
    func tablesAreTheOriginals(
        _ name: String, _ respacing: String, _ schedule: String, _ steps: Int
    ) throws {
        let golden = try GoldenCase("diffusion/\(name)")
        let process = try gaussian(respacing: respacing, schedule: schedule, steps: steps)
        if let map = try? golden.indices("out.timestep_map") {
            #expect(process.modelTimes == map)
        }
        let indices = try golden.indices("in.indices")
        for array in golden.names("out.") {
            let values = table(array, process)
            guard !values.isEmpty else { continue }
            for (place, expected) in try golden.values("out.\(array)").enumerated() {
                let got = values[indices[place]]
                #expect(abs(got - Double(expected)) <= 1e-6 * max(abs(Double(expected)), 1e-6))
            }
        }
    }

    @Test func forwardProcess() throws {
        let golden = try GoldenCase("diffusion/forward")
        let process = try gaussian()
        let times = try golden.indices("in.t")
        let noised = try process.noised(
            golden.tensor("in.x"), steps: times, noise: golden.tensor("in.noise"))
        #expect(relativeError(noised, try golden.values("out.sample")) < 1e-6)
        #expect(try process.times(times) == times.map { Float($0) })
    }

    @Test func badStepsAreTold() throws {
        func message(_ respacing: String, steps: Int = 1000) -> String {
            do {
                _ = try gaussian(respacing: respacing, steps: steps)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(message("0").contains("counts above 0"))
        #expect(message("ten").contains("respacing \"ten\""))
        #expect(message("1001").contains("1001 steps asked of a section of 1000"))
        #expect(message("ddim999").contains("no integer stride"))
        #expect(message("", steps: 0).contains("of 1 to 1000000"))
        #expect(message("", steps: 5).contains("too few"))
        #expect(throws: USPError(.argument, "step 250: expected 0 to 249")) {
            try gaussian(respacing: "250").times([0, 250])
        }
        #expect(throws: USPError.self) { try BetaSchedule.named("lineal") }
    }
}
