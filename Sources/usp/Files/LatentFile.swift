// Files of latents: one array `latents` [B, C, h, w], or the only array of an npy file.

import USPBase
import USPFiles
import USPKit
import USPTensor

enum LatentFile {
    /// - Throws: `.missingWeight` for a file without the array, `.shape` for another rank
    static func read(_ path: String) throws(USPError) -> Tensor {
        let checkpoint = try Checkpoint.open(path)
        let only = checkpoint.table["array"]
        let entry = if let only { only } else { try checkpoint.entry("latents") }
        let values = try entry.tensor(as: .float32)
        try require(
            values.shape.rank == 4 && values.shape[0] > 0, .shape,
            "\(path): \(entry.name): \(values.shape), expected [B, C, h, w]")
        return values
    }

    static func write(_ latents: Tensor, _ writer: ArrayWriter) throws(USPError) {
        let entries = try Checkpoint([(name: "latents", tensor: latents)]).table.entries
        try writer.write(entries.map { ArrayOutput($0) })
    }
}
