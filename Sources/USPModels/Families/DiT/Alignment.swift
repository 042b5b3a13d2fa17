// Representation alignment (REPA, Yu et al. 2025): projected tokens of a diffusion transformer beside
// a frozen teacher's of the clean image.

import USPBase
import USPTensor

extension DiT {
    /// The prediction, and the cosine of each projected token with its teacher's: `[B, T]` for each
    /// projector.
    ///
    /// - features: `[B, T, Z]` f32 for each projector; they get no gradient
    /// - Throws: `.shape` naming what does not fit, and images of which size would
    package func aligning(
        _ x: Tensor, t: [Float], y: [Int], with features: [Tensor], in context: Context
    ) throws(USPError) -> (output: Tensor, cosines: [Tensor]) {
        try expectProjectors()
        try checkFeatures(features, batch: t.count)
        let (output, projections) = try projecting(x, t: t, y: y, in: context)
        var cosines: [Tensor] = []
        for (projection, teacher) in zip(projections, features) {
            // As `normalize` of both: the length is at least 1e-12.
            cosines.append(
                try context.cosineSimilarity(projection, teacher, epsilon: 1e-12))
        }
        return (output, cosines)
    }

    /// −mean of the cosines over teachers and tokens, one a sample.
    package static func alignment(_ cosines: [Tensor]) -> [Float] {
        let batch = cosines.first?.shape[0] ?? 0
        return (0..<batch).map { sample in
            var sum = 0.0
            for tensor in cosines {
                let tokens = tensor.count / batch
                let row = UnsafeBufferPointer(
                    start: tensor.floats + sample * tokens, count: tokens)
                sum += row.reduce(0.0) { $0 + Double($1) } / Double(tokens)
            }
            return Float(-sum / Double(cosines.count))
        }
    }

    private func checkFeatures(_ features: [Tensor], batch: Int) throws(USPError) {
        let widths = configuration.projections
        try require(
            features.count == widths.count, .shape,
            "features: of \(features.count) teachers, expected \(widths.count), one for each "
                + "projector")
        for (index, (tensor, width)) in zip(features, widths).enumerated() {
            let (shape, name) = (tensor.shape, widths.count > 1 ? "features[\(index)]" : "features")
            try require(
                tensor.dtype == .float32, .dtype,
                "\(name): expected f32, got \(tensor.dtype.name)")
            try require(
                shape.rank == 3 && shape[0] == batch, .shape,
                "\(name): shape \(shape), expected [\(batch), \(configuration.tokens), \(width)]")
            try require(
                shape[1] == configuration.tokens, .shape,
                "\(name): \(shape[1]) tokens\(square(shape[1])), but the model has "
                    + "\(configuration.tokens) (\(configuration.grid)), and they are compared one by "
                    + "one: \(fittingImages)")
            try require(
                shape[2] == width, .shape,
                "\(name): a teacher \(shape[2]) wide, but the projector predicts \(width) "
                    + "(projections \(widths.map(String.init).joined(separator: ",")))")
        }
    }

    private func square(_ tokens: Int) -> String {
        Grid.square(tokens).map { " (\($0))" } ?? ""
    }

    /// What a teacher has to be shown.
    private var fittingImages: String {
        let grid = configuration.grid
        let sizes = [14, 16].map {
            "\(grid.height * $0) x \(grid.width * $0) pixels where its patches have \($0)"
        }
        return "show the teacher images of \(sizes.joined(separator: ", or "))"
    }
}
