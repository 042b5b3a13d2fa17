// `usp demo`: the study of Fashion-MNIST.

import ArgumentParser
import USPBase
import USPKit

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run the whole idea on Fashion-MNIST and write a page about it.",
        discussion: """
            The study of fashion-mnist with one seed, in some twenty minutes on two cores, and with a \
            comparison of solvers. See study, which takes one's own photographs and says more.
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

    @OptionGroup var length: LengthArguments

    func validate() throws {
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
    }

    func run() throws {
        let source = StudySource.fashionMNIST(images)
        var options = source.options(length.value)
        (options.seed, options.seeds, options.supervisedSteps) = (seed, 1, 0)
        options.parts.append("solvers")
        try conduct(source, options, to: out, threads: threads)
    }
}

/// How long a study takes.
struct LengthArguments: ParsableArguments {
    @Flag(help: "A minute's run or two, for trying out and for tests.")
    var quick = false

    @Flag(help: "As long as it takes to make the effect unmistakable.")
    var full = false

    func validate() throws {
        if quick && full { throw ValidationError("--quick and --full exclude each other") }
    }

    var value: StudyLength { quick ? .quick : full ? .full : .standard }
}
