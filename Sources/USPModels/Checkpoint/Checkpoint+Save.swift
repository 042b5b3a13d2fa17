// Writing checkpoints.

import USPBase
import USPFiles

extension Checkpoint {
    /// How arrays are written.
    public struct SaveOptions: Sendable {
        /// `safetensors`, `torch`, `npz` or `npy`; nil goes by the name's ending.
        public var format: String?
        /// Of floating arrays; nil keeps theirs.
        public var dtype: DType?
        /// `torch`: the keys that the table is nested under; the arrays are written once.
        public var tables: [String] = []
        /// `safetensors`: a CRC-32 of each array in the metadata, verified when it is read.
        /// PyTorch's files have them anyway.
        public var checksums = false

        public init() {}
    }

    /// Writes the arrays to a file, which appears complete or not at all.
    ///
    /// - Throws: `.argument` for an ending that names no format; `.unsupported` for a format
    ///   without texts (.npz, .npy) where the file's model needs them, naming what shapes do not
    ///   tell
    public func save(_ path: String, _ options: SaveOptions = SaveOptions()) throws(USPError) {
        let format =
            if let name = options.format { try ArrayFormat.named(name) } else {
                try ArrayFormat.of(path)
            }
        if !format.keepsTexts { try FileModel.expectNothingUntold(selected, path) }
        try format.expectHolds(options.dtype, path)
        let outputs = table.entries.flatMap { $0.outputs(as: options.dtype) }
        try format.write(
            path, outputs, metadata: archive.metadata,
            tables: options.tables, checksums: options.checksums)
    }
}

extension Checkpoint.SaveOptions: Described {
    public static let title = "save"
    public static let fields: [Field<Checkpoint.SaveOptions>] = [
        .choice(
            "format", \.format, of: ArrayFormat.self,
            "Layout of the file; torch opens with torch.load(weights_only=True), npz and npy keep "
                + "no texts. Absent: by the name's ending, .safetensors, .pt .pth .ckpt .bin, .npz "
                + "or .npy."),
        .dtype(
            "dtype", \.dtype, [.float32, .bfloat16, .float16, .int8],
            "Element type of floating arrays; int8 (safetensors) gives weights of products a scale a "
                + "row and leaves others. Absent: as they are."),
        .names(
            "tables", \.tables,
            "Keys that a torch file nests the arrays under, such as model,ema. Empty: the top "
                + "level."),
        .flag(
            "checksums", \.checksums,
            "A CRC-32 of each array in a safetensors file, verified when it is read; torch files "
                + "have them anyway."),
    ]
}

extension DType {
    /// Whether it is a floating type.
    package var isFloating: Bool {
        switch self {
        case .float32, .bfloat16, .float16, .float64: true
        case .int64, .int32, .int16, .int8, .uint8, .bool: false
        }
    }
}
