// What is computed again for a gradient has the bits of what is kept, whatever is trained.

import TestSupport
import Testing
import USPBase
import USPTensor

/// Two layers after a norm, with a residual: large enough for products that share sums.
private struct HiddenLayer {
    static let names = ["x", "weight 1", "bias 1", "weight 2"]
    static let shapes: [Shape] = [[2, 64, 256], [512, 256], [512], [256, 512]]

    let compute: DType
    var normed = true

    /// - v: x and the parameters
    func forward(
        _ v: [Tensor], _ recomputes: Recomputation, in context: Context
    ) throws(USPError) -> Tensor {
        if recomputes != .blocks {
            return try layers(v, hidden: recomputes == .hidden, again: false, context)
        }
        return try context.recomputed([v[0]], uses: Array(v.dropFirst())) {
            inner, context, again throws(USPError) in
            try layers(inner + v.dropFirst(), hidden: false, again: again, context)
        }
    }

    private func layers(
        _ v: [Tensor], hidden: Bool, again: Bool, _ context: Context
    ) throws(USPError) -> Tensor {
        let normed = normed ? try context.layerNorm(v[0], output: compute) : v[0]
        let h = try context.linear(
            normed, v[1], v[2],
            LinearOptions(
                activation: .geluErf, output: compute, recomputesActivationInput: hidden))
        return try context.linear(
            h, v[3], nil, LinearOptions(residual: v[0], leavesResultUndefined: again))
    }

    /// The gradients of those that are trained, in the order of the names.
    func gradients(
        _ recomputes: Recomputation, trained: (Int) -> Bool
    ) throws -> [[Float]] {
        let values = try zip(Self.names, Self.shapes).map { try randomTensor($1, $0, scale: 0.3) }
        let gradients = try values.indices.filter(trained).map { try trainable(values[$0]) }
        let tape = Tape()
        let y = try forward(values, recomputes, in: Context(tape: tape, compute: compute))
        try tape.backward(from: y, gradient: randomTensor(y.shape, "gradient"))
        return gradients.map(\.values)
    }
}

@Test(arguments: [.float32, .bfloat16] as [DType], [true, false])
func recomputedGradientsAreTheSameWhateverIsTrained(_ compute: DType, normed: Bool) throws {
    let layer = HiddenLayer(compute: compute, normed: normed)
    try alone {
        for choice in 1..<1 << HiddenLayer.names.count {
            let trained = { (index: Int) in choice >> index & 1 == 1 }
            let kept = try layer.gradients(.nothing, trained: trained)
            #expect(kept.allSatisfy { $0.contains { $0 != 0 } })
            for recomputes in [Recomputation.hidden, .blocks] {
                let again = try layer.gradients(recomputes, trained: trained)
                #expect(again == kept, "\(recomputes), trained \(choice)")
            }
        }
    }
}

@Test func recomputingKeepsLess() throws {
    try alone {
        let layer = HiddenLayer(compute: .float32)
        let values = try HiddenLayer.shapes.map { try randomTensor($0, "values") }
        for value in values { value.node.setTrained() }
        let kept = try Recomputation.allCases.map { recomputes in
            let tape = Tape()
            let before = bytesInUse
            let y = try layer.forward(values, recomputes, in: Context(tape: tape))
            return bytesInUse - before - y.byteCount
        }
        let hidden = 2 * 64 * 512 * 4
        #expect(kept[1] <= kept[0] - hidden && kept[1] < hidden / 4)
        #expect(kept[2] == 0)
    }
}

private var bytesInUse: Int {
    MemoryPool.shared.trim()
    return MemoryPool.shared.mostInUse
}
