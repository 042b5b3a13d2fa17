// Writing checkpoints.

import USPBase
import USPFiles

extension Checkpoint {
    /// How arrays are written.
    public struct SaveOptions: Sendable {
        /// `safetensors` or `torch`; nil goes by the name's ending.
        public var format: String?
        /// Of floating arrays; nil keeps theirs.
        public var dtype: DType?
        /// `torch`: the keys that the table is nested under; the arrays are written once.
        public var tables: [String] = []

        public init() {}
    }

    /// Writes the arrays to a file, which appears complete or not at all.
    public func save(_ path: String, _ options: SaveOptions = SaveOptions()) throws(USPError) {
        let outputs = table.entries.map { $0.output(as: options.dtype) }
        let metadata = archive.metadata.filter { $0.key != "format" }
        switch try Checkpoint.isTorch(path, options.format) {
        case true:
            let table = TorchArchive.table(outputs)
            let root =
                options.tables.isEmpty
                ? table : TorchObject.dictionary(options.tables.map { (key: $0, value: table) })
            try TorchArchive.write(path, root: root, outputs, metadata: metadata)
        case false:
            try require(
                options.tables.isEmpty, .argument, "tables: safetensors has none; use torch")
            try Safetensors.write(
                path, outputs, metadata: metadata + [(key: "format", value: "pt")])
        }
    }

    private static func isTorch(_ path: String, _ format: String?) throws(USPError) -> Bool {
        switch format {
        case "torch": true
        case "safetensors": false
        case nil: [".pt", ".pth", ".ckpt", ".bin"].contains { path.hasSuffix($0) }
        case let other?:
            throw unknownName(other, what: "format", known: ["safetensors", "torch"])
        }
    }
}

extension Checkpoint.SaveOptions: Described {
    public static let title = "save"
    public static let fields: [Field<Checkpoint.SaveOptions>] = [
        .choice(
            "format", \.format, ["safetensors", "torch"],
            "Layout of the file; torch opens with torch.load(weights_only=True). Absent: torch for "
                + "names that end in .pt .pth .ckpt .bin, else safetensors."),
        .dtype(
            "dtype", \.dtype, [.float32, .bfloat16, .float16],
            "Element type of floating arrays. Absent: as they are."),
        .names(
            "tables", \.tables,
            "Keys that a torch file nests the arrays under, such as model,ema. Empty: the top "
                + "level."),
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
