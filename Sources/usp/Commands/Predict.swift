// `usp predict CLASSIFIER IMAGES --vae VAE`: classes of images.

import ArgumentParser
import Glibc
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Predict: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell the classes of images.",
        discussion: """
            A line for each image: its path, and the most likely classes with their shares. The \
            classes have the names of the folders that the classifier was trained on. Images are cut \
            as for measuring accuracy: the middle 224 of 256 pixels, or in that proportion.
            """)

    @Argument(help: "The classifier, such as finetune writes.")
    var model: String

    @OptionGroup var seen: SeenArguments

    @Option(help: "Classes to tell of each image.")
    var top = 3

    @Option(help: "Attention heads, where the file does not tell.")
    var heads: Int?

    @Flag(help: "A JSON object a line.")
    var json = false

    func validate() throws {
        if top < 1 { throw ValidationError("--top: \(top), expected 1 or more") }
    }

    func run() throws {
        let classifier = try ViT.load(model, seen.loading(heads: heads)).told()
        let images = try seen.images(for: classifier, model)
        Interrupt.listen()
        for path in try Images.paths(seen.images) {
            guard let input = try images.input(path, crop: .evaluation) else { continue }
            let logits = try classifier.logits(input).values
            print(line(path, shares(logits), classifier.notes.classNames))
        }
    }

    /// The softmax, most likely first.
    private func shares(_ logits: [Float]) -> [(label: Int, share: Double)] {
        let most = logits.max() ?? 0
        let weights = logits.map { exp(Double($0 - most)) }
        let sum = weights.reduce(0, +)
        let all = weights.enumerated().map { (label: $0.offset, share: $0.element / sum) }
        return Array(all.sorted { ($0.share, -$0.label) > ($1.share, -$1.label) }.prefix(top))
    }

    private func line(
        _ path: String, _ shares: [(label: Int, share: Double)], _ names: [String]
    ) -> String {
        let name = { (label: Int) in
            names.indices.contains(label) ? names[label] : String(label)
        }
        guard json else {
            return path
                + shares.map { "  \(name($0.label)) \(decimal(100 * $0.share, 1)) %" }.joined()
        }
        let classes = shares.map { item in
            JSON.object([
                .init("class", .string(name(item.label))), .init("label", .integer(item.label)),
                .init("share", .number(item.share)),
            ])
        }
        return JSON.object([.init("image", .string(path)), .init("classes", .array(classes))])
            .compact
    }
}
