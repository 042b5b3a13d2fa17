// How a sampler runs: the options of all solvers, each with the solvers that it has a part in.

import USPBase

/// Settings of a run.
public struct SampleOptions: Sendable {
    public var method: String?
    public var steps: Int?
    public var seed: UInt64 = 0
    public var generator: String?
    public var firstSample = 0
    public var totalSamples: Int?
    public var clip = false
    public var eta: Float = 0
    public var atol: Float = 1e-6
    public var rtol: Float = 1e-3
    public var nullHalf = false
    public var timestepShift: Float = 1
    public var form: DiffusionForm = .sigma
    public var norm: Float = 1
    public var lastStep: LastStep?
    public var lastStepSize: Float = 0.04
    public var previewInterval = 10
    public var reuse = Reuse()

    public init() {}
}

extension SampleOptions: Described {
    public static let title = "sampler"

    public static let members =
        [
            CMember(
                "const usp_tensor *", "noise",
                "[S, B, C, H, W] f32: consumed in order, one entry a draw, in place of drawn noise; or "
                    + "NULL. S: steps of ddpm, and of ddim with eta; steps - 1 of dpm++sde and of SDEs. "
                    + "Part in: \(Solver.listed { $0.drawsNoise }).")
        ] + SamplingMonitor.members(each: "step") + [
            CMember(
                "usp_start_fn", "adjust_start",
                "At each step of a diffusion; NULL = none. Part in: "
                    + "\(Solver.listed { $0.isDiffusion })."),
            CMember("void *", "adjust_user", "Handed to adjust_start."),
        ]

    public static let fields: [Field<SampleOptions>] = [
        .text(
            "method", \.method,
            "The solver. Diffusion: \(Solver.listed { $0.isDiffusion }). ODE: "
                + "\(Solver.listed { $0.isFlow }). SDE: "
                + Solver.all.filter(\.isStochastic).map { "\($0.method) (\($0.name))" }
                .joined(separator: ", ") + ". Absent: the first of its kind."),
        .integer(
            "steps", \.steps, FieldRange(1, 1_000_000),
            "Steps of a run; of an ODE its points of time. Absent: all of a diffusion's, "
                + "\(Sampler.flowPoints) points, \(Sampler.stochasticSteps) steps of an SDE."),
        .seed("seed", \.seed, "Of the noise that is drawn between steps."),
        .choice(
            "generator", \.generator, NoiseSource.generators,
            "The numbers and the order of the original scripts, whose first draw after the seed "
                + "is the start; absent: one counter-based stream a sample."),
        .integer(
            "first_sample", \.firstSample, FieldRange(0, 0x1p48),
            "Number of the batch's first sample, for runs in parts: drawn noise goes by a "
                + "sample's number."),
        .integer(
            "total_samples", \.totalSamples, FieldRange(1, 0x1p48),
            "Samples of all parts together, which torch's generators draw at once; absent: the "
                + "batch's."),
        .flag(
            "clip", \.clip, "Clip predicted clean latents to [-1, 1].",
            in: Solver.names { $0.isDiffusion } + [Diffusion.boundPart]),
        .real(
            "eta", \.eta, .share, "0 is deterministic, 1 as noisy as ancestral sampling.",
            in: ["ddim"]),
        .real(
            "atol", \.atol, .notNegative, "Absolute tolerance of a step.",
            in: Solver.names { $0.isAdaptive }),
        .real(
            "rtol", \.rtol, .notNegative, "Relative tolerance of a step.",
            in: Solver.names { $0.isAdaptive }),
        .real(
            "timestep_shift", \.timestepShift, .notNegative,
            "Below 1 takes shorter steps at the start, 0.3 in LightningDiT; 0 or 1: none.",
            in: Solver.names { $0.isFlow }),
        .choice(
            "form", named: \.form, "Diffusion of the SDE.", in: Solver.names { $0.isStochastic }),
        .real(
            "norm", \.norm, .notNegative, "Factor of the SDE's diffusion.",
            in: Solver.names { $0.isStochastic }),
        .choice(
            "last_step", named: \.lastStep,
            "What follows the SDE's last noisy step; absent: Mean. Of an ODE Euler takes the last "
                + "interval as Euler's method does, which makes heun REPA's; absent: as the others.",
            in: Solver.names { $0.isStochastic || $0.isFlow && !$0.isAdaptive }),
        .real(
            "last_step_size", \.lastStepSize, .belowOne, "Size of that step.",
            in: Solver.names { $0.isStochastic }),
        .integer(
            "preview_interval", \.previewInterval, .from(1),
            "Steps from one preview to the next; the last step always has one."),
        .flag(
            "null_half", \.nullHalf,
            "Guidance's null half is integrated too and has a part in the choice of steps, as in the "
                + "originals' batches: their numbers, at no evaluation more.",
            in: Solver.names { $0.isAdaptive }),
        .integer(
            "reuse_interval", \.reuse.interval, FieldRange(1, 1_000_000),
            "The blocks of a DiT or SiT are computed at every so many evaluations; between, what they "
                + "added to the tokens is used again (as FORA does). 1: always computed.",
            in: Solver.names { !$0.isAdaptive }),
        .real(
            "reuse_threshold", \.reuse.threshold, .notNegative,
            "In place of an interval: blocks are computed again when the relative change of the first "
                + "block's input, summed since then, reaches this (as TeaCache does); chosen for a batch "
                + "together. Absent: always computed.",
            in: Solver.names { !$0.isAdaptive }),
        .integer(
            "reuse_order", \.reuse.order, FieldRange(0, 1),
            "0: what blocks added is used as it was; 1: as the line through the last two times goes on "
                + "(as TaylorSeer does).",
            in: Solver.names { !$0.isAdaptive }),
        .integer(
            "null_interval", \.reuse.nullInterval, FieldRange(1, 1_000_000),
            "Guidance's null half is computed at every so many guided evaluations; between, its "
                + "distance from the labelled half is used again. 1: always computed.",
            in: Solver.names { !$0.isAdaptive }),
    ]
}

extension SampleOptions {
    /// The last step of an SDE.
    var stochasticLastStep: LastStep { lastStep ?? .mean }

    /// The solvers in which an option has a part; empty is all.
    package static func parts(of name: String) -> [String] {
        fields.first { $0.name == name }?.parts ?? []
    }
}
