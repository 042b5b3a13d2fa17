// Carrying a plan out: one tensor at a time, into memory or into a file.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// Makes the tensors of a plan. What a fixed time and label need is computed once, when first
/// asked.
final class TransferRun {
    private let plan: TransferPlan
    private var modulations: [Modulation]?
    /// Whether they have shifts.
    private var shifts = true

    init(_ plan: TransferPlan) { self.plan = plan }

    /// The source's tensors by our names.
    var sources: [String: TensorSource] { plan.source.file.sources }

    private var key: RandomKey { RandomKey(seed: plan.options.seed) }

    /// The source's own array, if the entry is exactly that.
    func untouched(_ entry: TransferEntry) -> ArchiveEntry? {
        guard entry.operation == .copy, entry.steps.isEmpty,
            let source = plan.source.file.sources[entry.sourceName],
            source.parts.count == 1, source.rowScale == nil,
            source.parts[0].shape == entry.shape
        else { return nil }
        return source.parts[0]
    }

    /// Whether the entry is nothing but zeros.
    func isZero(_ entry: TransferEntry) -> Bool {
        entry.operation == .initialize && entry.initializer == .zeros
    }

    /// The entry's values, f32.
    func values(_ entry: TransferEntry) throws(USPError) -> Tensor {
        let tensor = try Tensor(entry.shape)
        let target = UnsafeMutableBufferPointer(start: tensor.floats, count: tensor.count)
        switch entry.operation {
        case .copy, .reshape: try source(entry).fill(tensor)
        case .initialize: entry.initializer.fill(target, key.stream(entry.name))
        case .gates(let bias):
            entry.initializer.fill(target, key.stream(entry.name))
            let parts = ModulationParts(shifts: plan.configuration.shift)
            let width = entry.shape.count / parts.count
            for chunk in [0, 1].map(parts.gate) {
                for i in 0..<width { target[chunk * width + i] = bias }
            }
        case .positions(let change):
            try write(try positions(entry, change), to: target, entry)
        case .learnedPositions(let change):
            entry.initializer.fill(target, key.stream(entry.name))
            let rows = try positions(entry, change)
            try require(rows.count <= target.count, .internal, "\(entry.name): \(entry.shape)")
            for (index, value) in rows.enumerated() {
                target[target.count - rows.count + index] = value
            }
        case .patches(let change):
            let kernel = try floats(entry)
            try write(
                try PatchResize.kernel(
                    kernel, width: entry.shape[0], change, plan.options.channelRule),
                to: target, entry)
        case .outputs(let before, let after):
            let rows = try floats(entry)
            let length = entry.shape.count / max(entry.shape[0], 1)
            target.update(repeating: 0)
            for row in 0..<entry.shape[0] where row % after < before {
                let start = (row / after * before + row % after) * length
                for i in 0..<length { target[row * length + i] = rows[start + i] }
            }
        case .modulatedNorm(let block, let half, let isBias):
            try write(try norm(entry, block, half, isBias), to: target, entry)
        case .gatedRows(let block, let half):
            try source(entry).fill(tensor)
            let gates = try modulation(block) { $0.gate(half) }
            let width = tensor.count / max(gates.count, 1)
            for (row, gate) in gates.enumerated() {
                for i in row * width..<(row + 1) * width { target[i] *= gate }
            }
        }
        for step in entry.steps { try apply(step, to: target, entry) }
        return tensor
    }

    private func write(
        _ values: [Float], to target: UnsafeMutableBufferPointer<Float>, _ entry: TransferEntry
    ) throws(USPError) {
        try require(
            values.count == target.count, .internal,
            "\(entry.name): \(values.count) values for \(entry.shape)")
        _ = target.update(fromContentsOf: values)
    }

    private func source(_ entry: TransferEntry) throws(USPError) -> TensorSource {
        guard let source = plan.source.file.sources[entry.sourceName] else {
            throw USPError(.internal, "\(entry.name): no source \(entry.sourceName)")
        }
        return source
    }

    private func floats(_ entry: TransferEntry) throws(USPError) -> [Float] {
        let source = try source(entry)
        let tensor = try Tensor([source.shape.count])
        try source.fill(tensor)
        // Twice: what is made of them lies beside them.
        try SystemMemory.expect(2 * tensor.count, of: Float.self)
        return tensor.values
    }

    private func positions(
        _ entry: TransferEntry, _ change: PositionChange
    ) throws(USPError) -> [Float] {
        let width = entry.shape[2]
        var table = try floats(entry)
        var leading = change.leadingBefore
        if leading > change.leadingAfter {
            table.removeFirst((leading - change.leadingAfter) * width)
            leading = change.leadingAfter
        }
        table = try PositionTable.resize(
            table, width: width, from: change.from, to: change.to, leading: leading,
            plan.options.resampling)
        let added = change.leadingAfter - leading
        return added > 0 ? [Float](repeating: 0, count: added * width) + table : table
    }

    /// (LN(x)·γ + β)·(1 + s) + m = LN(x)·γ(1 + s) + (β(1 + s) + m)
    private func norm(
        _ entry: TransferEntry, _ block: Int, _ half: Int, _ isBias: Bool
    ) throws(USPError) -> [Float] {
        let scale = try modulation(block) { $0.scale(half) }
        let shift = try modulation(block) { $0.shift(half) }
        let isPlain = plan.source.file.sources[entry.sourceName] == nil
        let own =
            isPlain
            ? [Float](repeating: isBias ? 0 : 1, count: scale.count) : try floats(entry)
        return scale.indices.map { own[$0] * (1 + scale[$0]) + (isBias ? shift[$0] : 0) }
    }

