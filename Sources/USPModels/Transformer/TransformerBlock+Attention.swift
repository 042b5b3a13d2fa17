// Which tokens a block's attention takes from.

import USPBase
import USPTensor

extension TransformerBlock {
    /// Attention's probabilities for each head: row t of `[T, T]` is what token t takes from each.
    ///
    /// The values are set to columns of the identity, so that attention itself, with its norms, rotation
    /// and biases, gives the probabilities: as many tokens in one pass as a head is wide.
    ///
    /// - x: `[B, T, D]`, what goes into the block
    /// - Returns: `[B, N, T, T]`, f32
    package func attentionMap(
        _ x: Tensor, modulation: Tensor? = nil, rotation: Rotation? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let qkv = try qkv.forward(
            x, LinearOptions(norm: modulated(norm1, 0, modulation)), in: context)
        let (batch, tokens, heads) = (x.shape[0], x.shape[1], configuration.heads)
        let (width, head) = (configuration.width, configuration.width / configuration.heads)
        let result = try Tensor([batch, heads, tokens, tokens])
        for first in stride(from: 0, to: tokens, by: head) {
            for row in 0..<batch * tokens {
                let values = qkv.floats + row * 3 * width + 2 * width
                values.update(repeating: 0, count: width)
                let place = row % tokens - first
                guard (0..<head).contains(place) else { continue }
                for index in 0..<heads { values[index * head + place] = 1 }
            }
            let part = try context.attention(
                qkv: qkv, heads: heads,
                queryKey: QueryKeyOptions(
                    queryNorm: headNorms?.query.layerNorm(), keyNorm: headNorms?.key.layerNorm(),
                    rotation: rotation), bias: bias)
            let count = min(head, tokens - first)
            for sample in 0..<batch {
                for index in 0..<heads {
                    for token in 0..<tokens {
                        let row = (sample * heads + index) * tokens + token
                        (result.floats + row * tokens + first).update(
                            from: part.floats + (sample * tokens + token) * width + index * head,
                            count: count)
                    }
                }
            }
        }
        return result
    }
}

/// Calls the body with layers in ascending order, each once; gives its results in the given order.
///
/// - layers: 1 is the first block
/// - Throws: `.argument` for a block that the model does not have
package func afterLayers(
    _ layers: [Int], depth: Int, _ body: (_ ascending: [Int]) throws(USPError) -> [Tensor]
) throws(USPError) -> [Tensor] {
    for layer in layers {
        try require(
            (1...max(depth, 1)).contains(layer), .argument,
            "layers: \(layer), expected 1 to \(depth)")
    }
    let ascending = Array(Set(layers)).sorted()
    let found = try body(ascending)
    return layers.compactMap { layer in ascending.firstIndex(of: layer).map { found[$0] } }
}
