// Writing arrays in the format that a file's ending names.

import ArgumentParser
import USPBase
import USPFiles

/// The element types that weights are stored in.
enum FloatType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16

    var dtype: DType {
        switch self {
        case .f32: .float32
        case .f16: .float16
        case .bf16: .bfloat16
        }
    }
}

/// A file to be written, with the format that its ending names.
struct ArrayWriter {
    private enum Format { case safetensors, torch, npz, npy }

    private let path: String
    private let format: Format

    /// - Throws: `.argument` naming the known endings; `.io` if the file cannot be written, before
    ///   anything is computed for it
    init(_ path: String) throws(USPError) {
        self.path = path
        switch path.split(separator: ".").last?.lowercased() ?? "" {
        case "safetensors": format = .safetensors
        case "pt", "pth", "ckpt", "bin": format = .torch
        case "npz": format = .npz
        case "npy": format = .npy
        default:
            throw USPError(
                .argument,
                "\(path): the ending names the format; known are .safetensors, .pt, .pth, .ckpt, "
                    + ".bin, .npz and .npy")
        }
        _ = try AtomicFile(path)
    }

    /// Writes the arrays; the file appears complete or not at all.
    ///
    /// - metadata: texts, which npy and npz do not keep
    /// - tables: keys that the arrays are nested under, which only PyTorch's formats have
    func write(
        _ outputs: [ArrayOutput], metadata: [(key: String, value: String)] = [],
        tables: [String] = []
    ) throws(USPError) {
        let own = metadata.filter { $0.key != "format" }
        if !tables.isEmpty {
            try require(
                format == .torch, .argument,
                "\(path): only PyTorch files nest their arrays; write .pt or .pth")
            let table = TorchArchive.table(outputs)
            let root = TorchObject.dictionary(tables.map { (key: $0, value: table) })
            return try TorchArchive.write(path, root: root, outputs, metadata: own)
        }
        switch format {
        case .safetensors: try Safetensors.write(path, outputs, metadata: metadata)
        case .torch: try TorchArchive.write(path, outputs, metadata: own)
        case .npz: try Npz.write(path, outputs)
        case .npy:
            try require(
                outputs.count == 1, .argument,
                "\(path): .npy holds one array, not \(outputs.count); write .npz")
            try Npy.write(path, outputs[0])
        }
    }
}