    /// One of the chunks of a block's modulation at the plan's time and label; zeros where it has
    /// none.
    private func modulation(
        _ block: Int, _ part: (ModulationParts) -> Int?
    ) throws(USPError) -> [Float] {
        let all: [Modulation]
        if let present = modulations {
            all = present
        } else {
            var options = LoadOptions()
            options = plan.options.source
            options.needsHeads = false
            let model = try DiT.load(plan.source.archive, options).model
            let label = plan.options.label ?? model.configuration.classes
            shifts = model.configuration.shift
            all = try model.conditioning(t: [plan.options.timestep], y: [label], in: Context())
                .blocks
            modulations = all
        }
        let values = try all[block].value().values
        let parts = ModulationParts(shifts: shifts)
        let width = values.count / parts.count
        guard let chunk = part(parts) else { return [Float](repeating: 0, count: width) }
        return Array(values[chunk * width..<(chunk + 1) * width])
    }
}

extension TransferPlan {
    /// Carries the plan out in memory; arrays that are copied stay in the source's file.
    public func apply() throws(USPError) -> Checkpoint {
        try Checkpoint(entries: arrays(), metadata: metadata)
    }

    /// The target's arrays in memory, those that are copied still in the source's file.
    package func arrays() throws(USPError) -> [ArchiveEntry] {
        let run = TransferRun(self)
        var result: [ArchiveEntry] = []
        for entry in entries {
            if let original = run.untouched(entry), original.dtype == .float32 {
                result.append(original.renamed(entry.name))
                continue
            }
            let tensor = try run.values(entry)
            let bytes = ByteView(base: tensor.raw, count: tensor.byteCount, owner: tensor)
            result.append(ArchiveEntry(entry.name, .float32, entry.shape, bytes: bytes))
        }
        return result
    }

    /// Facts that a reader of the file cannot tell from shapes.
    package var metadata: [(key: String, value: String)] {
        var untold = source.untold
        if case .configuration = options.target { untold = [] }
        // A MAR's decoder has the encoder's heads.
        if untold.contains("heads"), configuration is MAR.Configuration {
            untold.append("decoder_heads")
        }
        let names = configuration.described.map(\.name)
        let notes = ModelNotes(source.file.metadata).transferred(
            labels: rows("y_embedder.", "class_emb.", "fake_latent"), head: rows("head."))
        return configuration.metadata(untold: untold.filter(names.contains))
            + notes.metadata + [("usp.seed", String(options.seed)), ("usp.source", sourcePath)]
    }

    /// What becomes of the parameters whose names begin so.
    private func rows(_ names: String...) -> ModelNotes.Rows {
        let rows = entries.filter { entry in names.contains { entry.name.hasPrefix($0) } }
        if rows.isEmpty { return .absent }
        return rows.allSatisfy(\.isTransferred) ? .moved : .fresh
    }

    /// Writes the target's file: safetensors, or for names that end in `.pt`, `.pth`, `.ckpt` or
    /// `.bin` PyTorch's training layout (`{"model": …, "ema": …}`; `{"model": …}` for vision
    /// transformers).
    ///
    /// One tensor is in memory at a time; copies go from file to file inside the kernel. The file
    /// appears complete or not at all.
    /// - dtype: of the arrays: f32, f16 or bf16
    /// - Throws: `.io`, `.dtype`
    public func write(_ path: String, dtype: DType = .float32) throws(USPError) {
        try require(
            [.float32, .float16, .bfloat16].contains(dtype), .dtype,
            "\(dtype.name): weights are written as f32, f16 or bf16")
        let run = TransferRun(self)
        let outputs = entries.map { entry in
            ArrayOutput(entry.name, dtype, entry.shape) { file throws(USPError) in
                try self.write(entry, run, dtype, file)
            }
        }
        let format = try ArrayFormat.of(path)
        let tables = try Family.named(configuration.family).kind.tables
        try require(
            format.keepsTexts, .unsupported,
            "\(path): has no place for the model's configuration; write .safetensors or .pt")
        try format.write(
            path, outputs, metadata: metadata, tables: format == .torch ? tables : [])
    }

    private func write(
        _ entry: TransferEntry, _ run: TransferRun, _ dtype: DType, _ file: AtomicFile
    ) throws(USPError) {
        if run.isZero(entry) { return try file.writeZeros(entry.shape.count * dtype.size) }
        if let original = run.untouched(entry), original.dtype == dtype {
            return try file.write(try original.bytes())
        }
        let tensor = try run.values(entry)
        guard dtype != .float32 else {
            return try file.write(
                ByteView(base: tensor.raw, count: tensor.byteCount, owner: tensor))
        }
        // Converted a piece at a time.
        for first in stride(from: 0, to: tensor.count, by: 1 << 20) {
            let length = min(1 << 20, tensor.count - first)
            let part = Tensor(
                [length], .float32, storage: tensor.storage,
                byteOffset: tensor.byteOffset + first * 4)
            let piece = try StridedView(part, entry.name).gathered(as: dtype)
            try file.write(ByteView(base: piece.raw, count: piece.byteCount, owner: piece))
        }
    }
}
