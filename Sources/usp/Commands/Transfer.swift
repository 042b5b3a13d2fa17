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

    @Option(help: "Type of the written arrays: f32, f16, bf16.")
    var dtype: FloatType?

    @OptionGroup(title: "What the target has, and how the source fits")
    var settings: TransferSettings

    func validate() throws {
        if output == nil && !plan { throw ValidationError("give --output FILE, or --plan") }
    }

    func run() throws {
        let file = try report.map { path throws(USPError) in try AtomicFile(path) }
        var options = TransferOptions()
        try settings.apply(to: &options)
        let transfer = try TransferPlan(path: source, to: to, options)
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
}
