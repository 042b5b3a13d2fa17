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

    /// - model: the autoencoder whose scale they have, which the file then tells
    static func write(
        _ latents: Tensor, of model: VAE? = nil, _ writer: ArrayWriter, name: String = "latents"
    ) throws(USPError) {
        let entries = try Checkpoint([(name: name, tensor: latents)]).table.entries
        let texts = model.map { [("usp.scale", text($0.scales)), ("usp.shift", text($0.shifts))] }
        try writer.write(
            entries.map { ArrayOutput($0) },
            metadata: (texts ?? []).map { (key: $0.0, value: $0.1) })
    }

    /// - Throws: `.argument` if a file of latents says that they have another scale than the
    ///   autoencoder's
    static func expectScale(
        of model: VAE, _ name: String, _ path: String
    ) throws(USPError) {
        let told = try Checkpoint.open(path).metadata
        for (key, own) in [("usp.scale", text(model.scales)), ("usp.shift", text(model.shifts))] {
            guard let value = told.first(where: { $0.key == key })?.value, value != own else {
                continue
            }
            let word = key.dropFirst(4)
            throw USPError(
                .argument,
                "\(path): latents of \(word) \(value), the autoencoder \(name) has \(own); give "
                    + "--vae-\(word) or the autoencoder that they are of")
        }
    }

    /// One number where all channels have the same.
    private static func text(_ values: [Float]) -> String {
        let some = Set(values).count == 1 ? Array(values.prefix(1)) : values
        return some.map { "\($0)" }.joined(separator: ",")
    }
}
