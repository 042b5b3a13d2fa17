// Which option has a part in which solver, and what a transport's direction of time changes.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// A process that the solver is of.
private func process(of solver: Solver) throws -> Sampler.Process {
    if solver.isFlow { return .flow(try Transport()) }
    if solver.isStochastic { return .stochastic(try Transport()) }
    return .diffusion(try gaussian(respacing: "4"))
}

/// A value that is not the default, and that the field takes.
private func other(_ field: Field<SampleOptions>) -> FieldValue? {
    switch field.kind {
    case .flag: .flag(true)
    case .integer(let range): .integer(Int(min(range.upper, 2)))
    case .real: .real(0.5)
    case .choice(let names, _):
        names.first { $0 != field.get(SampleOptions())?.text }.map(FieldValue.text)
    default: nil
    }
}

@Suite struct OptionTests {
    /// For every solver and every option of the table, whatever is added to either.
    @Test(arguments: Solver.names()) func optionsHaveAPartOrAreRefused(_ name: String) throws {
        let solver = try Solver.named(name, of: Solver.all)
        var (taken, refused) = (0, 0)
        for field in SampleOptions.fields where !field.parts.isEmpty {
            var options = SampleOptions()
            options.method = solver.method
            let value: FieldValue = try #require(other(field))
            try options.set(field, value)
            if field.parts.contains(name) {
                _ = try Sampler(process(of: solver), options)
                taken += 1
            } else {
                let words =
                    "\(field.name): has no part in the solver \(name), only in "
                    + field.parts.joined(separator: ", ")
                #expect(throws: USPError(.argument, words)) {
                    try Sampler(process(of: solver), options)
                }
                refused += 1
            }
        }
        #expect(taken > 0 && refused > 0)
    }

    @Test func whatIsNotInTheTableHasItsPartToo() throws {
        let x = try Tensor.zeros([1, 1, 1, 1])
        let noise = try Tensor.zeros([4, 1, 1, 1, 1])
        var monitor = SamplingMonitor()
        monitor.adjustStart = { _ throws(USPError) in }
        for solver in Solver.all {
            var options = SampleOptions()
            (options.method, options.steps) = (solver.method, 4)
            let sampler = try Sampler(process(of: solver), options)
            let zero = Denoiser { x, _, _ throws(USPError) in
                try Tensor.zeros([1, solver.isDiffusion ? 2 : 1, 1, 1])
            }
            func isRefused(_ name: String, _ body: () throws -> Void) throws -> Bool {
                do { try body() } catch let error as USPError {
                    let words = "\(name): has no part in the solver \(solver.name), only in "
                    #expect(error.message.hasPrefix(words))
                    return true
                }
                return false
            }
            #expect(
                try isRefused("noise") { _ = try sampler.run(zero, from: x, noise: noise) }
                    == !solver.drawsNoise)
            #expect(
                try isRefused("adjust_start") {
                    _ = try sampler.run(zero, from: x, noise: nil, monitor)
                } == !solver.isDiffusion)
        }
    }

    @Test func tasksLeaveOut() throws {
        let transport = try Transport()
        var options = SampleOptions()
        (options.method, options.timestepShift) = ("euler", 0.5)
        _ = try Sampler(.flow(transport), options, for: .invert)
        #expect(
            throws: USPError(
                .argument, "timestep_shift: has no part in the likelihood, only in sampling")
        ) { try Sampler(.flow(transport), options, for: .likelihood) }
        options = SampleOptions()
        (options.method, options.eta) = ("ddim", 0.5)
        let diffusion = Sampler.Process.diffusion(try gaussian(respacing: "4"))
        #expect(
            throws: USPError(.argument, "eta: has no part in the inversion, only in sampling")
        ) { try Sampler(diffusion, options, for: .invert) }
        options.method = "ddpm"
        let told = #expect(throws: USPError.self) {
            try Sampler(diffusion, options, for: .invert)
        }
        #expect(told?.message.contains("known are ddim") == true)
        #expect(throws: USPError.self) { try Sampler(diffusion, for: .likelihood) }
        #expect(throws: USPError.self) { try Sampler(.stochastic(transport), for: .invert) }
        var bound = SampleOptions()
        bound.eta = 1
        let process = try gaussian(respacing: "4")
        #expect(
            throws: USPError(
                .argument, "eta: has no part in bits per dimension, only in ddim")
        ) { try process.bitsPerDimension(echo, of: Tensor.zeros([1, 1, 1, 1]), bound) }
    }
}

