// A file's model under the names and shapes of another layout, its values untouched.

import USPBase
import USPFiles

/// Layouts that models are written in.
package enum WrittenDialect: String, Sendable, CaseIterable {
    /// CompVis', MAE's, DiT's own names.
    case official
    /// The same, nested as the family's training scripts save it.
    case training
    case diffusers

    /// The keys that a training file nests the model under.
    package static func tables(_ family: ModelFamily) -> [String] {
        switch family {
        case .autoencoder: ["state_dict"]
        case .visionTransformer: ["model"]
        case .diffusionTransformer: ["model", "ema"]
        case .inception: []
        }
    }
}

/// One array of a layout: arrays of the file, one after another.
package struct WrittenArray {
    package let name: String
    package let shape: Shape
    package let parts: [ArchiveEntry]
}

extension FileModel {
    /// The model's arrays in another layout; what the file has beside them stays behind.
    ///
    /// - Throws: `.unsupported` for what the layout cannot say, naming it
    package func written(as wanted: WrittenDialect) throws(USPError) -> [WrittenArray] {
        try require(
            unexpected.isEmpty, .unsupported,
            "\(path): no name in another layout for "
                + unexpected.prefix(8).joined(separator: ", "))
        for name in names where sources[name]?.rowScale != nil {
            throw USPError(
                .unsupported, "\(path): \(name): factors of rows have no place elsewhere")
        }
        switch (wanted, dialect.family) {
        case (.diffusers, .autoencoder): return try diffusersAutoencoder()
        case (.diffusers, .diffusionTransformer): return try diffusersTransformer()
        case (.diffusers, .visionTransformer), (.diffusers, .inception):
            throw USPError(
                .unsupported,
                "\(path): diffusers has no masked autoencoders, classifiers or Inception networks")
        case (.official, _), (.training, _): return try official()
        }
    }

    /// What names and shapes do not tell a reader of another layout: our own texts, the latents'
    /// normalisation, heads and grid.
    package var carried: [(key: String, value: String)] {
        var texts: [(key: String, value: String)] = []
        if let sizes = try? autoencoderConfiguration(), dialect.family == .autoencoder {
            func list(_ values: [Float]) -> String {
                values.map { "\($0)" }.joined(separator: ",")
            }
            texts = [
                ("usp.scale", list(sizes.normalization.scale)),
                ("usp.shift", list(sizes.normalization.shift)), ("usp.groups", "\(sizes.groups)"),
            ]
        } else if dialect.family == .diffusionTransformer, let sizes = try? diffusionConfiguration()
        {
            texts = [("usp.heads", "\(sizes.heads)"), ("usp.grid", "\(sizes.grid)")]
        }
        let own = metadata.filter { text in
            text.key.hasPrefix("usp.") && !texts.contains { $0.key == text.key }
        }
        return own + texts
    }

    /// Sizes without the heads, which names and shapes do not depend on.
    private func diffusionSizes() throws(USPError) -> DiTConfiguration {
        var options = InferenceOptions()
        options.heads = 1
        return try diffusionConfiguration(options)
    }

    private func parts(_ name: String) -> [ArchiveEntry] { sources[name]?.parts ?? [] }

    private func official() throws(USPError) -> [WrittenArray] {
        var result: [WrittenArray] = []
        if dialect.family == .diffusionTransformer && sources["pos_embed"] == nil {
            let sizes = try diffusionSizes()
            let table = try PositionTable.sincos(width: sizes.width, grid: sizes.grid)
            let bytes = try ByteBuffer(count: table.count * MemoryLayout<Float>.size)
            table.withUnsafeBytes { bytes.bytes.copyMemory(from: $0) }
            let shape: Shape = [1, sizes.grid.count, sizes.width]
            let entry = ArchiveEntry("pos_embed", .float32, shape, bytes: bytes.view)
            result.append(WrittenArray(name: "pos_embed", shape: shape, parts: [entry]))
        }
        for name in names {
            var shape = try shape(name)
            if dialect.family == .autoencoder && Dialect.isAttentionMatrix(name) && shape.rank == 2
            {
                shape = [shape[0], shape[1], 1, 1]
            }
            result.append(WrittenArray(name: name, shape: shape, parts: parts(name)))
        }
        return result
    }

    private func diffusersAutoencoder() throws(USPError) -> [WrittenArray] {
        let levels = try autoencoderConfiguration().multipliers.count
        var result: [WrittenArray] = []
        for name in names {
            var shape = try shape(name)
            if Dialect.isAttentionMatrix(name) && shape.rank == 4 {
                shape = [shape[0], shape.count / max(shape[0], 1)]
            }
            result.append(
                WrittenArray(
                    name: Dialect.diffusersName(name, levels: levels), shape: shape,
                    parts: parts(name)))
        }
        return result
    }

    private func diffusersTransformer() throws(USPError) -> [WrittenArray] {
        try require(
            sources["blocks.0.norm1.weight"] == nil, .unsupported,
            "\(path): diffusers' DiT has no affine norms (blocks.0.norm1.weight)")
        try expectSineTable()
        let blocks = try diffusionSizes().depth
        var result: [WrittenArray] = []
        for name in names where name != "pos_embed" {
            let (targets, isStacked) = Dialect.diffusersTransformerNames(name, blocks: blocks)
            try require(
                !targets.isEmpty, .unsupported, "\(path): diffusers' DiT has no place for \(name)")
            let (shape, parts) = (try shape(name), parts(name))
            guard isStacked else {
                result += targets.map { WrittenArray(name: $0, shape: shape, parts: parts) }
                continue
            }
            let rows = shape[0] / 3
            for (index, target) in targets.enumerated() {
                let part =
                    parts.count == 3
                    ? parts[index] : try parts[0].rows(index * rows..<(index + 1) * rows)
                result.append(WrittenArray(name: target, shape: part.shape, parts: [part]))
            }
        }
        return result
    }

    /// diffusers keeps no table and computes the sines and cosines itself.
    private func expectSineTable() throws(USPError) {
        guard let source = sources["pos_embed"] else { return }
        let sizes = try diffusionSizes()
        let expected = try PositionTable.sincos(width: sizes.width, grid: sizes.grid)
        try SystemMemory.expect(source.shape.count, of: Float.self)
        var table = [Float](repeating: 0, count: source.shape.count)
        try table.fillAsFloats(source.parts[0])
        let isSame =
            table.count == expected.count
            && zip(table, expected).allSatisfy { abs($0 - $1) < 1e-2 }
        try require(
            isSame, .unsupported,
            "\(path): pos_embed is not the table of sines and cosines that diffusers' DiT computes")
    }
}
