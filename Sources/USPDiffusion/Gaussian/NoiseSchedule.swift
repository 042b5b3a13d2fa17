// Noise schedules of the Gaussian process, and which of their steps a run uses.

import Glibc
import USPBase

/// How the variance of one step grows over the process. Source: Ho et al. 2020 (linear), Nichol
/// and Dhariwal 2021 (cosine).
public enum BetaSchedule: String, NamedChoice {
    case linear
    case cosine

    package static let what = "noise schedule"
    package static let aliases: [String: BetaSchedule] = ["squaredcos_cap_v2": .cosine]

    /// β of each step, in double.
    ///
    /// - Throws: `.argument` for fewer than 1 or more than a million steps, or, with the linear
    ///   one, for so few that β would pass 1 (below 20).
    package func betas(steps: Int) throws(USPError) -> [Double] {
        try require(
            (1...1_000_000).contains(steps), .argument,
            "diffusion steps: expected 1 to 1000000, got \(steps)")
        let betas = self == .linear ? linear(steps) : cosine(steps)
        try require(
            betas.allSatisfy { $0 > 0 && $0 <= 1 }, .argument,
            "noise schedule \(rawValue): \(steps) steps are too few, beta passes 1")
        return betas
    }

    private func linear(_ steps: Int) -> [Double] {
        let scale = 1000 / Double(steps)
        let (first, last) = (scale * 1e-4, scale * 0.02)
        guard steps > 1 else { return [first] }
        let stride = (last - first) / Double(steps - 1)
        return (0..<steps).map { $0 == steps - 1 ? last : first + Double($0) * stride }
    }

    private func cosine(_ steps: Int) -> [Double] {
        func remaining(_ step: Int) -> Double {
            let c = cos((Double(step) / Double(steps) + 0.008) / 1.008 * .pi / 2)
            return c * c
        }
        return (0..<steps).map { min(1 - remaining($0 + 1) / remaining($0), 0.999) }
    }
}

/// Which steps of a process a run uses.
package enum Respacing {
    /// The used steps in ascending order.
    ///
    /// - text: empty for all; "250" for that many evenly; "10,10,20" for so many in each of equal
    ///   sections; "ddim50" for the largest integer stride that gives exactly 50.
    /// - Throws: `.argument` for other text, for none, or for more steps than there are.
    package static func steps(_ text: String, of count: Int) throws(USPError) -> [Int] {
        if text.isEmpty { return Array(0..<count) }
        if text.hasPrefix("ddim") {
            return try strided(try number(text.dropFirst(4), in: text), of: count)
        }
        var sections: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            sections.append(try number(part, in: text))
        }
        return try sectioned(sections, of: count)
    }

    private static func number(_ part: Substring, in text: String) throws(USPError) -> Int {
        let digits = part.drop { $0 == " " }
        guard let value = Int(digits), value > 0 else {
            throw USPError(
                .argument,
                "respacing \"\(text)\": expected counts above 0 such as \"250\", \"10,10,20\" or "
                    + "\"ddim50\"")
        }
        return value
    }

    private static func strided(_ wanted: Int, of count: Int) throws(USPError) -> [Int] {
        for stride in 1..<max(count, 2) where (count + stride - 1) / stride == wanted {
            return Array(Swift.stride(from: 0, to: count, by: stride))
        }
        throw USPError(
            .argument,
            "respacing \"ddim\(wanted)\": no integer stride takes exactly \(wanted) of \(count) "
                + "steps")
    }

    private static func sectioned(_ sections: [Int], of count: Int) throws(USPError) -> [Int] {
        let (size, extra) = (count / sections.count, count % sections.count)
        var steps: [Int] = []
        var start = 0
        for (index, wanted) in sections.enumerated() {
            let length = size + (index < extra ? 1 : 0)
            try require(
                wanted <= length, .argument,
                "respacing: \(wanted) steps asked of a section of \(length)")
            let stride = wanted > 1 ? Double(length - 1) / Double(wanted - 1) : 1
            var position = 0.0
            for _ in 0..<wanted {
                let step = start + Int(position.rounded(.toNearestOrEven))
                if steps.last != step { steps.append(step) }
                position += stride
            }
            start += length
        }
        return steps
    }
}
