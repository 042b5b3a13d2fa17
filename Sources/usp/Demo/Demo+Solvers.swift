// Stage 8: what each solver makes of the same noise at equal numbers of model evaluations.

import USPBase
import USPKit
import USPTensor

/// A solver in the numbers and on the page.
struct SolverName {
    let key: String
    let title: String
    /// What the sampler calls it.
    let method: String

    init(_ method: String, _ title: String, key: String? = nil) {
        (self.method, self.title, self.key) = (method, title, key ?? method)
    }

    static let flows = [
        SolverName("euler", "Euler"), SolverName("midpoint", "midpoint"),
        SolverName("heun", "Heun"), SolverName("rk4", "Runge-Kutta 4"),
        SolverName("adams-bashforth", "Adams-Bashforth 2", key: "adams_bashforth"),
    ]
    static let stochastic = SolverName("Euler", "SDE, Euler-Maruyama", key: "sde")
    static let adaptive = SolverName("dopri5", "dopri5")
    static let denoisers = [
        SolverName("ddpm", "ancestral (DDPM)"), SolverName("ddim", "DDIM"),
        SolverName("dpm++", "DPM-Solver++ 2M"), SolverName("dpm++sde", "DPM-Solver++ 2M, SDE"),
    ]

    /// Options of a run that evaluates a flow so often.
    func options(_ evaluations: Int) -> SampleOptions {
        var options = SampleOptions()
        options.method = method
        let steps =
            switch method {
            case "midpoint", "heun": evaluations / 2
            case "rk4": evaluations / 4
            // The first step evaluates twice.
            case "adams-bashforth": evaluations - 1
            default: evaluations
            }
        options.steps = key == "sde" ? steps : steps + 1
        return options
    }
}

extension Demo {
    /// Judges samples of the SiT that started from USP weights by every solver, those of DiT's
    /// process as well.
    func compareSolvers(_ judging: SampleJudging) throws(USPError) {
        guard !folder.isDone("solvers") else { return }
        try stage("solvers") { () throws(USPError) in
            let model = try DiT.load(folder.file("sit_usp.safetensors"), loading("SiT"))
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
        for name in SolverName.flows {
            for evaluations in plan.evaluations {
                let sampler = try Sampler(.flow(Transport()), name.options(evaluations))
                try row("flow.\(name.key).\(evaluations)", judging, &rows) {
                    (noise, labels, _) throws(USPError) in
                    try sampler.run(model.denoiser, from: noise, labels: labels, interruptible)
                }
            }
        }
    }

    private func compareStochastic(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        for evaluations in plan.evaluations {
            let name = SolverName.stochastic
            try row("flow.\(name.key).\(evaluations)", judging, &rows) {
                (noise, labels, first) throws(USPError) in
                let options = drawing(name.options(evaluations), first)
                return try Sampler(.stochastic(Transport()), options).run(
                    model.denoiser, from: noise, labels: labels, interruptible)
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
            var evaluations = 0
            let monitor = SamplingMonitor { (state) throws(USPError) in
                try Interrupt.check()
                evaluations = state.evaluations
            }
            let result = try Sampler(.flow(Transport())).run(
                model.denoiser, from: noise, labels: labels, monitor)
            calls += evaluations
            return result
        }
        folder.results[number: "\(prefix)\(calls / max(batches, 1))"] = value
        try folder.saveResults()
        rows.add("flow.dopri5", value)
    }

    private func compareDenoisers(
        _ model: DiT, _ judging: SampleJudging, _ rows: inout Rows
    ) throws(USPError) {
        for name in SolverName.denoisers {
            for evaluations in plan.evaluations {
                let process = try process(name, evaluations)
                var options = SampleOptions()
                options.method = name.method
                let predict = try noise(model, process)
                try row("diffusion.\(name.key).\(evaluations)", judging, &rows) {
                    (start, labels, first) throws(USPError) in
                    try Sampler(.diffusion(process), drawing(options, first)).run(
                        predict, from: start, labels: labels, interruptible)
                }
            }
        }
    }

    private func process(_ name: SolverName, _ evaluations: Int) throws(USPError) -> Diffusion {
        var options = Diffusion.Options()
        options.variance = .fixedSmall
        options.respacing = name.method == "ddim" ? "ddim\(evaluations)" : "\(evaluations)"
        return try Diffusion(options)
    }

    /// Throws if a solver cannot take as many evaluations as the plan says: before the work.
    func checkSolvers() throws(USPError) {
        for name in SolverName.denoisers {
            for evaluations in plan.evaluations { _ = try process(name, evaluations) }
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

    /// The same noise for every stochastic solver.
    private func drawing(_ options: SampleOptions, _ first: Int) -> SampleOptions {
        var options = options
        (options.seed, options.firstSample) = (seed("solver noise"), first)
        return options
    }

    /// The velocity network read as DiT's: what it says of noise at a step of the process.
    ///
    /// x_s = √ᾱ data + √(1 − ᾱ) noise is (√ᾱ + √(1 − ᾱ)) times the straight path's x_t with
    /// t = √ᾱ / (√ᾱ + √(1 − ᾱ)), where noise = x_t − t · velocity.
    private func noise(_ model: DiT, _ process: Diffusion) throws(USPError) -> Denoiser {
        let times = try process.table("timestep_map").map { Float($0) }
        let levels = Dictionary(
            uniqueKeysWithValues: zip(times, try process.table("alphas_cumprod")))
        let velocity = model.denoiser
        return Denoiser { (x, times, labels) throws(USPError) in
            guard let level = levels[times[0]] else {
                throw USPError(.internal, "no step of the process at time \(times[0])")
            }
            let (signal, spread) = (level.squareRoot(), (1 - level).squareRoot())
            let (scale, t) = (Float(1 / (signal + spread)), Float(signal / (signal + spread)))
            let point = try Tensor(x.shape, x.values.map { $0 * scale })
            let v = try velocity.predict(
                point, [Float](repeating: t, count: times.count), labels)
            for i in 0..<point.count { point.floats[i] -= t * v.floats[i] }
            return point
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
