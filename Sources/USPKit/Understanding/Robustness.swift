// How accurate classifiers stay on noisy inputs: USP's first observation.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// Classifiers, side by side, on the same samples with the same noise.
public enum Robustness {
    /// A classifier and what it is called.
    public typealias Named = (name: String, model: ViT)

    /// Which noise, and on how much.
    public struct Options: Sendable {
        public var sigmas: [Float] = [0.08, 0.12, 0.18, 0.26, 0.38]
        public var steps = [50, 100, 200, 300, 400, 500, 600]
        public var shares: [Float] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
        public var samples: Int?
        public var seed: UInt64 = 0

        public init() {}
    }

    /// Accuracy at each level of one kind of noise, 0 first.
    struct Curve {
        let noise: InputNoise
        let levels: [Double]
        /// A row a model.
        var accuracy: [[Double]]
    }

    /// Measures, and says what was found.
    ///
    /// - models: take the data's latents, or its pixels
    /// - data: with labels; of images each noise has its part, of latents those of latents only
    /// - vae: what images go through for classifiers of latents; nil: what `data` has
    /// - progress: told how many of all samples are done; its error ends the call
    /// - Throws: `.argument` for data of other classes, and for none of the noises; `.shape` for a
    ///   classifier of other inputs
    public static func measure(
        _ models: [Named], on data: DataSet, through vae: VAE? = nil, _ options: Options,
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> Measurement {
        try options.checkFields()
        let count = min(options.samples ?? data.count, data.count)
        let chosen =
            count < data.count
            ? try data.selecting((0..<count).map { $0 * data.count / count }) : data
        let (curves, note) = try curves(
            models, on: chosen, vae?.latentEncoder ?? data.latentEncoder, options, progress)
        return measurement(curves, models.map(\.name), chosen, options, note)
    }

    /// - Returns: the curves, and what there is to say
    static func curves(
        _ models: [Named], on data: DataSet, _ encoder: LatentEncoder?, _ options: Options,
        _ progress: (_ done: Int, _ all: Int) throws(USPError) -> Void
    ) throws(USPError) -> ([Curve], String?) {
        try require(!models.isEmpty, .argument, "models: none to measure")
        try require(
            Set(models.map(\.name)).count == models.count, .argument,
            "models: two have the same name; give other names")
        try data.requireLabels()
        let pixels = try data.pixels()
        var views: [SampleView] = []
        // Each model may number the classes in its own way.
        let labels = try models.map { named throws(USPError) in
            try data.numbered(for: named.model).labels ?? []
        }
        for (name, model) in models {
            views.append(try SampleView(name, model, pixels, data, encoder))
        }
        var counters = InputNoise.allCases.map { noise in
            Curve(
                noise: noise, levels: [0] + options.levels(noise),
                accuracy: models.map { _ in
                    [Double](repeating: 0, count: options.levels(noise).count + 1)
                })
        }
        counters.removeAll { $0.levels.count == 1 || (pixels == nil && $0.noise == .pixels) }
        try require(
            !counters.isEmpty, .argument,
            "sigmas, steps, shares: no noise is left to measure with"
                + (pixels == nil ? "; latents have no pixels" : ""))
        let source = pixels ?? data
        try progress(0, data.count)
        for first in stride(from: 0, to: data.count, by: 64) {
            let range = first..<min(first + 64, data.count)
            let batch = try source.samples(range)
            try add(
                batch, first, models, views, labels.map { Array($0[range]) }, encoder, options.seed,
                &counters)
            try progress(range.upperBound, data.count)
        }
        for place in counters.indices {
            counters[place].accuracy = counters[place].accuracy.map { row in
                row.map { $0 / Double(data.count) }
            }
        }
        return (
            counters,
            pixels == nil && !options.sigmas.isEmpty
                ? "sigmas: left out, latents have no pixels; give the images and their autoencoder"
                : nil
        )
    }

    /// How many of a batch each model has right at each level.
    ///
    /// - labels: of the batch, for each model
    private static func add(
        _ batch: Batch, _ first: Int, _ models: [Named], _ views: [SampleView],
        _ labels: [[Int]], _ encoder: LatentEncoder?, _ seed: UInt64, _ curves: inout [Curve]
    ) throws(USPError) {
        func right(_ samples: [SampleView: Tensor]) throws(USPError) -> [Double] {
            var result: [Double] = []
            for (place, view) in views.enumerated() {
                guard let inputs = samples[view] else { continue }
                let share = try Evaluate.accuracy(
                    models[place].model.logits(inputs), labels: labels[place])
                result.append((share * Double(labels[place].count)).rounded())
            }
            return result
        }
        func seen(_ images: Tensor) throws(USPError) -> [SampleView: Tensor] {
            var result: [SampleView: Tensor] = [:]
            for view in Set(views) { result[view] = try view.inputs(images, encoder) }
            return result
        }
        let clean = try seen(batch.inputs)
        let cleanRight = try right(clean)
        for place in curves.indices {
            let noise = curves[place].noise
            for (column, level) in curves[place].levels.enumerated() {
                var counts = cleanRight
                if level > 0 {
                    let (signal, share) = try noise.weights(level)
                    func changed(_ samples: Tensor) throws(USPError) -> Tensor {
                        try samples.noised(signal: signal, noise: share, seed: seed, first: first)
                    }
                    if noise == .pixels {
                        let noisy = try changed(batch.inputs)
                        noisy.quantised()
                        counts = try right(seen(noisy))
                    } else {
                        var noisy: [SampleView: Tensor] = [:]
                        for (view, samples) in clean { noisy[view] = try changed(samples) }
                        counts = try right(noisy)
                    }
                }
                for (model, count) in counts.enumerated() {
                    curves[place].accuracy[model][column] += count
                }
            }
        }
    }

    private static func measurement(
        _ curves: [Curve], _ names: [String], _ data: DataSet, _ options: Options, _ note: String?
    ) -> Measurement {
        let numbers = curves.map { curve in
            JSON.Member(
                curve.noise.rawValue,
                .object([
                    .init(curve.noise.levelName, .array(curve.levels.map(JSON.number))),
                    .init(
                        "accuracy",
                        .object(
                            zip(names, curve.accuracy).map { name, row in
                                .init(name, .array(row.map(JSON.number)))
                            })),
                ]))
        }
        let head: [JSON.Member] = [
            .init("samples", .integer(data.count)), .init("data", .string(data.summary)),
            .init("settings", .string(options.text)),
        ]
        let pictures = curves.map { curve in
            let lines = zip(names, curve.accuracy).enumerated().map { place, line in
                ChartLine(
                    title: line.0, style: "series\(place % SVGStyle.colours.count)",
                    points: zip(curve.levels, line.1).map { (x: $0, y: 100 * $1) })
            }
            return Measurement.Picture(
                name: curve.noise.rawValue,
                svg: Chart(
                    curve.noise.title, x: curve.noise.axis, y: "accuracy (%)", lines: lines
                ).file)
        }
        return Measurement(
            numbers: .object(head + numbers + (note.map { [.init("note", .string($0))] } ?? [])),
            table: curves.map { table($0, names) }.joined(separator: "\n\n")
                + (note.map { "\n\nnote: \($0)" } ?? ""),
            pictures: pictures)
    }

    private static func table(_ curve: Curve, _ names: [String]) -> String {
        let width = max(names.map(\.count).max() ?? 0, curve.noise.axis.count)
        let head = curve.levels.map { padded(levelText($0), 7) }.joined()
        let rows = zip(names, curve.accuracy).map { name, row in
            name + String(repeating: " ", count: width - name.count)
                + row.map { padded(decimal(100 * $0, 1), 7) }.joined()
        }
        let title =
            curve.noise.axis + String(repeating: " ", count: width - curve.noise.axis.count)
        return ([title + head] + rows).joined(separator: "\n")
    }
}

/// `0.08`, `100`.
func levelText(_ level: Double) -> String {
    level == level.rounded() ? decimal(level, 0) : decimal(level, 2)
}

/// Blanks in front.
func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
}

