// What samplers refuse, and how they say it.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// Gives NaN at its third call.
private func broken() -> Denoiser {
    var calls = 0
    return Denoiser { x, _, _ throws(USPError) in
        calls += 1
        let result = try x.copied()
        if calls == 3 { result.floats[x.count - 1] = .nan }
        return result
    }
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Suite struct SamplerErrorTests {
    private func start() throws -> Tensor { try normalTensor([2, 2, 3, 3], seed: 1) }

    @Test func valuesThatAreNotFiniteStopTheRunAndNameTheStep() throws {
        let process = try gaussian(respacing: "5", variance: "FIXED_LARGE")
        let start = try start()
        let transport = try Transport()
        let runs: [() throws -> Void] = [
            { _ = try draw(process, "ddpm", broken(), start) },
            { _ = try draw(process, "ddim", broken(), start) },
            { _ = try draw(process, "dpm++", broken(), start) },
            { _ = try draw(process, "ddim", broken(), start, for: .invert) },
            { _ = try process.bitsPerDimension(broken(), of: start) },
            { _ = try draw(.flow(transport), "euler", broken(), start) { $0.steps = 6 } },
            { _ = try draw(.stochastic(transport), "Euler", broken(), start) { $0.steps = 6 } },
        ]
        for run in runs {
            let error = #expect(throws: USPError.self) { try run() }
            #expect(error?.kind == .notFinite && error?.message.contains("step 3 of ") == true)
        }
    }

    @Test func shapesAndCountsAreChecked() throws {
        let process = try gaussian(respacing: "5")
        let start = try start()
        #expect(
            message { _ = try draw(process, "ddim", echo, start) }.contains(
                "step 1 of 5: model output: expected [2, 4, 3, 3] (prediction and variance)"))
        #expect(
            message {
                _ = try draw(process, "ddim", echo, Tensor.zeros([2, 3]))
            }
            .contains("latents: expected a non-empty batch [B, C, H, W]"))
        let flow = Sampler.Process.flow(try Transport())
        #expect(
            message { _ = try draw(process, "ddim", echo, start) { $0.eta = 2 } }
                == "eta: 2, expected a number of 0 to 1")
        for points in [0, 1, -1] {
            #expect(
                message { _ = try draw(flow, "euler", echo, start) { $0.steps = points } }
                    .contains("steps: "))
        }
        #expect(
            message { _ = try draw(flow, "euler", echo, start) { $0.timestepShift = -1 } }
                == "timestep_shift: -1, expected a number of 0 or more")
        #expect(
            message {
                _ = try draw(.stochastic(Transport()), "Euler", echo, start) {
                    $0.lastStepSize = 1
                }
            } == "last_step_size: 1, expected a number of 0 to below 1")
    }

    @Test func unknownNamesAreToldWithTheNearest() {
        func expect<Choice: NamedChoice>(_ type: Choice.Type, _ name: String, _ nearest: String) {
            let text = message { _ = try type.named(name) }
            #expect(text.contains("did you mean \"\(nearest)\"?"), "\(text)")
            for choice in type.allCases { #expect(text.contains(choice.rawValue)) }
        }
        expect(BetaSchedule.self, "lineal", "linear")
        expect(GaussianPrediction.self, "epsilom", "epsilon")
        expect(GaussianVariance.self, "fixed-smal", "fixed-small")
        expect(GaussianLoss.self, "rescaled-ml", "rescaled-kl")
        expect(TransportPath.self, "lineer", "Linear")
        expect(TransportPrediction.self, "velocitty", "velocity")
        expect(TransportWeight.self, "likelihod", "likelihood")
        expect(DiffusionForm.self, "sigmma", "sigma")
        expect(LastStep.self, "meen", "Mean")
    }

    @Test func movedEndsAreSaid() throws {
        let transport = try Transport()
        func interval(
            _ form: DiffusionForm, _ method: String, _ last: LastStep
        ) throws -> TransportInterval {
            var options = SampleOptions()
            (options.form, options.method, options.lastStep) = (form, method, last)
            return try #require(try Sampler(.stochastic(transport), options).interval)
        }
        #expect(try interval(.sigma, "Euler", .mean).notes.isEmpty)
        #expect(try interval(.constant, "Euler", .mean).notes.isEmpty)
        #expect(try interval(.sbdm, "Euler", .mean).start == 0.001)
        #expect(try interval(.sbdm, "Euler", .mean).notes[0].contains("infinite at t = 0"))
        #expect(try interval(.sigma, "Heun", .none).end == 0.999)
        #expect(try interval(.sigma, "Heun", .none).notes[0].contains("infinite at t = 1"))
        #expect(try interval(.sbdm, "Heun", .none).notes.count == 2)
    }

    @Test(arguments: DiffusionForm.allCases, LastStep.allCases)
    func everyFormAndLastStepIsFinite(_ form: DiffusionForm, _ last: LastStep) throws {
        for path in TransportPath.allCases {
            var configuration = Transport.Options()
            configuration.path = path
            for method in Solver.names(where: \.isStochastic) {
                let process = Sampler.Process.stochastic(try Transport(configuration))
                let slope = Denoiser { x, _, _ throws(USPError) in
                    let result = try x.copied()
                    for i in 0..<x.count { result.floats[i] *= -0.5 }
                    return result
                }
                let value = try draw(process, method, slope, start()) {
                    ($0.form, $0.lastStep) = (form, last)
                }
                #expect(value.values.allSatisfy { $0.isFinite && abs($0) < 100 })
            }
        }
    }
}
