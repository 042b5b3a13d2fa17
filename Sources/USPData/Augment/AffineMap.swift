// Shears, translations and rotations: where each pixel of the result comes from.

import Glibc
import USPFiles

extension PixelImage {
    /// From the middle of a result pixel to its place in this image: six numbers, two rows.
    func affineMap(_ operation: AugmentOperation, _ argument: Double) -> [Double] {
        switch operation {
        case .shearX: [1, argument, 0, 0, 1, 0]
        case .shearY: [1, 0, 0, argument, 1, 0]
        case .translateX: [1, 0, argument * Double(width), 0, 1, 0]
        case .translateY: [1, 0, 0, 0, 1, argument * Double(height)]
        case .rotate: rotation(argument)
        default: [1, 0, 0, 0, 1, 0]
        }
    }

    /// Counter-clockwise around the middle; sine and cosine have 15 decimals, as Pillow rounds them.
    private func rotation(_ degrees: Double) -> [Double] {
        let turn = degrees.truncatingRemainder(dividingBy: 360)
        let angle = -(turn < 0 ? turn + 360 : turn) * (Double.pi / 180)
        let (cosine, sine) = (fifteenDecimals(cos(angle)), fifteenDecimals(sin(angle)))
        let (x, y) = (Double(width) / 2, Double(height) / 2)
        return [
            cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y,
        ]
    }
}

/// The nearest number of 15 decimals; of at most 1 in size.
private func fifteenDecimals(_ value: Double) -> Double {
    let scale = 1e15
    var whole = (value * scale).rounded(.toNearestOrEven)
    // the product was rounded itself: what is left of it decides
    let left = (-whole).addingProduct(value, scale)
    if left > 0.5 { whole += 1 }
    if left < -0.5 { whole -= 1 }
    return whole / scale
}
