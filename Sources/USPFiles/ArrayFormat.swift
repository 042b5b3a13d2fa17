// The formats that arrays are written in: one table of endings and writers for all who write.

import USPBase

package enum ArrayFormat: String, NamedChoice {
    case safetensors, torch, npz, npy

    package static let what = "format"

    /// Of the names of its files.
    package var endings: [String] {
        switch self {
        case .safetensors: ["safetensors"]
        case .torch: ["pt", "pth", "ckpt", "bin"]
        case .npz: ["npz"]
        case .npy: ["npy"]
        }
    }

    /// Whether texts beside the arrays are kept.
    package var keepsTexts: Bool { self == .safetensors || self == .torch }

    /// - Throws: `.unsupported` for arrays of 8 bits with their scales where no reader joins them
    package func expectHolds(_ dtype: DType?, _ path: String) throws(USPError) {
        try require(
            dtype != .int8 || self == .safetensors, .unsupported,
            "\(path): int8 with a scale a row is kept by .safetensors alone")
    }

    /// The format that a name's ending tells.
    ///
    /// - Throws: `.argument` naming the known endings
    package static func of(_ path: String) throws(USPError) -> ArrayFormat {
        let name = path.split(separator: "/").last ?? ""
        let ending = name.split(separator: ".").dropFirst().last?.lowercased() ?? ""
        if let format = allCases.first(where: { $0.endings.contains(ending) }) { return format }
        let known = allCases.flatMap(\.endings).map { ".\($0)" }.joined(separator: ", ")
        throw USPError(
            .argument, "\(path): the ending names the format; known are \(known)")
    }

    /// Writes the arrays; the file appears complete or not at all.
    ///
    /// - metadata: texts, which npy and npz do not keep; `format: pt` is for safetensors' readers
    /// - tables: keys that the arrays are nested under, which only PyTorch's files have
    /// - checksums: whether safetensors get a CRC-32 of each array; zip files have them anyway
    package func write(
        _ path: String, _ outputs: [ArrayOutput], metadata: [(key: String, value: String)] = [],
        tables: [String] = [], checksums: Bool = false
    ) throws(USPError) {
        try require(
            tables.isEmpty || self == .torch, .argument,
            "\(path): tables: only PyTorch files nest their arrays; write .pt or .pth")
        let own = metadata.filter { $0.key != "format" }
        switch self {
        case .safetensors:
            try Safetensors.write(
                path, outputs, metadata: [(key: "format", value: "pt")] + own,
                checksums: checksums)
        case .torch:
            let table = TorchArchive.table(outputs)
            let root =
                tables.isEmpty
                ? table : TorchObject.dictionary(tables.map { (key: $0, value: table) })
            try TorchArchive.write(path, root: root, outputs, metadata: own)
        case .npz: try Npz.write(path, outputs)
        case .npy:
            try require(
                outputs.count == 1, .argument,
                "\(path): .npy holds one array, not \(outputs.count); write .npz")
            try Npy.write(path, outputs[0])
        }
    }
}
