// Stage 8: what each solver makes of the same noise at equal numbers of model evaluations.

import USPBase
import USPDiffusion
import USPEvaluation
import USPModels
import USPTensor
import USPTraining

/// A solver's name in the numbers and on the page.
struct SolverName {
    let key: String
    let title: String

    static let flows: [(name: SolverName, method: ODEMethod)] = [
        (SolverName(key: "euler", title: "Euler"), .euler),
        (SolverName(key: "midpoint", title: "midpoint"), .midpoint),
        (SolverName(key: "heun", title: "Heun"), .heun),
        (SolverName(key: "rk4", title: "Runge-Kutta 4"), .rk4),
        (SolverName(key: "adams_bashforth", title: "Adams-Bashforth 2"), .adamsBashforth2),
    ]
    static let stochastic = SolverName(key: "sde", title: "SDE, Euler-Maruyama")
    static let adaptive = SolverName(key: "dopri5", title: "dopri5")
    static let denoisers: [(name: SolverName, solver: GaussianSolver)] = [
        (SolverName(key: "ddpm", title: "ancestral (DDPM)"), .ancestral),
        (SolverName(key: "ddim", title: "DDIM"), .implicit),
        (SolverName(key: "dpm++", title: "DPM-Solver++ 2M"), .multistep(noisy: false)),
        (SolverName(key: "dpm++sde", title: "DPM-Solver++ 2M, SDE"), .multistep(noisy: true)),
    ]
}

/// The samplers of the Gaussian process.
enum GaussianSolver {
    case ancestral
    case implicit
    case multistep(noisy: Bool)
}

extension Demo {
    /// Judges samples of the SiT that started from USP weights by every solver, those of DiT's
    /// process as well.
    func compareSolvers(_ judging: SampleJudging) throws(USPError) {
        guard !folder.isDone("solvers") else { return }
        try stage("solvers") { () throws(USPError) in
            let model = try DiT(transformerSizes, Parameters(DiT.specs(transformerSizes)))
            try folder.load("sit_usp.safetensors", into: model.parameters)
            var rows = Rows(total: rowCount)
            try compareFlows(model, judging, &rows)
            try compareAdaptive(model, judging, &rows)
            try compareStochastic(model, judging, &rows)
            try compareDenoisers(model, judging, &rows)
        }
        try folder.finish("solvers")
    }

    private var rowCount: Int {
        let solvers = SolverName.flows.count + 1 + SolverName.denoisers.count
        return solvers * plan.evaluations.count + 1
    }

    private func compareFlows(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        for (name, method) in SolverName.flows {
            for evaluations in plan.evaluations {
                var options = FlowOptions()
                options.method = method
                options.points = method.steps(evaluations) + 1
                try row("flow.\(name.key).\(evaluations)", judging, &rows) {
                    (noise, labels, _) throws(USPError) in
                    try Transport().sampleFlow(velocity(model, labels), latents: noise, options)
                }
            }
        }
    }

    private func compareStochastic(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        for evaluations in plan.evaluations {
            var options = StochasticOptions()
            options.steps = evaluations
            try row("flow.\(SolverName.stochastic.key).\(evaluations)", judging, &rows) {
                (noise, labels, first) throws(USPError) in
                try Transport().sampleStochastic(
                    velocity(model, labels), latents: noise, noise: solverNoise(first), options)
            }
        }
    }

    /// dopri5 at its usual tolerances, which chooses how often it evaluates.
    private func compareAdaptive(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        let prefix = "solvers.flow.\(SolverName.adaptive.key)."
        let isDone = folder.results.numbers.contains { $0.name.hasPrefix(prefix) }
        guard !isDone else { return rows.skip() }
        var (calls, batches) = (0, 0)
        let value = try distance(judging, samples: plan.solverSamples) {
            (noise, labels, _) throws(USPError) in
            batches += 1
            let predict = velocity(model, labels)
            return try Transport().sampleFlow(
                { (x, times) throws(USPError) in
                    calls += 1
                    return try predict(x, times)
                }, latents: noise)
        }
        folder.results[number: "\(prefix)\(calls / max(batches, 1))"] = value
        try folder.saveResults()
        rows.add("flow.dopri5", value)
    }

