// How commands load models: the autoencoder's scale where nothing tells it, and what people have to
// know of what was loaded.

import ArgumentParser
import USPBase
import USPKit

extension Model {
    /// The model, after its notes: which weights were chosen, what was assumed, not applied, or does
    /// not fit.
    func told() -> Self {
        for note in weights.notes { complain("note: \(note)") }
        return self
    }
}

/// What an autoencoder's file may not tell. `--vae` itself is each command's.
struct AutoencoderArguments: ParsableArguments {
    @Option(
        help: """
            The autoencoder's latents are (z - shift) * scale, for files that do not tell it: \
            Stable Diffusion's scale is 0.18215, which is assumed, SDXL's 0.13025.
            """)
    var vaeScale: Float?

    @Option(help: "See --vae-scale.")
    var vaeShift: Float?

    @Option(help: "Names of arrays of the autoencoder's file that are left aside, with commas.")
    var vaeIgnore: String?

    @Option(help: "Nested table of that file; without it what readers of autoencoders take.")
    var vaeTable: String?

    @Flag(
        inversion: .prefixedNo, help: "Anything else of that file that does not fit is an error.")
    var vaeStrict: Bool?

    func load(
        _ path: String, _ change: (inout LoadOptions) -> Void = { _ in }
    ) throws(USPError) -> VAE {
        var options = LoadOptions()
        (options.scale, options.shift) = (vaeScale, vaeShift)
        (options.table, options.isStrict) = (vaeTable, vaeStrict ?? true)
        if let vaeIgnore { try options.set("ignore", vaeIgnore) }
        change(&options)
        return try VAE.load(path, options).told()
    }

    /// - Throws: `.argument` for options without an autoencoder that they could be of
    func load(
        ifAny path: String?, _ change: (inout LoadOptions) -> Void = { _ in }
    ) throws(USPError) -> VAE? {
        if let path { return try load(path, change) }
        try require(
            vaeScale == nil && vaeShift == nil && vaeIgnore == nil && vaeTable == nil
                && vaeStrict == nil, .argument,
            "--vae-scale, --vae-shift, --vae-ignore, --vae-table, --vae-strict: have a part beside "
                + "--vae only")
        return nil
    }
}