/// A model whose time goes from data to noise, as REPA's, is the same model backwards: its times
/// are 1 − t, its velocities −v.
@Suite struct DirectionTests {
    private func forward(_ prediction: TransportPrediction) -> Denoiser {
        Denoiser { x, times, _ throws(USPError) in
            let t = times[0]
            return try Tensor(x.shape, x.values.map { (0.3 + t) * $0 - 0.2 * t * t })
        }
    }

    private func backward(_ prediction: TransportPrediction, noiseAt: Int = 0) -> Denoiser {
        let forward = forward(prediction)
        return Denoiser(nullClass: nil, repeatsLatents: false, noiseAt: noiseAt) {
            x, times, labels throws(USPError) in
            let value = try forward.predict(x, times.map { 1 - $0 }, labels)
            return prediction == .velocity
                ? try Tensor(x.shape, value.values.map { -$0 }) : value
        }
    }

    @Test(arguments: TransportPath.allCases, TransportPrediction.allCases)
    func bothDirectionsGiveTheSame(
        _ path: TransportPath, _ prediction: TransportPrediction
    ) throws {
        var options = Transport.Options()
        (options.path, options.prediction) = (path, prediction)
        let plain = try Transport(options)
        options.noiseAt = 1
        let reversed = try Transport(options)
        let x = try normalTensor([2, 2, 3, 3], seed: 1)
        let pairs = [
            (plain, backward(prediction, noiseAt: 1)), (reversed, backward(prediction)),
        ]
        for (transport, denoiser) in pairs {
            // dopri5's steps go by rounding where a prediction is divided by next to nothing.
            for solver in prediction == .velocity ? ["heun", "dopri5"] : ["heun", "rk4"] {
                for task in [Sampler.Task.sample, .invert] {
                    func run(_ transport: Transport, _ denoiser: Denoiser) throws -> Tensor {
                        try draw(.flow(transport), solver, denoiser, x, for: task) { $0.steps = 6 }
                    }
                    let expected = try run(plain, forward(prediction)).values
                    #expect(relativeError(try run(transport, denoiser), expected) < 1e-4)
                }
            }
            func stochastic(_ transport: Transport, _ denoiser: Denoiser) throws -> Tensor {
                try draw(.stochastic(transport), "Heun", denoiser, x) { $0.steps = 6 }
            }
            let expected = try stochastic(plain, forward(prediction)).values
            #expect(relativeError(try stochastic(transport, denoiser), expected) < 1e-4)
            let times: [Float] = [0.25, 0.75]
            let losses = try transport.losses(
                of: denoiser, data: x, times: times.map { 1 - $0 }, seed: 2)
            let same = try plain.losses(of: forward(prediction), data: x, times: times, seed: 2)
            #expect(relativeError(losses.losses, same.losses) < 1e-4)
        }
        let key = RandomKey(seed: 1)
        let drawn = zip(reversed.drawTimes(key, count: 9), plain.drawTimes(key, count: 9))
        #expect(drawn.allSatisfy { abs($0 + $1 - 1) < 1e-6 })
    }

    @Test func intervalsAreOfTheModelsTime() throws {
        var options = Transport.Options()
        options.noiseAt = 1
        let interval = try #require(try Sampler(.flow(Transport(options))).interval)
        #expect(interval.start == 1 && interval.end == 0)
        var run = SampleOptions()
        run.form = .sbdm
        let moved = try #require(try Sampler(.stochastic(Transport(options)), run).interval)
        #expect(moved.start == 0.999)
        #expect(moved.notes == ["starts at t = 0.999: the field is infinite at t = 1"])
    }

    @Test func diffusionsRefuseTransportsModels() throws {
        let told = #expect(throws: USPError.self) {
            try draw(
                gaussian(respacing: "4"), "ddpm", backward(.velocity, noiseAt: 1),
                Tensor.zeros([1, 1, 1, 1]))
        }
        #expect(told?.message.contains("noise at time 1, as REPA's") == true)
    }
}
