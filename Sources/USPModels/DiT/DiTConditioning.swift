// What a diffusion transformer's blocks need to know of time and label, computed once a step.

import USPBase
import USPTensor

/// Shift, scale and gate of every block for each sample; any number of forward passes at the same
/// times and labels may use it.
package struct DiTConditioning {
    /// One `[B, 6·D]` a block.
    package let blocks: [Tensor]
    /// `[B, 2·D]`: shift and scale of the final layer.
    package let final: Tensor

    package var batch: Int { final.shape[0] }
}

extension DiT {
    /// Embeds times and labels and projects them for every block.
    ///
    /// Samples with the same time and label are computed once.
    /// - t: B times; y: B labels
    /// - Throws: `.shape`; `.argument` for a label outside the table
    package func conditioning(
        t: [Float], y: [Int], in context: Context
    ) throws(USPError) -> DiTConditioning {
        try require(
            t.count == y.count, .shape, "\(t.count) timesteps for \(y.count) labels")
        let (rows, times, labels) = distinct(t, y)
        // Times and labels are embedded in f32: it costs little, and every block depends on it.
        let precise = Context(tape: context.tape, random: context.random)
        let waves = try precise.timestepEmbedding(
            times, width: configuration.frequencies, shift: configuration.frequencyShift)
        let hidden = try timestep.first.forward(
            waves, LinearOptions(activation: .silu), in: precise)
        let label = try locating("labels") { () throws(USPError) in
            try precise.embedding(labelTable, labels)
        }
        let condition = try timestep.second.forward(
            hidden, LinearOptions(residual: label), in: precise)
        let activated = try precise.activate(condition, .silu)
        func project(_ layer: LinearLayer) throws(USPError) -> Tensor {
            let projected = try layer.forward(activated, in: context)
            return times.count == t.count ? projected : try context.embedding(projected, rows)
        }
        var modulations: [Tensor] = []
        for block in blocks {
            if let layer = block.modulation { modulations.append(try project(layer)) }
        }
        return DiTConditioning(blocks: modulations, final: try project(finalModulation))
    }

    /// The distinct pairs, and which of them each sample has.
    private func distinct(
        _ t: [Float], _ y: [Int]
    ) -> (rows: [Int], times: [Float], labels: [Int]) {
        struct Pair: Hashable {
            let time: UInt32
            let label: Int
        }
        var places: [Pair: Int] = [:]
        var (rows, times, labels): ([Int], [Float], [Int]) = ([], [], [])
        for (time, label) in zip(t, y) {
            let pair = Pair(time: time.bitPattern, label: label)
            if let place = places[pair] {
                rows.append(place)
            } else {
                places[pair] = times.count
                rows.append(times.count)
                times.append(time)
                labels.append(label)
            }
        }
        return (rows, times, labels)
    }
}
