// What commands that run a DiT, SiT or MAR ask: the model, its process and solver, guidance, labels.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

/// The network and how it computes.
struct ModelArguments: ParsableArguments {
    @Argument(help: "The model.")
    var model: String

    @Option(help: "DiT or SiT, where the file does not tell.")
    var family: String?

    @Option(help: "The model's attention heads, where its width is not a published one.")
    var heads: Int?

    @OptionGroup var computing: ComputeArguments

    @Flag(
        inversion: .prefixedNo,
        help: """
            The last row of the model's labels is the null class, where the file does not tell; and \
            guidance uses it, though the file says that it was never trained.
            """)
    var nullClass: Bool?

    @OptionGroup var fitting: FittingSettings

    @Flag(help: "Plain sums in all products: slower, with half the rounding.")
    var exact = false

    func load() throws(USPError) -> DiT { try DiT.load(model, loading).told() }

    /// - Throws: for a model that draws no latents
    func loadSampled() throws(USPError) -> any Model {
        let options = try loading
        let file = try? FileModel(
            Archive.open(model), table: options.table, ignoring: options.ignore)
        guard file?.kind == .maskedAutoregressive else {
            return try DiT.load(model, options).told()
        }
        return try MAR.load(model, options).told()
    }

    private var loading: LoadOptions {
        get throws(USPError) {
            var options = LoadOptions()
            options.exact = exact
            try computing.apply(to: &options)
            options.family = family
            options.heads = heads
            options.nullClass = nullClass
            try fitting.apply(to: &options)
            return options
        }
    }
}

/// The process that the model was trained for, and the solver. What is not given is the solver's
/// own; what a solver has no use for is refused.
struct SolverArguments: ParsableArguments {
    @Option(help: "See above; by default the first of the model's process.")
    var solver: String?

    @Option(
        help: """
            Steps; DiT 250, SiT 50 points of time (SDE 250), MAR 100 reverse steps of a token by default.
            """)
    var steps: Int?

    @Option(
        name: [.customLong("noise-schedule"), .customLong("schedule")],
        help: "DiT's noise schedule: linear (default), cosine.")
    var noiseSchedule: String?

    @Option(help: "SiT's path: Linear (default), GVP, VP.")
    var path: String?

    @Option(
        help: """
            What the model predicts: DiT epsilon (default), x0, previous; SiT velocity (default), \
            score, noise.
            """)
    var prediction: String?

    @OptionGroup var options: SamplerOptions

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps: \(steps), expected 1 or more") }
    }

    /// Names of what was said but the steps.
    var said: [String] {
        let own = [
            ("solver", solver), ("noise-schedule", noiseSchedule), ("path", path),
            ("prediction", prediction),
        ]
        return own.compactMap { $1 == nil ? nil : $0 } + options.said
    }
}

/// Classifier-free guidance.
struct GuidanceArguments: ParsableArguments {
    @Option(
        help: """
            Guidance; 1 is off; by default 4, of a MAR 3. Several, such as 1,2,4, are taken by the \
            images in turn, but not of a MAR.
            """)
    var cfg: String?

    @Option(help: "Leading latent channels that are guided, or all; by default the model's rule.")
    var cfgChannels: String?

    @Option(help: "LOW,HIGH: guide only at these times (DiT 0 ... 999, SiT 0 ... 1).")
    var cfgInterval: String?

    func validate() throws {
        _ = try guidance(0..<1)
    }

    var scales: [Float] {
        get throws {
            let cfg = cfg ?? "4"
            guard let scales: [Float] = numbers(cfg), scales.allSatisfy(\.isFinite) else {
                throw ValidationError("--cfg \(cfg): expected numbers with commas between")
            }
            return scales
        }
    }

    /// Of a masked autoregressive model, which is guided in all values and iterations.
    var scale: Float {
        get throws {
            try require(
                cfgChannels == nil && cfgInterval == nil, .argument,
                "cfg-channels, cfg-interval: have no part in a MAR")
            guard cfg != nil else { return 3 }
            let scales = try scales
            try require(
                scales.count == 1, .argument,
                "cfg: \(scales.count) numbers, expected one, since a MAR's images share it")
            return scales[0]
        }
    }

