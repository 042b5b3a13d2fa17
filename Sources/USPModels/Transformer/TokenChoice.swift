// Some tokens of each sample.

import USPBase
import USPTensor

/// The same number of tokens of each sample.
package struct TokenChoice: Sendable, Equatable {
    /// B·R places.
    package let positions: [Int]
    /// R.
    package let perSample: Int

    package init(positions: [Int], perSample: Int) {
        (self.positions, self.perSample) = (positions, perSample)
    }

    /// The same tokens behind so many others.
    package func shifted(by leading: Int) -> TokenChoice {
        TokenChoice(positions: positions.map { $0 + leading }, perSample: perSample)
    }

    /// `[B, T, D]` -> `[B, R, D]`
    package func gather(_ x: Tensor, in context: Context) throws(USPError) -> Tensor {
        try context.gatherTokens(x, positions, perSample: perSample)
    }
}
