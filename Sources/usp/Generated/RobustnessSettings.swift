// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of Robustness.Options that have a part in some run.
struct RobustnessSettings: ParsableArguments {
    @Option(
        name: .customLong("sigmas"),
        help: "Deviations of noise in pixels of 0 to 1, in ImageNet-C's steps (0.08 to 0.38); images are then cut to 256 levels; none: without. Latents have no pixels. 0 to 10. Default: 0.08,0.12,0.18,0.26,0.38.")
    var sigmas: String?

    @Option(
        name: .customLong("steps"),
        help: "Steps of DDPM's 1,000 after which a model's inputs, latents or pixels, are shown; none: without. 1 to 1000. Default: 50,100,200,300,400,500,600.")
    var steps: String?

    @Option(
        name: .customLong("shares"),
        help: "Shares s of noise on SiT's path, (1 - s) x + s e; none: without. 0 to 1. Default: 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8.")
    var shares: String?

    @Option(
        name: .customLong("samples"),
        help: "Samples, evenly over the data; absent: all of them. 1 or more.")
    var samples: String?

    @Option(
        name: .customLong("seed"),
        help: "Seed of the noise, which is the same at all levels and for all models. Default: 0.")
    var seed: String?

    /// Names of what was said.
    var said: [String] {
        [
            sigmas == nil ? nil : "sigmas",
            steps == nil ? nil : "steps",
            shares == nil ? nil : "shares",
            samples == nil ? nil : "samples",
            seed == nil ? nil : "seed",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout Robustness.Options) throws(USPError) {
        if let sigmas { try options.set("sigmas", sigmas) }
        if let steps { try options.set("steps", steps) }
        if let shares { try options.set("shares", shares) }
        if let samples { try options.set("samples", samples) }
        if let seed { try options.set("seed", seed) }
    }
}
