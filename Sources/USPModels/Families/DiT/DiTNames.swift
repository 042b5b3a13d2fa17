// Names of diffusion transformers: DiT's and SiT's releases and training files, REPA, diffusers.

import USPBase
import USPFiles

extension ModelKind {
    package static let diffusionTransformer = ModelKind(
        "diffusion transformer", [.lightningDiT, .diffusersDiT, .dit], tables: ["model", "ema"],
        official: { file throws(USPError) in try file.officialTransformer() },
        diffusers: { file throws(USPError) in try file.diffusersTransformer() })
}

extension Dialect {
    private static let ours = [
        "pos_embed", "x_embedder", "t_embedder", "y_embedder", "blocks", "final_layer", "feat_rope",
        "register_tokens", "projectors",
    ]

    static let dit = Dialect(
        name: "DiT", anchors: ["x_embedder.proj.weight"], schema: .diffusionTransformer,
        matches: {
            $0.contains("x_embedder.proj.weight") && $0.contains("t_embedder.mlp.0.weight")
        },
        meaning: { name, table in
            let parts = components(name)
            // REPA's early files call the blocks behind its projection point decoder blocks.
            if parts[0] == "decoder_blocks", parts.count > 2, let index = Int(parts[1]) {
                let first = countBlocks("blocks", table)
                return .parameter(
                    (["blocks", String(index + first)] + parts[2...]).joined(separator: "."))
            }
            return ours.contains(parts[0]) ? .parameter(name) : .unknown
        })

    private static let diffusersTop = [
        "pos_embed.proj": "x_embedder.proj", "proj_out_1": "final_layer.adaLN_modulation.1",
        "proj_out_2": "final_layer.linear",
    ]
    private static let diffusersEmbedders = [
        "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
    ]
    private static let diffusersBlock = [
        "norm1.linear": "adaLN_modulation.1", "attn1.to_out.0": "attn.proj",
        "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2",
    ]
    private static let queryKeyValue = ["attn1.to_q", "attn1.to_k", "attn1.to_v"]

    static let diffusersDiT = Dialect(
        name: "diffusers DiT", anchors: ["pos_embed.proj.weight"],
        schema: .diffusionTransformer,
        matches: { $0.contains("pos_embed.proj.weight") && $0.contains("proj_out_2.weight") },
        meaning: { name, _ in
            var parts = components(name)
            let kind = parts.removeLast()
            if let top = diffusersTop[parts.joined(separator: ".")] {
                return .parameter("\(top).\(kind)")
            }
            guard parts.count > 2, parts[0] == "transformer_blocks", let index = Int(parts[1])
            else {
                return name == "pos_embed.pos_embed" ? .parameter("pos_embed") : .unknown
            }
            let layer = parts[2...].joined(separator: ".")
            if let embedder = diffusersEmbedders[layer] {
                let target = "\(embedder).\(kind)"
                return index == 0 ? .parameter(target) : .duplicate(target)
            }
            if let part = queryKeyValue.firstIndex(of: layer) {
                return .parameter("blocks.\(index).attn.qkv.\(kind)", index: part, count: 3)
            }
            return diffusersBlock[layer].map { .parameter("blocks.\(index).\($0).\(kind)") }
                ?? .unknown
        })

    /// diffusers' names for one of DiT's, and whether they share its rows rather than repeat it:
    /// the embedders are in every block.
    static func diffusersTransformerNames(
        _ name: String, blocks: Int
    ) -> (names: [String], isStacked: Bool) {
        var parts = components(name)
        let kind = parts.removeLast()
        let layer = parts.joined(separator: ".")
        func key(_ table: [String: String], _ value: String) -> String? {
            table.first { $0.value == value }?.key
        }
        if let top = key(diffusersTop, layer) { return (["\(top).\(kind)"], false) }
        if let embedder = key(diffusersEmbedders, layer) {
            return ((0..<blocks).map { "transformer_blocks.\($0).\(embedder).\(kind)" }, false)
        }
        guard parts.count > 2, parts[0] == "blocks" else { return ([], false) }
        let (block, inner) = ("transformer_blocks.\(parts[1])", parts[2...].joined(separator: "."))
        if inner == "attn.qkv" { return (queryKeyValue.map { "\(block).\($0).\(kind)" }, true) }
        return (key(diffusersBlock, inner).map { ["\(block).\($0).\(kind)"] } ?? [], false)
    }
}

extension FileModel {
    /// The original's code needs a position table, which it computes, in the file.
    func officialTransformer() throws(USPError) -> [WrittenArray] {
        guard sources["pos_embed"] == nil else { return try plainArrays() }
        let table = try sineTable()
        let bytes = try ByteBuffer(count: table.count * MemoryLayout<Float>.size)
        table.withUnsafeBytes { bytes.bytes.copyMemory(from: $0) }
        let width = try shape("x_embedder.proj.weight").extents.first ?? 1
        let shape: Shape = [1, table.count / max(width, 1), width]
        let entry = ArchiveEntry("pos_embed", .float32, shape, bytes: bytes.view)
        let array = WrittenArray(name: "pos_embed", shape: shape, parts: [entry])
        return [array] + (try plainArrays())
    }

    /// Names and shapes alone: heads have no part in them.
    private var describing: LoadOptions {
        var options = LoadOptions()
        options.needsHeads = false
        return options
    }

    /// The fixed table of the file's grid.
    private func sineTable() throws(USPError) -> [Float] {
        let sizes = try diffusionConfiguration(describing, .dit)
        return try PositionTable.sincos(width: sizes.width, grid: sizes.grid)
    }

    func diffusersTransformer() throws(USPError) -> [WrittenArray] {
        try require(
            sources["blocks.0.norm1.weight"] == nil, .unsupported,
            "\(path): diffusers' DiT has no affine norms (blocks.0.norm1.weight)")
        try require(
            try diffusionConfiguration(describing, .dit).shift, .unsupported,
            "\(path): diffusers' DiT has no modulation without shifts")
        try expectSineTable()
        let blocks = depth("blocks")
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
        let expected = try sineTable()
        try SystemMemory.expect(source.shape.count, of: Float.self)
        var table = [Float](repeating: 0, count: source.shape.count)
        try table.fillAsFloats(source.parts[0])
        let tolerance: Float = source.dtype == .float32 ? 1e-5 : 1e-2
        let isSame =
            table.count == expected.count
            && zip(table, expected).allSatisfy { abs($0 - $1) < tolerance }
        try require(
            isSame, .unsupported,
            "\(path): pos_embed is not the table of sines and cosines that diffusers' DiT computes")
    }
}
