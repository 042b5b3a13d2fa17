// `usp transfer PRETRAINED --to DiT-XL/2 -o init.safetensors`: one model's weights as another's
// start.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

struct Transfer: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a model start from a pretrained one.",
        discussion: """
            The source is a masked autoencoder, a vision transformer (timm, DINOv2, classifiers) \
            or a diffusion transformer. The target is a published name (DiT-XL/2, SiT-B/2, \
            ViT-L/2, MAE-B/1) or a family (DiT, SiT, ViT, MAE) of the source's own sizes. A name \
            that ends in .pt is written in PyTorch's training layout.
            """)

    @Argument(help: "The pretrained file.")
    var source: String

    @Option(help: "The target: a published name or a family.")
    var to: String

    @Option(name: [.short, .long], help: "The file to write.")
    var output: String?

    @Flag(help: "Print the plan and write nothing.")
    var plan = false

    @Option(help: "Write the report to this file, as JSON.")
    var report: String?

    @Option(help: "The target's tokens: 16 or 24x32.")
    var grid: String?

    @Option(help: "The target's classes.")
    var classes: Int?

    @Option(help: "The target's patch.")
    var patch: Int?

    @Option(help: "The target's channels.")
    var channels: Int?

    @Option(help: "Only so many blocks come from the source.")
    var layers: Int?

    @Option(help: "Seed of everything fresh.")
    var seed: UInt64 = 0

    @Option(help: "Type of the written arrays: f32, f16, bf16.")
    var dtype: FloatType?

    @Flag(
        inversion: .prefixedNo,
        help: "Norms with beta and gamma in a diffusion transformer's blocks.")
    var affine = true

    @Option(
        help: """
            Where a diffusion transformer's gates start: 0 as published, 1 lets every block act \
            from the first step.
            """)
    var gate: Float = 0

    @Flag(help: "Keep the source's GELU.")
    var keepGelu = false

    @Option(help: "Other channels: fresh, copy, repeat.")
    var channelRule = "fresh"

    @Option(help: "Other depth: prefix, stride, repeat.")
    var depthRule = "prefix"

    @Option(help: "A classifier's pooling: token, average.")
    var pool: String?

    @Option(help: "A classifier's head: fine-tune, probe.")
    var head = "fine-tune"

    @Option(help: "A diffusion transformer as features after this block.")
    var block: Int?

    @Option(help: "... at this timestep.")
    var timestep: Float = 0

    @Option(help: "The source's table, such as ema.")
    var table: String?

    @Option(help: "The source's attention heads, where its width is not a published one.")
    var heads: Int?

    func validate() throws {
        if output == nil && !plan { throw ValidationError("give --output FILE, or --plan") }
    }

    func run() throws {
        let file = try report.map { path throws(USPError) in try AtomicFile(path) }
        let transfer = try USPKit.Transfer(path: source, to: to, try options())
        if plan {
            print(transfer.text)
        } else if let output {
            try transfer.write(output, dtype: dtype?.dtype ?? .float32)
            let percent = Int((transfer.share * 1000).rounded())
            print(
                "\(output): \(grouped(transfer.transferredTensors)) of "
                    + "\(grouped(transfer.entries.count)) "
                    + "tensors, \(percent / 10).\(percent % 10) % of "
                    + "\(grouped(transfer.parameters)) parameters come from \(source)")
            for note in transfer.notes { complain("note: \(note)") }
        }
        try file?.write(transfer.json)
        try file?.commit()
    }

    private func options() throws -> USPKit.Transfer.Options {
        var options = USPKit.Transfer.Options()
        if let grid {
            let sides = grid.split(separator: "x").map { Int($0) }
            guard (1...2).contains(sides.count), let height = sides[0],
                let width = sides.last ?? nil
            else {
                throw ValidationError("--grid \(grid): expected 16 or 24x32")
            }
            options.grid = (height, width)
        }
        (options.classes, options.patch, options.channels) = (classes, patch, channels)
        (options.layers, options.seed, options.affineNorms) = (layers, seed, affine)
        (options.keepsActivation, options.channelRule, options.depthRule) = (
            keepGelu, channelRule, depthRule
        )
        (options.gateBias, options.pool, options.head, options.block) = (gate, pool, head, block)
        (options.timestep, options.table, options.heads) = (timestep, table, heads)
        return options
    }
}
