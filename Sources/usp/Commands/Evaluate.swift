// `usp evaluate SAMPLES REFERENCE`: scores of generated images from their features.

import ArgumentParser
import USPBase
import USPEvaluation
import USPFiles

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fréchet distance, precision and recall, inception score from feature files.",
        discussion: """
            Files are npz, npy, safetensors or PyTorch, and hold what they hold: features [N, D]; \
            mu [D] and sigma [D, D] in their place; mu_s, sigma_s (or spatial [N, D]) for the \
            spatial distance; logits [N, K] for the inception score. Every score that the files \
            allow is given. FID is the Fréchet distance of Inception's features; the tool does \
            not compute these itself.
            """)

    @Argument(help: "Features, statistics or logits of the samples.")
    var samples: String

    @Argument(help: "Features or statistics of the reference.")
    var reference: String?

    @Option(help: "Name of the array of features.")
    var features = "features"

    @Option(help: "Neighbours whose distance is the radius of precision and recall.")
    var neighbours = 3

    @Option(help: "Samples in a split of the inception score.")
    var splitSize = 5000

    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        if neighbours < 1 {
            throw ValidationError("--neighbours: \(neighbours), expected 1 or more")
        }
        if splitSize < 1 { throw ValidationError("--split-size: \(splitSize), expected 1 or more") }
    }

    func run() throws {
        let ours = try FeatureFile(samples, features: features)
        let theirs = try reference.map { path throws(USPError) in
            try FeatureFile(path, features: features)
        }
        var scores = Scores()
        if let theirs { try scores.compare(ours, theirs, neighbours: neighbours) }
        if let logits = try ours.logits() {
            let score = try InceptionScore.of(logits, splitSize: splitSize)
            scores.add("inception score", score.mean)
            scores.add("inception score deviation", score.deviation)
        }
        guard !scores.values.isEmpty else {
            throw USPError(
                .missingWeight,
                "\(samples): nothing to score; expected logits, or \(features) or mu and sigma "
                    + "here and in a reference")
        }
        for warning in scores.warnings { complain("note: \(warning)") }
        print(json ? scores.json.indented : scores.text)
    }
}
