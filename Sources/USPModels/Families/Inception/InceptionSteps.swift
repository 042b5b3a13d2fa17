// The Inception network of published FID values, as data: TensorFlow's graph of 2015-12-05 under
// the names of its PyTorch ports.

import USPBase
import USPTensor

/// What happens to images `[B, H, W, C]` next. Widths of inputs follow from what came before.
indirect enum InceptionStep: Sendable {
    /// A convolution without bias, batch norm and ReLU, as `NAME.conv` and `NAME.bn`; padded, its
    /// result is as large as its input.
    case convolution(
        _ name: String, _ outputs: Int, height: Int, width: Int, stride: Int, isPadded: Bool)
    /// Of 3x3 pixels.
    case maxPool(stride: Int, isPadded: Bool)
    /// Of 3x3 pixels at stride 1, padded; the padding does not count.
    case meanPool
    /// All on the same input; their results follow each other as channels.
    case branches([[InceptionStep]])

    static func convolution(
        _ name: String, _ outputs: Int, _ side: Int, stride: Int = 1, isPadded: Bool = false
    ) -> InceptionStep {
        .convolution(
            name, outputs, height: side, width: side, stride: stride, isPadded: isPadded)
    }

    /// Of `height` x `width`, padded.
    static func bar(
        _ name: String, _ outputs: Int, _ height: Int, _ width: Int
    ) -> InceptionStep {
        .convolution(name, outputs, height: height, width: width, stride: 1, isPadded: true)
    }

    /// The shape of the result on an input of this one.
    func result(_ x: Shape) throws(USPError) -> Shape {
        switch self {
        case .convolution(_, let outputs, let height, let width, let stride, let isPadded):
            let (rows, columns) = isPadded ? (0, 0) : (height - 1, width - 1)
            return [
                x[0], (x[1] - rows - 1) / stride + 1, (x[2] - columns - 1) / stride + 1, outputs,
            ]
        case .maxPool(let stride, let isPadded):
            return try pooledShape(x, size: 3, stride: stride, padding: isPadded ? 1 : 0)
        case .meanPool: return x
        case .branches(let branches):
            var (shape, channels) = (x, 0)
            for branch in branches {
                shape = x
                for step in branch { shape = try step.result(shape) }
                channels += shape[3]
            }
            return [shape[0], shape[1], shape[2], channels]
        }
    }
}

extension Inception {
    /// 299x299 to 35x35.
    static let stem: [InceptionStep] = [
        .convolution("Conv2d_1a_3x3", 32, 3, stride: 2), .convolution("Conv2d_2a_3x3", 32, 3),
        .convolution("Conv2d_2b_3x3", 64, 3, isPadded: true), .maxPool(stride: 2, isPadded: false),
        .convolution("Conv2d_3b_1x1", 80, 1), .convolution("Conv2d_4a_3x3", 192, 3),
        .maxPool(stride: 2, isPadded: false),
    ]

    /// To 17x17, up to the block whose first channels are the spatial features.
    static let middle: [InceptionStep] = [
        blockA("Mixed_5b", pooled: 32), blockA("Mixed_5c", pooled: 64),
        blockA("Mixed_5d", pooled: 64), blockB("Mixed_6a"), blockC("Mixed_6b", inner: 128),
        blockC("Mixed_6c", inner: 160), blockC("Mixed_6d", inner: 160),
    ]

    /// To 8x8.
    static let end: [InceptionStep] = [
        blockC("Mixed_6e", inner: 192), blockD("Mixed_7a"), blockE("Mixed_7b", pool: .meanPool),
        // a maximum where the paper has a mean: so it is in the graph
        blockE("Mixed_7c", pool: .maxPool(stride: 1, isPadded: true)),
    ]

    private static func blockA(_ name: String, pooled: Int) -> InceptionStep {
        .branches([
            [.convolution("\(name).branch1x1", 64, 1)],
            [
                .convolution("\(name).branch5x5_1", 48, 1),
                .convolution("\(name).branch5x5_2", 64, 5, isPadded: true),
            ],
            [
                .convolution("\(name).branch3x3dbl_1", 64, 1),
                .convolution("\(name).branch3x3dbl_2", 96, 3, isPadded: true),
                .convolution("\(name).branch3x3dbl_3", 96, 3, isPadded: true),
            ],
            [.meanPool, .convolution("\(name).branch_pool", pooled, 1)],
        ])
    }

    private static func blockB(_ name: String) -> InceptionStep {
        .branches([
            [.convolution("\(name).branch3x3", 384, 3, stride: 2)],
            [
                .convolution("\(name).branch3x3dbl_1", 64, 1),
                .convolution("\(name).branch3x3dbl_2", 96, 3, isPadded: true),
                .convolution("\(name).branch3x3dbl_3", 96, 3, stride: 2),
            ],
            [.maxPool(stride: 2, isPadded: false)],
        ])
    }

    private static func blockC(_ name: String, inner: Int) -> InceptionStep {
        .branches([
            [.convolution("\(name).branch1x1", 192, 1)],
            [
                .convolution("\(name).branch7x7_1", inner, 1),
                .bar("\(name).branch7x7_2", inner, 1, 7), .bar("\(name).branch7x7_3", 192, 7, 1),
            ],
            [
                .convolution("\(name).branch7x7dbl_1", inner, 1),
                .bar("\(name).branch7x7dbl_2", inner, 7, 1),
                .bar("\(name).branch7x7dbl_3", inner, 1, 7),
                .bar("\(name).branch7x7dbl_4", inner, 7, 1),
                .bar("\(name).branch7x7dbl_5", 192, 1, 7),
            ],
            [.meanPool, .convolution("\(name).branch_pool", 192, 1)],
        ])
    }

    private static func blockD(_ name: String) -> InceptionStep {
        .branches([
            [
                .convolution("\(name).branch3x3_1", 192, 1),
                .convolution("\(name).branch3x3_2", 320, 3, stride: 2),
            ],
            [
                .convolution("\(name).branch7x7x3_1", 192, 1),
                .bar("\(name).branch7x7x3_2", 192, 1, 7), .bar("\(name).branch7x7x3_3", 192, 7, 1),
                .convolution("\(name).branch7x7x3_4", 192, 3, stride: 2),
            ],
            [.maxPool(stride: 2, isPadded: false)],
        ])
    }

    private static func blockE(_ name: String, pool: InceptionStep) -> InceptionStep {
        .branches([
            [.convolution("\(name).branch1x1", 320, 1)],
            [
                .convolution("\(name).branch3x3_1", 384, 1),
                .branches([
                    [.bar("\(name).branch3x3_2a", 384, 1, 3)],
                    [.bar("\(name).branch3x3_2b", 384, 3, 1)],
                ]),
            ],
            [
                .convolution("\(name).branch3x3dbl_1", 448, 1),
                .convolution("\(name).branch3x3dbl_2", 384, 3, isPadded: true),
                .branches([
                    [.bar("\(name).branch3x3dbl_3a", 384, 1, 3)],
                    [.bar("\(name).branch3x3dbl_3b", 384, 3, 1)],
                ]),
            ],
            [pool, .convolution("\(name).branch_pool", 192, 1)],
        ])
    }
}
