// What happens to values on the way where the target's norms are other ones than the source's.

import USPBase
import USPModels
import USPTensor

extension TransferRun {
    func apply(
        _ step: TransferStep, to values: UnsafeMutableBufferPointer<Float>, _ entry: TransferEntry
    ) throws(USPError) {
        switch step {
        case .centre(let isRows):
            let width = isRows ? entry.shape[0] : entry.shape[-1]
            centre(values, width: width, isRows: isRows)
        case .scaleColumns(let norm):
            let gamma = try named("\(norm).weight")
            try check(values.count % max(gamma.count, 1) == 0, norm)
            for i in values.indices { values[i] *= gamma[i % gamma.count] }
        case .addShift(let weight, let norm):
            let (matrix, beta) = (try named(weight), try named("\(norm).bias"))
            try check(matrix.count == values.count * beta.count, norm)
            for row in values.indices {
                let start = row * beta.count
                values[row] += Float(
                    beta.indices.reduce(0.0) {
                        $0 + Double(matrix[start + $1]) * Double(beta[$1])
                    })
            }
        case .foldShifts(let block): try foldShifts(block, values, entry)
        }
    }

    /// LN(x) = RMS(x − mean x): tokens without a mean need none taken away.
    private func centre(_ values: UnsafeMutableBufferPointer<Float>, width: Int, isRows: Bool) {
        let groups = values.count / max(width, 1)
        let (step, next) = isRows ? (groups, 1) : (1, width)
        for group in 0..<groups {
            let first = group * next
            let mean =
                (0..<width).reduce(0.0) { $0 + Double(values[first + $1 * step]) }
                / Double(max(width, 1))
            for i in 0..<width {
                let place = first + i * step
                values[place] = Float(Double(values[place]) - mean)
            }
        }
    }

    /// (γz + β)(1 + s) + m = γ(z(1 + s) + (m + βs)/γ) + β
    private func foldShifts(
        _ block: Int, _ values: UnsafeMutableBufferPointer<Float>, _ entry: TransferEntry
    ) throws(USPError) {
        let parts = ModulationParts(shifts: true)
        let chunk = values.count / parts.count
        for half in [0, 1] {
            let norm = "blocks.\(block).norm\(half + 1)"
            let (gamma, beta) = (try named("\(norm).weight"), try named("\(norm).bias"))
            try check(chunk % max(gamma.count, 1) == 0 && beta.count == gamma.count, norm)
            try require(
                gamma.allSatisfy { $0 != 0 }, .argument,
                "fold_norms: \(norm).weight has zeros, whose shifts cannot be kept")
            let columns = chunk / gamma.count
            guard let shift = parts.shift(half) else { continue }
            for i in 0..<chunk {
                let row = i / columns
                values[shift * chunk + i] =
                    (values[shift * chunk + i] + beta[row] * values[parts.scale(half) * chunk + i])
                    / gamma[row]
            }
        }
    }

    private func check(_ fits: Bool, _ norm: String) throws(USPError) {
        try require(fits, .shape, "\(norm): does not fit the layer behind it")
    }

    /// All values of one of the source's tensors, by our name.
    private func named(_ name: String) throws(USPError) -> [Float] {
        guard let source = sources[name] else {
            throw USPError(
                .missingWeight, "no \(name) in the source, which norms are to be folded of")
        }
        let tensor = try Tensor([source.shape.count])
        try source.fill(tensor)
        try SystemMemory.expect(tensor.count, of: Float.self)
        return tensor.values
    }
}
