// Matrices of 8 bits: integers, and a scale for each row. `NAME` (I8) and `NAME_scale` ([rows, 1] or
// [rows], f32) are what files of "int-quantized" weights hold; the names are those of the
// compressed-tensors format, github.com/vllm-project/compressed-tensors.

import USPBase

package enum RowScaled {
    package static let suffix = "_scale"

    /// The entries, those in two parts as one array of floats.
    static func joined(_ entries: [ArchiveEntry]) -> [ArchiveEntry] {
        var scales: [String: ArchiveEntry] = [:]
        for entry in entries where entry.name.hasSuffix(suffix) {
            scales[String(entry.name.dropLast(suffix.count))] = entry
        }
        var used: Set<String> = []
        let joined = entries.map { entry in
            guard let scale = scales[entry.name], isPair(entry, scale) else { return entry }
            used.insert(scale.name)
            return ArchiveEntry(
                entry.name, ElementType(.float32), entry.shape, .rowScaled(entry, scale))
        }
        return joined.filter { !used.contains($0.name) }
    }

    private static func isPair(_ entry: ArchiveEntry, _ scale: ArchiveEntry) -> Bool {
        let rows = entry.shape.extents.first ?? 0
        return entry.dtype == .int8 && entry.shape.rank >= 2 && scale.dtype == .float32
            && (scale.shape.extents == [rows, 1] || scale.shape.extents == [rows])
    }

    /// Writes integers times the scale of their row.
    static func widen(
        _ entry: ArchiveEntry, _ scale: ArchiveEntry, into target: UnsafeMutableRawBufferPointer
    ) throws(USPError) {
        let (integers, scales) = (try entry.bytes(), try scale.bytes())
        let rows = entry.shape.extents[0]
        let length = entry.count / max(rows, 1)
        // SAFETY: as many as the shapes say, of these types; the target has a float for each.
        let from = integers.base.assumingMemoryBound(to: Int8.self)
        for row in 0..<rows {
            let factor = scales.base.loadUnaligned(fromByteOffset: 4 * row, as: Float.self)
            for i in row * length..<(row + 1) * length {
                target.storeBytes(of: Float(from[i]) * factor, toByteOffset: 4 * i, as: Float.self)
            }
        }
        withExtendedLifetime((integers.owner, scales.owner)) {}
    }
}
