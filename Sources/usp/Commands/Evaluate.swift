// `usp evaluate SAMPLES REFERENCE`: scores of generated images, or of their features.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "FID, sFID, inception score, precision and recall of images or features.",
        discussion: """
            With --inception, sides may be images: a folder of PNG and JPEG files, or an npz with \
            arr_0 [N, H, W, 3] of bytes, as sample and ADM write it. The scores are then those of \
            ADM's evaluator: published values are of 50,000 samples against statistics of the whole \
            training set (mu, sigma, mu_s, sigma_s), precision and recall against 10,000 images.

            Without it, files hold what they hold: features [N, D]; mu [D] and sigma [D, D] in \
            their place; mu_s, sigma_s (or spatial [N, D]) for the spatial distance; logits [N, K] \
            for the inception score. Every score that both sides allow is given; stored statistics \
            come before images.
            """)

    @Argument(help: "Images, features, statistics or logits of the samples.")
    var samples: String

    @Argument(help: "Images, features or statistics of the reference.")
    var reference: String?

    @Option(help: "Weights of Inception, such as pt_inception-2015-12-05-6726825d.pth.")
    var inception: String?

    @Option(
        help: """
            tensorflow: the numbers of ADM's evaluator and torch-fidelity; pytorch-fid: those of \
            that package.
            """)
    var preprocessing = "tensorflow"

    @Option(
        name: [.short, .long],
        help: "A file for the samples' features and statistics, to be read in their place.")
    var output: String?

    @Option(
        help: """
            A classifier, whose accuracy on SAMPLES is told: images of its classes, or their latents.
            """)
    var classifier: String?

    @Option(help: "The autoencoder whose latents the classifier was trained on.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments
    @OptionGroup var fitting: FittingSettings
    @OptionGroup var computing: ComputeArguments

    @Option(help: "Name of the array of features.")
    var features = "features"

    @Option(help: "Neighbours whose distance is the radius of precision and recall.")
    var neighbours = 3

    @Option(help: "Samples in a split of the inception score.")
    var splitSize = 5000

    @Flag(help: "Leave images out that cannot be read, and say which; else they are an error.")
    var skipUnreadable = false

    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        if classifier == nil && vae != nil {
            throw ValidationError("--vae has a part beside --classifier only")
        }
        if classifier != nil && (reference ?? inception ?? output) != nil {
            throw ValidationError(
                "--classifier has no part beside REFERENCE, --inception, --output")
        }
        if neighbours < 1 {
            throw ValidationError("--neighbours: \(neighbours), expected 1 or more")
        }
        if splitSize < 1 { throw ValidationError("--split-size: \(splitSize), expected 1 or more") }
        do {
            try Inception.checkPreprocessing(preprocessing)
        } catch { throw ValidationError("--preprocessing: \(error.message)") }
    }

    func run() throws {
        try Job.begin()
        if let classifier { return try measure(classifier) }
        var ours = try FeatureFile(
            samples, features: features, skipUnreadable: skipUnreadable)
        var theirs = try reference.map { path throws(USPError) in
            try FeatureFile(path, features: features, skipUnreadable: skipUnreadable)
        }
        let ranks = Job.ranks ?? .alone
        let writer = try ranks.together { () throws(USPError) -> ArrayWriter? in
            guard ranks.writes, let output else { return nil }
            return try ArrayWriter(output)
        }
        if let inception {
            try ours.expectSomething()
            try theirs?.expectSomething()
            var loading = LoadOptions()
            try fitting.apply(to: &loading)
            try computing.apply(to: &loading)
            let network = try Inception.load(inception, loading).told()
            Interrupt.listen()
            try ours.measure(network, preprocessing: preprocessing, over: ranks)
            try theirs?.measure(network, preprocessing: preprocessing, over: ranks)
        }
        guard ranks.writes else { return }
        if let writer { try writer.write(ours.outputs()) }
        let scores = try scores(ours, theirs)
        for warning in scores.warnings { complain("note: \(warning)") }
        if !scores.values.isEmpty { print(json ? scores.json.indented : scores.text) }
    }

    /// Accuracy on a data set, whose images are cut as while fine-tuning.
    private func measure(_ path: String) throws {
        Interrupt.listen()
        var loading = LoadOptions()
        try fitting.apply(to: &loading)
        try computing.apply(to: &loading)
        let model = try ViT.load(path, loading).told()
        let encoder = try autoencoder.load(ifAny: vae)
        var options = DataOptions()
        (options.augmentation, options.batch) = (.evaluation, 1)
        options.size = model.inputShape(batch: 1)[2] * (encoder?.factor ?? 1)
        options.skipUnreadable = skipUnreadable
        let images = try DataSet(samples, encoder, options)
        for note in images.leftOut { complain("note: \(samples): \(note)") }
        if let note = model.otherLatents(than: images) { complain("note: \(path): \(note)") }
        let shares = try USPKit.Evaluate.accuracy(
            of: model, on: images, over: Job.ranks ?? .alone, isStopped: { Interrupt.isRaised })
        try (Job.ranks ?? .alone).together { () throws(USPError) in try Interrupt.check() }
        var scores = Scores()
        for (k, share) in shares { scores.add("top\(k)", share) }
        say(json ? scores.json.indented : scores.text)
    }

    private func scores(
        _ ours: FeatureFile, _ theirs: FeatureFile?
    ) throws(USPError) -> Scores {
        var scores = Scores()
        if let theirs {
            try scores.compare(
                ours, theirs, neighbours: neighbours,
                names: inception == nil
                    ? ("Fréchet distance", "spatial Fréchet distance") : ("FID", "sFID"))
        }
        if let logits = try ours.logits() {
            let score = try InceptionScore.of(logits, splitSize: splitSize)
            scores.add("inception score", score.mean)
            scores.add("inception score deviation", score.deviation)
        }
        if let images = ours.images, images != 50_000 {
            scores.warn(
                "\(grouped(images)) samples; published values are of 50,000, and all scores "
                    + "depend on the number")
        }
        if scores.values.isEmpty && output == nil {
            let hint =
                ours.hasImages && inception == nil ? "; for its images give --inception" : ""
            throw USPError(
                .missingWeight,
                "\(samples): nothing to score; expected logits, or \(features) or mu and sigma "
                    + "here and in a reference\(hint)")
        }
        return scores
    }
}
