// PyTorch's names of element types, and of tensors that are none of ours.

import USPBase

enum TorchTypes {
    /// By storage class; untyped storages count bytes.
    static let storages: [String: ElementType] = {
        var result: [String: ElementType] = [:]
        for name in ["torch.storage.UntypedStorage", "torch.UntypedStorage"] {
            result[name] = ElementType(.uint8)
        }
        for dtype in DType.allCases {
            result["torch.\(storageName(dtype))"] = ElementType(dtype)
        }
        return result
    }()

    /// By `torch.dtype`.
    static let names: [String: ElementType] = {
        var result: [String: ElementType] = [:]
        for dtype in DType.allCases { result["torch.\(typeName(dtype))"] = ElementType(dtype) }
        for type in Float8.allCases { result["torch.\(type.torchName)"] = ElementType(type) }
        return result
    }()

    /// Bytes of an element of the storages that are not read: old files have the next one behind.
    static let unreadSizes = [
        "torch.ComplexFloatStorage": 8, "torch.ComplexDoubleStorage": 16,
        "torch.ComplexHalfStorage": 4, "torch.QInt8Storage": 1, "torch.QUInt8Storage": 1,
        "torch.QInt32Storage": 4, "torch.QUInt4x2Storage": 1, "torch.QUInt2x4Storage": 1,
    ]

    /// A constructor's name in words, and whether it makes arrays.
    static func words(_ name: String) -> (text: String, isArray: Bool) {
        let known = [
            "torch._utils._rebuild_qtensor": "a quantised tensor",
            "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
            "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
            "torch._utils._rebuild_nested_tensor": "a nested tensor",
            "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without content (meta)",
        ]
        if let text = known[name] { return (text, true) }
        let parts = ["tensor", "NumPy array", "Tensor"].map { Array($0.utf8) }
        let letters = Array(name.utf8)
        return (name, parts.contains { NpyHeader.firstIndex(of: $0, in: letters) != nil })
    }

    static func storageName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "FloatStorage"
        case .bfloat16: "BFloat16Storage"
        case .float16: "HalfStorage"
        case .float64: "DoubleStorage"
        case .int64: "LongStorage"
        case .int32: "IntStorage"
        case .int16: "ShortStorage"
        case .int8: "CharStorage"
        case .uint8: "ByteStorage"
        case .bool: "BoolStorage"
        }
    }

    private static func typeName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "float32"
        case .bfloat16: "bfloat16"
        case .float16: "float16"
        case .float64: "float64"
        case .int64: "int64"
        case .int32: "int32"
        case .int16: "int16"
        case .int8: "int8"
        case .uint8: "uint8"
        case .bool: "bool"
        }
    }
}
