// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of SampleOptions that have a part in some run.
struct SamplerOptions: ParsableArguments {
    @Flag(
        name: .customLong("clip"), inversion: .prefixedNo,
        help: "Clip predicted clean latents to [-1, 1]. Default: no. Part in: ddpm, ddim, dpm++, dpm++sde, bits per dimension.")
    var clip: Bool?

    @Option(
        name: .customLong("eta"),
        help: "0 is deterministic, 1 as noisy as ancestral sampling. 0 to 1. Default: 0. Part in: ddim.")
    var eta: String?

    @Option(
        name: .customLong("atol"),
        help: "Absolute tolerance of a step. 0 or more. Default: 1e-06. Part in: dopri5, bosh3.")
    var atol: String?

    @Option(
        name: .customLong("rtol"),
        help: "Relative tolerance of a step. 0 or more. Default: 0.001. Part in: dopri5, bosh3.")
    var rtol: String?

    @Option(
        name: [.customLong("timestep-shift"), .customLong("shift")],
        help: "Below 1 takes shorter steps at the start, 0.3 in LightningDiT; 0 or 1: none. 0 or more. Default: 1. Part in: dopri5, bosh3, euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3.")
    var timestepShift: String?

    @Option(
        name: .customLong("form"),
        help: "Diffusion of the SDE. One of constant, SBDM, sigma, linear, decreasing, increasing-decreasing. Default: sigma. Part in: sde, sde-heun.")
    var form: String?

    @Option(
        name: .customLong("norm"),
        help: "Factor of the SDE's diffusion. 0 or more. Default: 1. Part in: sde, sde-heun.")
    var norm: String?

    @Option(
        name: .customLong("last-step"),
        help: "What follows the SDE's last noisy step; absent: Mean. Of an ODE Euler takes the last interval as Euler's method does, which makes heun REPA's; absent: as the others. One of None, Mean, Tweedie, Euler. Part in: euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun.")
    var lastStep: String?

    @Option(
        name: .customLong("last-step-size"),
        help: "Size of that step. 0 to below 1. Default: 0.04. Part in: sde, sde-heun.")
    var lastStepSize: String?

    @Flag(
        name: .customLong("null-half"), inversion: .prefixedNo,
        help: "Guidance's null half is integrated too and has a part in the choice of steps, as in the originals' batches: their numbers, at no evaluation more. Default: no. Part in: dopri5, bosh3.")
    var nullHalf: Bool?

    @Option(
        name: .customLong("reuse-interval"),
        help: "The blocks of a DiT or SiT are computed at every so many evaluations; between, what they added to the tokens is used again (as FORA does). 1: always computed. 1 to 1000000. Default: 1. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun.")
    var reuseInterval: String?

    @Option(
        name: .customLong("reuse-threshold"),
        help: "In place of an interval: blocks are computed again when the relative change of the first block's input, summed since then, reaches this (as TeaCache does); chosen for a batch together. Absent: always computed. 0 or more. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun.")
    var reuseThreshold: String?

    @Option(
        name: .customLong("reuse-order"),
        help: "0: what blocks added is used as it was; 1: as the line through the last two times goes on (as TaylorSeer does). 0 to 1. Default: 0. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun.")
    var reuseOrder: String?

    @Option(
        name: .customLong("null-interval"),
        help: "Guidance's null half is computed at every so many guided evaluations; between, its distance from the labelled half is used again. 1: always computed. 1 to 1000000. Default: 1. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun.")
    var nullInterval: String?

    /// Names of what was said.
    var said: [String] {
        [
            clip == nil ? nil : "clip",
            eta == nil ? nil : "eta",
            atol == nil ? nil : "atol",
            rtol == nil ? nil : "rtol",
            timestepShift == nil ? nil : "timestep_shift",
            form == nil ? nil : "form",
            norm == nil ? nil : "norm",
            lastStep == nil ? nil : "last_step",
            lastStepSize == nil ? nil : "last_step_size",
            nullHalf == nil ? nil : "null_half",
            reuseInterval == nil ? nil : "reuse_interval",
            reuseThreshold == nil ? nil : "reuse_threshold",
            reuseOrder == nil ? nil : "reuse_order",
            nullInterval == nil ? nil : "null_interval",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout SampleOptions) throws(USPError) {
        if let clip { try options.set("clip", clip ? "yes" : "no") }
        if let eta { try options.set("eta", eta) }
        if let atol { try options.set("atol", atol) }
        if let rtol { try options.set("rtol", rtol) }
        if let timestepShift { try options.set("timestep_shift", timestepShift) }
        if let form { try options.set("form", form) }
        if let norm { try options.set("norm", norm) }
        if let lastStep { try options.set("last_step", lastStep) }
        if let lastStepSize { try options.set("last_step_size", lastStepSize) }
        if let nullHalf { try options.set("null_half", nullHalf ? "yes" : "no") }
        if let reuseInterval { try options.set("reuse_interval", reuseInterval) }
        if let reuseThreshold { try options.set("reuse_threshold", reuseThreshold) }
        if let reuseOrder { try options.set("reuse_order", reuseOrder) }
        if let nullInterval { try options.set("null_interval", nullInterval) }
    }
}
