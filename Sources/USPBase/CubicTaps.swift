// Keys' cubic convolution (1981) as PyTorch resamples with it: which old values each new one is made
// of.

/// For each new position along an axis the old ones it is made of, and their weights.
///
/// - ratio: old positions to a new one, which need not be old over new
/// - antialiased: the kernel widens when shrinking, and a is −0.5, else −0.75
package func cubicTaps(
    from old: Int, to new: Int, ratio: Float, antialiased: Bool
) -> [[(source: Int, weight: Double)]] {
    // Places in f32, as PyTorch computes them (the plain ones by one fused operation): where the ratio
    // is not exact that moves a table by up to 3e-6.
    guard antialiased else {
        return (0..<new).map { position in
            let centre = (-0.5 as Float).addingProduct(ratio, Float(position) + 0.5)
            let first = Int(centre.rounded(.down))
            let fraction = Double(centre - Float(first))
            return (-1...2).map { tap in
                (
                    source: min(max(first + tap, 0), old - 1),
                    weight: cubic(Double(tap) - fraction, a: -0.75)
                )
            }
        }
    }
    let stretch = max(ratio, 1)
    return (0..<new).map { position in
        let centre = ratio * (Float(position) + 0.5)
        let first = max(Int(centre - 2 * stretch + 0.5), 0)
        let last = min(Int(centre + 2 * stretch + 0.5), old)
        let raw = (first..<last).map {
            cubic(Double((Float($0) - centre + 0.5) * (1 / stretch)), a: -0.5)
        }
        let sum = raw.reduce(0, +)
        return raw.enumerated().map { (source: first + $0, weight: $1 / sum) }
    }
}

private func cubic(_ x: Double, a: Double) -> Double {
    let d = abs(x)
    if d <= 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
    if d < 2 { return ((d - 5) * d + 8) * d * a - 4 * a }
    return 0
}
