// The list of solvers. To add one: write its function, and its row here; names in messages, help
// and documentation, and which options have a part in it, come from the list.

import USPBase
import USPTensor

/// A way from noise to latents.
public struct Solver: Sendable {
    /// `heun`, `sde-heun`: one for each.
    public let name: String
    /// Its name among those of its process, such as `Heun` of the SDE's; the same for most.
    public let method: String
    let aliases: [String]
    /// What it is.
    public let sentence: String
    let algorithm: Algorithm

    enum Algorithm: Sendable {
        typealias Run = @Sendable (Diffusion) -> (SamplingRun) throws(USPError) -> Tensor
        /// Of the Gaussian process; `inverse` goes from latents to noise.
        case diffusion(noisy: Bool, Run, inverse: Run?)
        case flow(ODEMethod)
        case stochastic(StochasticMethod)
    }

    /// In the order of the documentation; the first of each kind is its default.
    public static let all: [Solver] = [
        Solver("ddpm", "Ancestral sampling.", .diffusion(noisy: true, Diffusion.ancestral)),
        Solver(
            "ddim", "DDIM, deterministic unless eta says otherwise.",
            .diffusion(noisy: true, Diffusion.implicit, inverse: Diffusion.implicitInverse)),
        Solver(
            "dpm++", "DPM-Solver++ (2M), for ten to twenty steps.",
            .diffusion(noisy: false, Diffusion.multistep)),
        Solver(
            "dpm++sde", "Its stochastic variant (SDE-2M).",
            .diffusion(noisy: true, Diffusion.stochasticMultistep)),
        Solver(
            "dopri5", "Dormand and Prince's fifth order with adaptive steps.",
            .flow(.adaptive(.dormandPrince))),
        Solver(
            "bosh3",
            "Bogacki and Shampine's third order with adaptive steps.",
            .flow(.adaptive(.bogackiShampine))),
        Solver("euler", "Euler's.", .flow(.stepping(scratch: 1, ODEProblem.stepEuler))),
        Solver("midpoint", "Midpoint.", .flow(.stepping(scratch: 1, ODEProblem.stepMidpoint))),
        Solver(
            "heun", aliases: ["heun2"], "Heun's of second order.",
            .flow(.stepping(scratch: 2, ODEProblem.stepHeun))),
        Solver(
            "heun3", "Heun's of third order.",
            .flow(.stepping(scratch: 2, ODEProblem.stepHeunThree))),
        Solver(
            "rk4", "Runge and Kutta's 3/8 rule.",
            .flow(.stepping(scratch: 2, ODEProblem.stepThreeEighths))),
        Solver(
            "adams-bashforth", aliases: ["ab2", "adams-bashforth2"],
            "Adams and Bashforth's second order: one evaluation a step.",
            .flow(.fixed(ODEProblem.solveAdamsBashforthTwo))),
        Solver(
            "adams-bashforth3", aliases: ["ab3"], "Their third order.",
            .flow(.fixed(ODEProblem.solveAdamsBashforthThree))),
        Solver(
            "sde", method: "Euler", aliases: ["euler-maruyama"], "Euler and Maruyama's.",
            .stochastic(StochasticMethod(step: StochasticStep.euler))),
        Solver(
            "sde-heun", method: "Heun", "Heun's rule on the drift, after the noise.",
            .stochastic(StochasticMethod(step: StochasticStep.heun, evaluatesEnd: true))),
    ]

    private init(
        _ name: String, method: String? = nil, aliases: [String] = [], _ sentence: String,
        _ algorithm: Algorithm
    ) {
        (self.name, self.method, self.aliases) = (name, method ?? name, aliases)
        (self.sentence, self.algorithm) = (sentence, algorithm)
    }
}

extension Solver.Algorithm {
    static func diffusion(noisy: Bool, _ run: @escaping Run) -> Self {
        .diffusion(noisy: noisy, run, inverse: nil)
    }
}

extension Solver {
    /// Of the Gaussian process.
    public var isDiffusion: Bool { if case .diffusion = algorithm { true } else { false } }
    /// Of the probability flow.
    public var isFlow: Bool { if case .flow = algorithm { true } else { false } }
    /// Of the SDE.
    public var isStochastic: Bool { if case .stochastic = algorithm { true } else { false } }

    /// Whether it chooses its steps, for the whole batch together.
    public var isAdaptive: Bool {
        if case .flow(let method) = algorithm { method.isAdaptive } else { false }
    }

    /// Whether noise is drawn between steps.
    public var drawsNoise: Bool {
        switch algorithm {
        case .diffusion(let noisy, _, _): noisy
        case .flow: false
        case .stochastic: true
        }
    }

    /// Whether it also goes from latents to noise.
    public var inverts: Bool {
        switch algorithm {
        case .diffusion(_, _, let inverse): inverse != nil
        case .flow: true
        case .stochastic: false
        }
    }

    /// Throws `.argument` for something given that has no part in the solver.
    ///
    /// - parts: names of the solvers in which it has one
    package func requirePart(_ name: String, of parts: [String]) throws(USPError) {
        try USPBase.requirePart(name, in: self.name, called: "the solver \(self.name)", of: parts)
    }

    /// Names of those that the condition holds for.
    public static func names(where isWanted: (Solver) -> Bool = { _ in true }) -> [String] {
        all.filter(isWanted).map(\.name)
    }

    /// Names of those that the condition holds for, for documentation.
    public static func listed(where isWanted: (Solver) -> Bool) -> String {
        names(where: isWanted).joined(separator: ", ")
    }

    /// Each on a line with what it is.
    public static func explained(where isWanted: (Solver) -> Bool) -> String {
        all.filter(isWanted).map { "  \($0.name): \($0.sentence)" }.joined(separator: "\n")
    }

    /// The one that goes by this name, letter case aside; the first for nil.
    ///
    /// - what: what messages call it
    /// - listing: how messages list the known ones
    /// - Throws: `.argument` for an unknown name
    public static func named(
        _ name: String?, of known: [Solver], what: String = "solver",
        listing: (Solver) -> String = \.name
    ) throws(USPError) -> Solver {
        let wanted = name?.lowercased()
        let found = known.first { solver in
            wanted == nil
                || ([solver.name, solver.method] + solver.aliases).contains {
                    $0.lowercased() == wanted
                }
        }
        guard let found else {
            throw unknownName(name ?? "", what: what, known: known.map(listing))
        }
        return found
    }
}
