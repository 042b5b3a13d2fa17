// RandAugment (Cubuk et al. 2019) in timm's form: a few operations drawn for each image.

import USPBase
import USPFiles

/// How operations are drawn; the defaults are timm's `rand-m9-mstd0.5-inc1`, with which MAE and USP
/// are fine-tuned.
public struct RandAugment: Sendable, Equatable {
    /// Operations drawn for an image, each of them may come again.
    public var layers = 2
    /// Chance of each drawn operation to be applied.
    public var probability = 0.5
    /// Mean of the magnitude, 0 to 10.
    public var magnitude = 9.0
    /// Deviation of the magnitude, which is cut to 0 ... 10; above 100 it is uniform from 0 to the
    /// mean.
    public var deviation = 0.5
    /// The operations are stronger the greater the magnitude, all of them.
    public var increasing = true
    /// Names of the operations to draw from; none: timm's 15.
    public var operations: [String] = []

    public init() {}
}

extension RandAugment: Described {
    public static let title = "RandAugment"
    public static let fields: [Field<RandAugment>] = [
        .integer("layers", \.layers, FieldRange(0, 100), "Operations drawn for an image."),
        .real(
            "probability", \.probability, .share,
            "Chance of each drawn operation to be applied."),
        .real("magnitude", \.magnitude, FieldRange(0, 10), "Mean magnitude of the operations."),
        .real(
            "magnitude_std", \.deviation, .notNegative,
            "Deviation of the magnitude, which is cut to 0 to 10; above 100 it is uniform from 0 to "
                + "`magnitude`."),
        .flag(
            "increasing", \.increasing,
            "All operations are stronger the greater the magnitude."),
        .names(
            "operations", \.operations,
            "Operations to draw from, by timm's names with commas between them; none: its 15."),
    ]
}

/// An operation that was drawn for an image.
package struct DrawnOperation: Sendable, Equatable {
    package let operation: AugmentOperation
    package let argument: Double?
}

extension RandAugment {
    /// What timm's text says: `rand-m9-mstd0.5-inc1`, with n (layers) and p (probability).
    ///
    /// - Throws: `.argument` naming the part that is not understood
    public init(timm text: String) throws(USPError) {
        self.init()
        (magnitude, deviation, increasing) = (10, 0, false)
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        try require(
            parts.first == "rand", .argument,
            "RandAugment: \"\(text)\", expected rand- and parts such as m9, mstd0.5, inc1")
        for part in parts.dropFirst() {
            let key = part.prefix { $0.isLetter }
            let names = [
                "m": "magnitude", "mstd": "magnitude_std", "n": "layers", "p": "probability",
                "inc": "increasing",
            ]
            let value = String(part.dropFirst(key.count))
            guard let name = names[String(key)] else {
                throw USPError(
                    .argument,
                    "RandAugment: \"\(part)\" in \"\(text)\", expected m, n, p, mstd or inc with a "
                        + "number")
            }
            try set(name, name == "increasing" ? (value == "0" ? "no" : "yes") : value)
        }
    }

    /// The operations that are drawn from.
    ///
    /// - Throws: `.argument` for a name that is not timm's
    func levels() throws(USPError) -> [AugmentLevel] {
        guard !operations.isEmpty else {
            return increasing ? AugmentLevel.increasing : AugmentLevel.plain
        }
        var result: [AugmentLevel] = []
        for name in operations { result.append(try AugmentLevel.named(name)) }
        return result
    }

    /// Draws what is done to one image.
    package func draw(_ stream: inout RandomStream) throws(USPError) -> [DrawnOperation] {
        let levels = try levels()
        var drawn: [DrawnOperation] = []
        for _ in 0..<layers {
            let level = levels[stream.below(levels.count)]
            let isApplied = Double(stream.uniform()) < probability
            let spread =
                deviation > 100
                ? magnitude * Double(stream.uniform())
                : magnitude + deviation * Double(stream.normal())
            let negated = stream.uniform() < 0.5
            guard isApplied else { continue }
            drawn.append(
                DrawnOperation(
                    operation: level.operation,
                    argument: try level.argument(min(max(spread, 0), 10), negated: negated)))
        }
        return drawn
    }

    /// The image after what is drawn for it.
    ///
    /// - Throws: `.shape` unless it is RGB
    package func apply(
        _ image: PixelImage, _ stream: inout RandomStream
    ) throws(USPError) -> PixelImage {
        var result = image
        for step in try draw(&stream) {
            result = try result.augmented(step.operation, step.argument)
        }
        return result
    }
}
