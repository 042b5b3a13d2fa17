// `usp probe-diffusion MODEL DATA`: where a diffusion transformer knows the classes.

import ArgumentParser
import USPBase
import USPKit

struct ProbeDiffusion: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Probe a diffusion transformer after its blocks and at times, as a heat map.",
        discussion: """
            USP's second observation: diffusion models learn features that tell classes apart. After \
            each block and at each time of the process the mean of the tokens, for the null class and \
            on latents as noisy as the time says, goes into a linear probe (batch norm and a linear \
            layer, LARS). The features of a time are made once, for all blocks; the best cell is \
            trained to the end. For DiT, SiT, LightningDiT and REPA's files.

            DATA is a folder of images with one subfolder for each class (with --vae), cut in the \
            middle, or a file of latents. Accuracy is measured on --val, else on every fifth sample; \
            the best cell is chosen on the same samples.

            A table, and with --output a folder: probe-diffusion.json and the heat map, \
            probe-diffusion-map.svg.
            """)

    @OptionGroup var model: ModelArguments

    @Argument(help: "Images or latents with labels.")
    var data: String

    @Option(help: "Others of the same classes, to measure on.")
    var val: String?

    @OptionGroup var seen: MeasuredArguments
    @OptionGroup(title: "Probes") var settings: ProbeSettings

    func run() throws {
        Interrupt.listen()
        ThreadPool.shared.threads = seen.threads
        var options = DiffusionProbe.Options()
        try settings.apply(to: &options)
        let network = try model.load()
        let vae = try seen.vae()
        let known = try seen.open(data, vae, for: [network], .middle)
        let test = try val.map { path throws(USPError) in
            try seen.open(path, vae, for: [network], .middle)
        }
        var bar: (part: String, progress: Progress)?
        let found = try DiffusionProbe.measure(
            network, on: known, validation: test, options
        ) { told throws(USPError) in
            try Interrupt.check()
            if bar?.part != told.part {
                bar = (told.part, Progress(told.part, total: told.all, unit: told.unit))
            }
            bar?.progress.update(told.done)
        }
        try seen.tell(found, as: "probe-diffusion")
    }
}
