// Files of latents: one array `latents` [B, C, h, w], or the only array of an npy file.

import USPBase
import USPFiles
import USPKit
import USPTensor

enum LatentFile {
    /// The array that `invert` writes, so that nobody takes it for latents.
    static let noise = "noise"

    /// - Throws: `.missingWeight` for a file without the array, `.shape` for another rank
    static func read(_ path: String, orNoise: Bool = false) throws(USPError) -> Tensor {
        let checkpoint = try Checkpoint.open(path)
        let only = checkpoint.table["array"] ?? (orNoise ? checkpoint.table[noise] : nil)
        try require(
            only != nil || checkpoint.table[noise] == nil || checkpoint.table["latents"] != nil,
            .argument, "\(path): holds noise, as invert writes it, and no latents")
        let entry = if let only { only } else { try checkpoint.entry("latents") }
        let values = try entry.tensor(as: .float32)
        try require(
            values.shape.rank == 4 && values.shape[0] > 0, .shape,
            "\(path): \(entry.name): \(values.shape), expected [B, C, h, w]")
        return values
    }

    static func write(
        _ latents: Tensor, _ writer: ArrayWriter, name: String = "latents"
    ) throws(USPError) {
        let entries = try Checkpoint([(name: name, tensor: latents)]).table.entries
        try writer.write(entries.map { ArrayOutput($0) })
    }
}
