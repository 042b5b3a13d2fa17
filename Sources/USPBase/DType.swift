// Element types of tensors and files, and their sizes.

/// An element type; raw values are those of `usp_dtype` in `include/usp.h`.
public enum DType: Int32, Sendable, CaseIterable {
    case float32 = 0
    case bfloat16 = 1
    case float16 = 2
    case float64 = 3
    case int64 = 4
    case int32 = 5
    case int16 = 6
    case int8 = 7
    case uint8 = 8
    case bool = 9

    /// Bytes per element.
    public var size: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .bfloat16, .float16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// The short name that messages and reports use: `f32`, `bf16`, `i64`, …
    public var name: String {
        switch self {
        case .float32: "f32"
        case .bfloat16: "bf16"
        case .float16: "f16"
        case .float64: "f64"
        case .int64: "i64"
        case .int32: "i32"
        case .int16: "i16"
        case .int8: "i8"
        case .uint8: "u8"
        case .bool: "bool"
        }
    }

    package init?(name: String) {
        guard let match = DType.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }
}