    /// Of the images of this range.
    ///
    /// - channels: of the latents
    func guidance(_ images: Range<Int>, channels: Int? = nil) throws -> Guidance {
        let scales = try scales
        var guidance = Guidance(scales: images.map { scales[$0 % scales.count] })
        if cfgChannels == "all" {
            guidance.channels = .max
        } else if let cfgChannels {
            guard let wanted = Int(cfgChannels), wanted > 0, wanted <= channels ?? wanted else {
                let most = channels.map { "1 to \($0)" } ?? "1 or more"
                throw ValidationError("--cfg-channels \(cfgChannels): expected \(most), or all")
            }
            guidance.channels = wanted
        }
        if let cfgInterval {
            guard let ends: [Float] = numbers(cfgInterval), ends.count == 2, ends[0] <= ends[1]
            else {
                throw ValidationError("--cfg-interval \(cfgInterval): expected LOW,HIGH")
            }
            (guidance.begin, guidance.end) = (ends[0], ends[1])
        }
        return guidance
    }
}

/// The classes of a model.
struct KnownClasses {
    let count: Int
    /// The label for no class.
    let null: Int?
    let names: [String]

    init(_ model: DiT) {
        (count, null, names) = (model.classes, model.nullClass, model.notes.classNames)
    }

    init(_ model: MAR) {
        (count, null, names) = (model.classes, model.nullClass, model.notes.classNames)
    }
}

/// Classes that images take in turn, or draw.
struct ClassArguments: ParsableArguments {
    @Option(
        help: """
            Classes by number or name, such as 207,360 or water,forest, that take turns; or all, or \
            random.
            """)
    var classes: String

    /// Images that are made where their number is not told.
    func count(_ known: KnownClasses) -> Int {
        switch classes {
        case "all": known.count
        case "random": 1
        default: max(named(known).count, 1)
        }
    }

    /// What stands between commas: names of classes first, which may have commas in them.
    private func named(_ known: KnownClasses) -> [String] {
        let parts = classes.split(separator: ",", omittingEmptySubsequences: false)
        var (result, first): ([String], Int) = ([], 0)
        while first < parts.count {
            let end = (first + 1...parts.count).reversed().first { end in
                end == first + 1
                    || known.names.contains(parts[first..<end].joined(separator: ","))
            }
            result.append(parts[first..<(end ?? first + 1)].joined(separator: ","))
            first = end ?? first + 1
        }
        return result.filter { !$0.isEmpty }
    }

    /// The label of a name or number.
    private func label(_ text: String, _ known: KnownClasses) throws -> Int {
        let names = known.names
        if let label = names.firstIndex(of: text) ?? Int(text) { return label }
        guard !names.isEmpty else {
            throw ValidationError(
                "--classes \(text): the model knows no names; expected numbers with commas between, "
                    + "all or random")
        }
        throw unknownName(text, what: "class", known: names)
    }

    /// One label an image.
    ///
    /// - Throws: for classes that the model has not; K means no class.
    func labels(_ count: Int, _ known: KnownClasses, seed: UInt64) throws -> [Int] {
        if classes == "random" {
            let key = RandomKey(seed: seed).stream("classes")
            return (0..<count).map { index in
                var stream = RandomStream(key.stream(index))
                return stream.below(known.count)
            }
        }
        var chosen: [Int] = classes == "all" ? Array(0..<known.count) : []
        if classes != "all" {
            for name in named(known) { chosen.append(try label(name, known)) }
        }
        try require(!chosen.isEmpty, .argument, "--classes: names none")
        for label in chosen where !(0..<known.count).contains(label) && label != known.null {
            let null = known.null.map { ", and \($0) for none" } ?? ""
            throw USPError(
                .argument, "class \(label): the model has 0 to \(known.count - 1)\(null)")
        }
        return (0..<count).map { chosen[$0 % chosen.count] }
    }
}

/// Numbers with commas between; nil if one is none.
func numbers<Number: LosslessStringConvertible>(_ text: String) -> [Number]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let known = parts.compactMap { Number(String($0)) }
    return known.count == parts.count ? known : nil
}
