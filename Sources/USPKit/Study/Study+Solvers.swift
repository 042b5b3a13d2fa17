// What each solver makes of the same noise at equal numbers of model evaluations.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// A solver in the numbers and on the page.
struct SolverName {
    let key: String
    let title: String
    /// What the sampler calls it.
    let method: String
    var reuse = Reuse()

    init(_ method: String, _ title: String, key: String? = nil) {
        (self.method, self.title, self.key) = (method, title, key ?? method)
    }

    /// The same with twice the steps, at every second of which what the blocks added is used again.
    func reusing(order: Int) -> SolverName {
        var result = SolverName(
            method, title + (order == 0 ? ", blocks used twice" : ", blocks carried on"),
            key: key + (order == 0 ? "_reuse" : "_forecast"))
        (result.reuse.interval, result.reuse.order) = (2, order)
        return result
    }

    private static let plain = [
        SolverName("euler", "Euler"), SolverName("midpoint", "midpoint"),
        SolverName("heun", "Heun"), SolverName("rk4", "Runge-Kutta 4"),
        SolverName("adams-bashforth", "Adams-Bashforth 2", key: "adams_bashforth"),
    ]
    static let flows =
        plain + [plain[0], plain[4]].flatMap { [$0.reusing(order: 0), $0.reusing(order: 1)] }
    static let stochastic = SolverName("Euler", "SDE, Euler-Maruyama", key: "sde")
    static let adaptive = SolverName("dopri5", "dopri5")
    static let denoisers = [
        SolverName("ddpm", "ancestral (DDPM)"), SolverName("ddim", "DDIM"),
        SolverName("dpm++", "DPM-Solver++ 2M"), SolverName("dpm++sde", "DPM-Solver++ 2M, SDE"),
    ]

    /// Options of a run that computes so many evaluations of a flow.
    func options(_ computed: Int) -> SampleOptions {
        var options = SampleOptions()
        (options.method, options.reuse) = (method, reuse)
        let evaluations = computed * reuse.interval
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

/// Throws if a solver cannot take as many evaluations as the options say: before the work.
func checkSolvers(_ options: StudyOptions) throws(USPError) {
    for name in SolverName.denoisers {
        for evaluations in options.solverEvaluations { _ = try process(name, evaluations) }
    }
}

private func process(_ name: SolverName, _ evaluations: Int) throws(USPError) -> Diffusion {
    var options = Diffusion.Options()
    options.variance = .fixedSmall
    options.respacing = name.method == "ddim" ? "ddim\(evaluations)" : "\(evaluations)"
    return try Diffusion(options)
}

extension Study {
    /// Judges samples of the SiT that started from USP weights by every solver, those of DiT's
    /// process as well.
    func compareSolvers(_ judging: Judging, _ coded: StudyLatents) throws(USPError) {
        let made = folder.results[text: "done.generation_usp"] ?? ""
        try stage(
            "solvers", of: [made, judging.key] + said("solver_samples", "solver_evaluations")
        ) { () throws(USPError) in
            var loading = LoadOptions()
            (loading.family, loading.compute) = ("SiT", options.dtype)
            let model = try DiT.load(folder.file("sit_usp.safetensors"), loading)
            let table = SolverTable(study: self, judging: judging, coded: coded, model: model)
            try table.compareFlows()
            try table.compareAdaptive()
            try table.compareStochastic()
            try table.compareDenoisers()
        }
    }
}

/// The rows of a comparison.
private final class SolverTable {
    let study: Study
    let judging: Judging
    let coded: StudyLatents
    let model: DiT
    private var done = 0

    init(study: Study, judging: Judging, coded: StudyLatents, model: DiT) {
        (self.study, self.judging, self.coded, self.model) = (study, judging, coded, model)
    }

    private var options: StudyOptions { study.options }

    private var total: Int {
        let solvers = SolverName.flows.count + 1 + SolverName.denoisers.count
        return solvers * options.solverEvaluations.count + 1
    }

    func compareFlows() throws(USPError) {
        for name in SolverName.flows {
            for evaluations in options.solverEvaluations {
                let sampler = try Sampler(.flow(Transport()), name.options(evaluations))
                try row("flow.\(name.key).\(evaluations)") {
                    (noise, labels, _) throws(USPError) in
                    try sampler.run(
                        model.denoiser, from: noise, labels: labels, study.interruptible)
                }
            }
        }
    }

    func compareStochastic() throws(USPError) {
        for evaluations in options.solverEvaluations {
            let name = SolverName.stochastic
            try row("flow.\(name.key).\(evaluations)") {
                (noise, labels, first) throws(USPError) in
                let options = drawing(name.options(evaluations), first)
                return try Sampler(.stochastic(Transport()), options).run(
                    model.denoiser, from: noise, labels: labels, study.interruptible)
            }
        }
    }

    /// dopri5 at its usual tolerances, which chooses how often it evaluates.
    func compareAdaptive() throws(USPError) {
        let prefix = "solvers.flow.\(SolverName.adaptive.key)."
        var (calls, batches) = (0.0, 0)
        let value = try study.distance(judging, coded, samples: options.solverSamples) {
            (noise, labels, _) throws(USPError) in
            batches += 1
            var evaluations = 0.0
            let monitor = SamplingMonitor { [study] (state) throws(USPError) in
                try study.report("", 0, 0)
                evaluations = state.evaluations
            }
            let result = try Sampler(.flow(Transport())).run(
                model.denoiser, from: noise, labels: labels, monitor)
            calls += evaluations
            return result
        }
        try add("\(prefix)\(Int(calls / Double(max(batches, 1))))", value)
    }

    func compareDenoisers() throws(USPError) {
        for name in SolverName.denoisers {
            for evaluations in options.solverEvaluations {
                let process = try process(name, evaluations)
                var options = SampleOptions()
                options.method = name.method
                let predict = try noise(model, process)
                try row("diffusion.\(name.key).\(evaluations)") {
                    (start, labels, first) throws(USPError) in
                    try Sampler(.diffusion(process), drawing(options, first)).run(
                        predict, from: start, labels: labels, study.interruptible)
                }
            }
        }
    }

    /// One number of the table.
    private func row(
        _ name: String, _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) {
        try add(
            "solvers.\(name)",
            study.distance(judging, coded, samples: options.solverSamples, draw))
    }

    private func add(_ name: String, _ value: Double) throws(USPError) {
        study.folder.results[number: name] = value
        done += 1
        try study.report(
            study.title("solvers"), done, total, "settings", "\(name) \(decimal(value, 2))")
    }

    /// The same noise for every stochastic solver.
    private func drawing(_ options: SampleOptions, _ first: Int) -> SampleOptions {
        var options = options
        (options.seed, options.firstSample) = (study.seed("solver noise"), first)
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
