// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of MAR.SampleOptions that have a part in some run.
struct TokenSettings: ParsableArguments {
    @Option(
        name: .customLong("iterations"),
        help: "Passes of encoder and decoder, 1 to T; each predicts more tokens than the one before. 1 to 1000000. Default: 64.")
    var iterations: String?

    @Option(
        name: .customLong("cfg-schedule"),
        help: "linear: 1 + (cfg_scale - 1) times the share of tokens that are then predicted. One of linear, constant. Default: linear.")
    var cfgSchedule: String?

    @Option(
        name: .customLong("temperature"),
        help: "Factor of the noise between the reverse steps of a token. 0 or more. Default: 1.")
    var temperature: String?

    @Option(
        name: .customLong("respacing"),
        help: "Which of the 1000 steps a token's diffusion uses, as usp_diffusion_options.respacing. Default: 100.")
    var respacing: String?

    @Option(
        name: .customLong("last-steps"),
        help: "Reverse steps of the last iteration; the number falls to it evenly from respacing's, then a plain number (DiSA: later tokens need fewer). Absent: it stays. 1 to 1000.")
    var lastSteps: String?

    /// Names of what was said.
    var said: [String] {
        [
            iterations == nil ? nil : "iterations",
            cfgSchedule == nil ? nil : "cfg_schedule",
            temperature == nil ? nil : "temperature",
            respacing == nil ? nil : "respacing",
            lastSteps == nil ? nil : "last_steps",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout MAR.SampleOptions) throws(USPError) {
        if let iterations { try options.set("iterations", iterations) }
        if let cfgSchedule { try options.set("cfg_schedule", cfgSchedule) }
        if let temperature { try options.set("temperature", temperature) }
        if let respacing { try options.set("respacing", respacing) }
        if let lastSteps { try options.set("last_steps", lastSteps) }
    }
}
