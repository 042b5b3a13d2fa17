// What makes latents of what an autoencoder gives.

/// Latents are (z − shift)·scale: one number, or one a channel.
public struct LatentScale: Sendable, Equatable {
    public let scale: [Float]
    public let shift: [Float]

    public init(_ scale: [Float], _ shift: [Float]) {
        // One number says it where all channels have the same.
        (self.scale, self.shift) = (Self.short(scale), Self.short(shift))
    }

    private static func short(_ values: [Float]) -> [Float] {
        values.allSatisfy { $0 == values[0] } ? Array(values.prefix(1)) : values
    }

    /// Whether latents are the same but for rounding.
    package func isNear(_ other: LatentScale) -> Bool {
        let near = { (a: [Float], b: [Float]) in
            let count = max(a.count, b.count)
            guard !a.isEmpty, !b.isEmpty, [1, count].contains(a.count),
                [1, count].contains(b.count)
            else { return false }
            return (0..<count).allSatisfy {
                let (x, y) = (a[a.count == 1 ? 0 : $0], b[b.count == 1 ? 0 : $0])
                return abs(x - y) <= 1e-4 * max(abs(x), abs(y), 1e-2)
            }
        }
        return near(scale, other.scale) && near(shift, other.shift)
    }

    /// All of it, for records.
    package var text: String {
        [scale, shift].map { $0.map { "\($0)" }.joined(separator: ",") }.joined(separator: " - ")
    }

    /// `scale 0.18215`, `scale 0.4, 0.5, 0.6, ... and shift 0.1`
    package var words: String {
        let text = { (values: [Float]) in
            values.prefix(3).map { "\($0)" }.joined(separator: ", ")
                + (values.count > 3 ? ", ..." : "")
        }
        return "scale \(text(scale))" + (shift == [0] ? "" : " and shift \(text(shift))")
    }
}