    private func compareDenoisers(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        for (name, solver) in SolverName.denoisers {
            for evaluations in plan.evaluations {
                let process = try process(solver, evaluations)
                let predict = noise(model, process)
                try row("diffusion.\(name.key).\(evaluations)", judging, &rows) {
                    (start, labels, first) throws(USPError) in
                    let (denoiser, fresh) = (predict(labels), solverNoise(first))
                    return switch solver {
                    case .ancestral:
                        try process.sampleAncestral(denoiser, latents: start, noise: fresh)
                    case .implicit: try process.sampleDDIM(denoiser, latents: start)
                    case .multistep(let noisy):
                        try process.sampleMultistep(
                            denoiser, latents: start, noise: noisy ? fresh : nil)
                    }
                }
            }
        }
    }

    private func process(
        _ solver: GaussianSolver, _ evaluations: Int
    ) throws(USPError) -> GaussianDiffusion {
        var configuration = GaussianDiffusion.Configuration()
        configuration.variance = .fixedSmall
        configuration.respacing = "\(evaluations)"
        if case .implicit = solver { configuration.respacing = "ddim\(evaluations)" }
        return try GaussianDiffusion(configuration)
    }

    /// Throws if a solver cannot take as many evaluations as the plan says: before the work.
    func checkSolvers() throws(USPError) {
        for (_, solver) in SolverName.denoisers {
            for evaluations in plan.evaluations { _ = try process(solver, evaluations) }
        }
    }

    /// One number of the table, unless an earlier run has it.
    private func row(
        _ name: String, _ judging: SampleJudging, _ rows: inout Rows,
        _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) {
        let number = "solvers.\(name)"
        guard folder.results[number: number] == nil else { return rows.skip() }
        let value = try distance(judging, samples: plan.solverSamples, draw)
        folder.results[number: number] = value
        try folder.saveResults()
        rows.add(name, value)
    }

    /// The same for every stochastic solver.
    private func solverNoise(_ first: Int) -> NoiseSource {
        .streams(key("solver noise"), firstSample: first)
    }

    private func velocity(_ model: DiT, _ labels: [Int]) -> Denoiser {
        let context = Context(compute: plan.compute)
        return { (x, times) throws(USPError) in
            try Interrupt.check()
            return try model.forward(x, t: times, y: labels, in: context)
        }
    }

    /// The velocity network read as DiT's: what it says of noise at a step of the process.
    ///
    /// x_s = √ᾱ data + √(1 − ᾱ) noise is (√ᾱ + √(1 − ᾱ)) times the straight path's x_t with
    /// t = √ᾱ / (√ᾱ + √(1 − ᾱ)), where noise = x_t − t · velocity.
    private func noise(_ model: DiT, _ process: GaussianDiffusion) -> ([Int]) -> Denoiser {
        let times = process.modelTimes.map { Float($0) }
        let levels = Dictionary(uniqueKeysWithValues: zip(times, process.alphasCumulative))
        return { labels in
            let velocity = velocity(model, labels)
            return { (x, times) throws(USPError) in
                guard let level = levels[times[0]] else {
                    throw USPError(.internal, "no step of the process at time \(times[0])")
                }
                let (signal, spread) = (level.squareRoot(), (1 - level).squareRoot())
                let (scale, t) = (Float(1 / (signal + spread)), Float(signal / (signal + spread)))
                let point = try Tensor(x.shape, x.values.map { $0 * scale })
                let v = try velocity(point, [Float](repeating: t, count: times.count))
                for i in 0..<point.count { point.floats[i] -= t * v.floats[i] }
                return point
            }
        }
    }
}

extension ODEMethod {
    /// Steps that take so many evaluations.
    fileprivate func steps(_ evaluations: Int) -> Int {
        switch self {
        case .midpoint, .heun: evaluations / 2
        case .rk4: evaluations / 4
        // The first step evaluates twice.
        case .adamsBashforth2: evaluations - 1
        default: evaluations
        }
    }
}

/// Rows of the table that are done.
private struct Rows {
    private var progress: Progress
    private var done = 0

    init(total: Int) { progress = Progress("8/8 solvers", total: total, unit: "settings") }

    mutating func skip() { done += 1 }

    mutating func add(_ name: String, _ value: Double) {
        done += 1
        progress.update(done, "\(name) \(decimal(value, 2))")
    }
}
