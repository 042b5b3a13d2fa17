// The files of a model's folder, by the names that Hugging Face's libraries give them.

import Glibc
import USPBase

package enum ModelFolder {
    /// What weights are called, best first.
    private static let stems = ["diffusion_pytorch_model", "model", "pytorch_model"]

    /// The path itself, or the file of arrays in the folder that it names: whole before in parts,
    /// safetensors before pickles, and the only variant (`fp16`, `ema`) where there is no other.
    ///
    /// - Throws: `.io` telling what is in the folder instead
    package static func file(_ path: String) throws(USPError) -> String {
        var status = stat()
        guard stat(path, &status) == 0 else { throw systemError("cannot open", path) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return path }
        let names = try FolderListing.names(path)
        for stem in stems {
            for ending in [".safetensors", ".bin"] {
                for name in ["\(stem)\(ending)", "\(stem)\(ending).index.json"]
                where names.contains(name) { return "\(path)/\(name)" }
            }
        }
        let variants = names.filter { variant($0) != nil }
        if variants.count == 1 { return "\(path)/\(variants[0])" }
        throw USPError(.io, "\(path): \(description(path, names, variants))")
    }

    /// The variant in a file's name: `fp16` of `model.fp16.safetensors`,
    /// `model.fp16.safetensors.index.json` and `model.safetensors.index.fp16.json`.
    private static func variant(_ name: String) -> String? {
        guard let stem = stems.first(where: { name.hasPrefix($0 + ".") }) else { return nil }
        let rest = name.dropFirst(stem.count + 1).split(separator: ".").map(String.init)
        // `model.fp16-00001-of-00002.safetensors`: a part, which the index names.
        guard let first = rest.first, !first.split(separator: "-").contains("of") else {
            return nil
        }
        for ending in ["safetensors", "bin"] {
            switch rest.count {
            case 2 where rest[1] == ending: return rest[0]
            case 4 where rest[1...] == [ending, "index", "json"]: return rest[0]
            case 4 where rest[...1] == [ending, "index"] && rest[3] == "json": return rest[2]
            default: continue
            }
        }
        return nil
    }

    private static func description(
        _ path: String, _ names: [String], _ variants: [String]
    ) -> String {
        if !variants.isEmpty {
            return "a folder with several variants of a model (\(list(variants))); name one of them"
        }
        if names.contains("model_index.json") {
            let parts = names.filter {
                FolderListing.isFolder("\(path)/\($0)") && (try? file("\(path)/\($0)")) != nil
            }
            let models = parts.map { "\(path)/\($0)" }
            return "a pipeline's folder, whose models are in folders of their own; name one of them"
                + " (\(list(models)))"
        }
        let arrays = names.filter { name in
            [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy"].contains {
                name.hasSuffix($0)
            }
        }
        if !arrays.isEmpty {
            return "a folder whose files of weights have unusual names; name one of them "
                + "(\(list(arrays)))"
        }
        return "a folder without a file of weights in it (such as \(stems[0]).safetensors); there "
            + "is \(names.isEmpty ? "nothing" : list(names))"
    }

    private static func list(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", ..." : "")
    }

    /// `config.json` beside a model's file, where there is one.
    ///
    /// - Throws: `.format` with its path, the line and what is wrong with it
    package static func configuration(beside path: String) throws(USPError) -> JSON? {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let name = folder + "config.json"
        guard path != Archive.memoryPath, FolderListing.isFile(name) else { return nil }
        let file = try ByteView.file(name)
        try require(
            file.count <= 64 << 20, .format,
            "\(name): \(file.count) bytes are too many for a model's configuration")
        do throws(USPError) {
            return try JSON(parsing: file, name)
        } catch {
            throw USPError(
                error.kind,
                "\(error.message); a model's sizes and scale stand in it: mend it, or "
                    + "move it away if it belongs to something else")
        }
    }
}
