// A trainer's state in a file: written atomically, read back bit for bit.

import USPBase
import USPFiles
import USPModels
import USPTensor

extension Trainer {
    /// Writes everything that `resume` needs to `path` (safetensors, atomically), with texts of the
    /// caller's own.
    package func save(
        _ path: String, metadata: [(key: String, value: String)] = []
    ) throws(USPError) {
        var outputs: [ArrayOutput] = []
        for (name, tensor) in try state() { outputs.append(ArrayOutput(name, tensor)) }
        try Safetensors.write(path, outputs, metadata: [(key: "format", value: "pt")] + metadata)
    }

    /// Continues from a file of `save`, and returns it for the caller's metadata.
    @discardableResult
    package func resume(_ path: String) throws(USPError) -> Archive {
        let archive = try Archive.open(path)
        try locating(path) { () throws(USPError) in
            try restore { (name) throws(USPError) in try archive.entry(name).tensor() }
        }
        return archive
    }
}

extension ArchiveEntry {
    /// The array as a tensor of its own, in its own element type.
    package func tensor() throws(USPError) -> Tensor {
        let result = try Tensor(shape, dtype)
        try copy(into: UnsafeMutableRawBufferPointer(start: result.raw, count: result.byteCount))
        return result
    }
}
