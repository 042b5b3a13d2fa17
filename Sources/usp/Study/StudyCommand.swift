// `usp study PHOTOS -o OUT`: what pretraining does on one's own images.

import ArgumentParser
import USPBase
import USPKit

struct StudyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "study",
        abstract: "Try USP on a folder of images, beside its controls, and write a page about it.",
        discussion: """
            Takes a folder of images, with one subfolder for each class or without any; or colour, \
            the photographs of Debian's wallpaper packages; or fashion-mnist. Trains an autoencoder \
            (or takes --vae) and a judge of samples, pretrains a masked transformer on the latents, \
            and compares what starts from it with what starts fresh, on the same data, order and \
            noise: SiT's Frechet distance over steps, for several seeds; where there are classes also \
            with an encoder that learned them, probes, few labels, fine-tuning, accuracy under noise, \
            and where in the SiT the classes are; else nearest neighbours.

            OUT has the page (index.html, one file), metrics.json, pictures and all checkpoints. \
            Interrupted, it has saved; the same command goes on to the same bits. With other options \
            what they concern is made again, and the rest is kept.
            """)

    @Argument(help: "A folder of images, colour, or fashion-mnist.")
    var photos: String

    @Option(name: [.customShort("o"), .customLong("output")], help: "The folder to write.")
    var out: String

    @OptionGroup var length: LengthArguments

    @Option(help: "Threads; 0 means every processor.")
    var threads = 0

    @Option(
        help: "Folder with the idx files of fashion-mnist; else where Debian's package has them.")
    var idx: String?

    @OptionGroup(title: "What is studied, and how large everything is") var settings: StudySettings

    func validate() throws {
        if threads < 0 { throw ValidationError("--threads: expected 0 or more, got \(threads)") }
        if idx != nil && photos != "fashion-mnist" {
            throw ValidationError("--idx: has a part in fashion-mnist only")
        }
    }

    func run() throws {
        let source: StudySource = try idx.map { .fashionMNIST($0) } ?? .named(photos)
        var options = source.options(length.value)
        try settings.apply(to: &options)
        try conduct(source, options, to: out, threads: threads)
    }
}

/// Runs a study with a bar for each stage, and says where its page is.
func conduct(
    _ source: StudySource, _ options: StudyOptions, to out: String, threads: Int
) throws {
    ThreadPool.shared.threads = threads
    Interrupt.listen()
    let bar = StudyBar()
    let study = try Study(source, options, to: out) { told throws(USPError) in
        try bar.show(told)
    }
    bar.study = study
    try study.run()
    print(study.headline)
    print("Page: \(out)/index.html   numbers: \(out)/metrics.json")
}

/// The bar of the stage under way.
private final class StudyBar {
    weak var study: Study?
    private var progress: Progress?
    private var title = ""

    func show(_ told: StudyProgress) throws(USPError) {
        try Interrupt.check()
        if Interrupt.takeSave() { study?.requestSave() }
        guard !told.title.isEmpty else { return }
        if told.title != title {
            title = told.title
            progress = Progress(
                title, total: told.total, unit: told.unit, done: max(told.done - 1, 0))
        }
        progress?.update(told.done, told.note)
    }
}