extension InputNoise {
    fileprivate var title: String {
        switch self {
        case .pixels: "Accuracy under noise in pixels"
        case .ddpm: "Accuracy after steps of DDPM's noise"
        case .linear: "Accuracy on inputs that are so much noise"
        }
    }

    /// As short as a table's head.
    fileprivate var axis: String {
        switch self {
        case .pixels: "pixels, sigma"
        case .ddpm: "DDPM, step"
        case .linear: "linear, share"
        }
    }
}

extension Robustness.Options: Described {
    public static let title = "robustness"
    public static let members = [
        CMember("usp_progress_fn", "progress", "Told how far it is; NULL tells nobody."),
        CMember("void *", "progress_user", "Given to progress."),
    ]

    public static let fields: [Field<Self>] = [
        .reals(
            "sigmas", \.sigmas, FieldRange(0, 10),
            "Deviations of noise in pixels of 0 to 1, in ImageNet-C's steps (0.08 to 0.38); images are "
                + "then cut to 256 levels; none: without. Latents have no pixels."),
        .integers(
            "steps", \.steps, FieldRange(1, 1000),
            "Steps of DDPM's 1,000 after which a model's inputs, latents or pixels, are shown; none: "
                + "without."),
        .reals(
            "shares", \.shares, .share,
            "Shares s of noise on SiT's path, (1 - s) x + s e; none: without."),
        .integer(
            "samples", \.samples, .from(1), "Samples, evenly over the data; absent: all of them."),
        .seed(
            "seed", \.seed, "Seed of the noise, which is the same at all levels and for all models."
        ),
    ]

    fileprivate func levels(_ noise: InputNoise) -> [Double] {
        switch noise {
        case .pixels: sigmas.map { Double($0.description) ?? Double($0) }
        case .ddpm: steps.map(Double.init)
        case .linear: shares.map { Double($0.description) ?? Double($0) }
        }
    }
}

/// How a classifier sees a sample.
private enum SampleView: Hashable {
    case asItIs
    case encoded

    /// - Throws: `.shape` for a classifier that takes neither
    init(
        _ name: String, _ model: ViT, _ pixels: DataSet?, _ data: DataSet,
        _ encoder: LatentEncoder?
    ) throws(USPError) {
        try require(
            model.classes > 0, .argument,
            "\(name): has no head, which tells classes; finetune with --probe makes one")
        let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
        let given = (pixels ?? data).sampleShape
        let latents = try pixels.flatMap { pixels throws(USPError) in
            try encoder?.sampleShape(side: pixels.options.size)
        }
        if wanted == given {
            self = .asItIs
        } else if wanted == latents {
            self = .encoded
        } else {
            throw USPError(
                .shape,
                "\(name): takes \(wanted), the samples are \(given)"
                    + (latents.map { ", their latents \($0)" }
                        ?? (pixels == nil ? "" : "; give the autoencoder of its latents")))
        }
    }

    func inputs(_ images: Tensor, _ encoder: LatentEncoder?) throws(USPError) -> Tensor {
        guard self == .encoded, let encoder else { return images }
        return try encoder.means(images)
    }
}
