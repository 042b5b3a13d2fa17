// What a diffusion transformer's blocks need to know of time and label, computed once a step.

import USPBase
import USPTensor

/// Shift, scale and gate of every block for each sample; any number of forward passes at the same
/// times and labels may use it.
package struct DiTConditioning {
    /// One `[B, n·D]` a block, computed with the first pass that uses it.
    package let blocks: [Modulation]
    /// `[B, 2·D]`: shift and scale of the final layer.
    package let final: Tensor

    package var batch: Int { final.shape[0] }
}

/// What of a batch's times and labels is different, each to be computed once.
package struct DistinctConditions: Equatable {
    /// The distinct times.
    package private(set) var times: [Float] = []
    /// The distinct pairs: which of `times`, and the label.
    package private(set) var timeRows: [Int] = []
    package private(set) var labels: [Int] = []
    /// Which pair each sample has.
    package private(set) var rows: [Int] = []

    package init(_ t: [Float], _ y: [Int]) {
        struct Pair: Hashable {
            let time: UInt32
            let label: Int
        }
        var timePlaces: [UInt32: Int] = [:]
        var places: [Pair: Int] = [:]
        for (time, label) in zip(t, y) {
            let pair = Pair(time: time.bitPattern, label: label)
            if let place = places[pair] {
                rows.append(place)
                continue
            }
            places[pair] = labels.count
            rows.append(labels.count)
            labels.append(label)
            if let row = timePlaces[pair.time] {
                timeRows.append(row)
            } else {
                timePlaces[pair.time] = times.count
                timeRows.append(times.count)
                times.append(time)
            }
        }
    }
}

extension DiT {
    /// Embeds times and labels, to be projected for every block.
    ///
    /// A time is embedded once, however many samples have it; so is a pair of time and label
    /// projected once: a sampler's step costs one time, and one projection for each label.
    /// - t: B times; y: B labels
    /// - Throws: `.shape`; `.argument` for a label outside the table
    package func conditioning(
        t: [Float], y: [Int], in context: Context
    ) throws(USPError) -> DiTConditioning {
        try require(
            t.count == y.count, .shape, "\(t.count) timesteps for \(y.count) labels")
        let distinct = DistinctConditions(t, y)
        // Times and labels are embedded in f32: it costs little, and every block depends on it.
        let precise = Context(
            tape: context.tape, random: context.random, exact: context.exact)
        let waves = try precise.timestepEmbedding(
            distinct.times, width: configuration.frequencies, shift: configuration.frequencyShift)
        let hidden = try timestep.first.forward(
            waves, LinearOptions(activation: .silu), in: precise)
        let label = try locating("labels") { () throws(USPError) in
            try precise.embedding(labelTable, distinct.labels)
        }
        let condition: Tensor
        if distinct.times.count == distinct.labels.count {
            condition = try timestep.second.forward(
                hidden, LinearOptions(residual: label), in: precise)
        } else {
            let times = try timestep.second.forward(hidden, in: precise)
            condition = try precise.add(precise.embedding(times, distinct.timeRows), label)
        }
        let activated = try precise.activate(condition, .silu)
        let rows = distinct.labels.count == t.count ? nil : distinct.rows
        func projection(_ layer: LinearLayer) -> Modulation {
            Modulation(activated, layer, rows: rows, in: context)
        }
        let modulations = blocks.compactMap { $0.modulation.map(projection) }
        if context.tape != nil {
            for modulation in modulations { _ = try modulation.value() }
        }
        return DiTConditioning(
            blocks: modulations, final: try projection(finalModulation).value())
    }
}
