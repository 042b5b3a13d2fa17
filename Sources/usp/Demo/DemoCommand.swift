// `usp demo`: the main job on Fashion-MNIST.

import ArgumentParser
import USPBase

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run the whole idea on Fashion-MNIST and write a page about it.",
        discussion: """
            Trains an autoencoder, pretrains a masked transformer on its latents, moves the \
            weights into a diffusion transformer and a classifier, and compares both with random \
            starts. An interrupted run goes on where it stopped when the same command is given \
            again.
            """)

    @Option(help: "Folder for the page, pictures, numbers and checkpoints.")
    var out = "out/demo"

    @Option(
        help: "Folder with the idx files of Fashion-MNIST; else where Debian's package has them.")
    var images: String?

    @Option(help: "Seed of everything random.")
    var seed: UInt64 = 0

    @Option(help: "Threads; 0 means every processor.")
    var threads = 0

    @Flag(help: "A minute's run, for trying out and for tests.")
    var quick = false

    @Flag(help: "As long as it takes to make the effect unmistakable.")
    var full = false

    func validate() throws {
        if quick && full { throw ValidationError("--quick and --full exclude each other") }
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
    }

    func run() throws {
        ThreadPool.shared.threads = threads
        Interrupt.listen()
        let plan = DemoPlan(quick ? .quick : full ? .full : .standard, seed: seed)
        let demo = try Demo(plan, out: out, images: images)
        try demo.run()
        print(demo.folder.results.headline)
        print("Page: \(out)/index.html   numbers: \(out)/metrics.json")
    }
}

extension DemoResults {
    /// The result in three lines.
    var headline: String {
        let number = { (name: String) in self[number: name].map { decimal($0, 3) } ?? "–" }
        return """
            generation speed-up   \(number("generation.speedup"))
            linear probe          \(number("probe.usp_top1")) pretrained, \(number("probe.random_top1")) random
            few labels            \(number("few_labels.usp_top1")) pretrained, \(number("few_labels.scratch_top1")) scratch
            """
    }
}
