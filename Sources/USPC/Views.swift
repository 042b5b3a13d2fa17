// usp_tensor -> views and tensors: the checks of rank, extents, element type, strides and
// alignment.

import CUSP
import USPBase
import USPTensor

/// What a function expects of one axis: an extent, or a letter that stands for any.
enum Axis: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, CustomStringConvertible {
    case extent(Int)
    case any(String)

    init(integerLiteral value: Int) { self = .extent(value) }
    init(stringLiteral value: String) { self = .any(value) }

    var description: String {
        switch self {
        case .extent(let value): "\(value)"
        case .any(let letter): letter
        }
    }
}

/// The array that the caller describes, whatever its shape and element type.
func view(_ pointer: UnsafePointer<usp_tensor>?, _ name: String) throws(USPError) -> StridedView {
    guard let pointer else { throw USPError(.argument, "\(name): is NULL") }
    try checkAligned(pointer, name)
    let tensor = pointer.pointee
    guard tensor.rank >= 0, tensor.rank <= USP_MAX_RANK else {
        throw USPError(.shape, "\(name): rank \(tensor.rank), expected 0 to \(USP_MAX_RANK)")
    }
    guard let dtype = DType(rawValue: Int32(bitPattern: tensor.dtype.rawValue)) else {
        throw USPError(.dtype, "\(name): unknown dtype \(tensor.dtype.rawValue)")
    }
    let rank = Int(tensor.rank)
    return try StridedView(
        tensor.data, leading(tensor.shape, rank), strides: leading(tensor.strides, rank), dtype,
        name)
}

/// As `view`, of this shape and one of these element types.
func view(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis], _ dtypes: DType...
) throws(USPError) -> StridedView {
    let view = try view(pointer, name)
    try check(view, axes, dtypes)
    return view
}

/// The array as a tensor: f32, of this shape.
func tensor(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis]
) throws(USPError) -> Tensor {
    try view(pointer, name, axes, .float32).tensor()
}

/// As `tensor`, with nil for NULL.
func optionalTensor(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis]
) throws(USPError) -> Tensor? {
    guard pointer != nil else { return nil }
    return try tensor(pointer, name, axes)
}

/// Whole numbers, i64 or i32.
func integers(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis]
) throws(USPError) -> [Int] {
    let gathered = try view(pointer, name, axes, .int64, .int32).gathered(as: .int64)
    try SystemMemory.expect(gathered.count, of: Int.self)
    let values = gathered.raw.assumingMemoryBound(to: Int64.self)
    return (0..<gathered.count).map { Int(values[$0]) }
}

/// As `integers`, with nil for NULL.
func optionalIntegers(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis]
) throws(USPError) -> [Int]? {
    guard pointer != nil else { return nil }
    return try integers(pointer, name, axes)
}

/// Real numbers, f32.
func reals(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ axes: [Axis]
) throws(USPError) -> [Float] {
    let tensor = try tensor(pointer, name, axes)
    try SystemMemory.expect(tensor.count, of: Float.self)
    return tensor.values
}

/// An array to write to: no two elements at one address.
func output(
    _ pointer: UnsafeMutablePointer<usp_tensor>?, _ name: String, _ axes: [Axis],
    _ dtypes: DType...
) throws(USPError) -> StridedView {
    let view = try view(UnsafePointer(pointer), name)
    try check(view, axes, dtypes.isEmpty ? [.float32] : dtypes)
    try checkWritable(view)
    return view
}

/// As `output`, with nil for NULL.
func optionalOutput(
    _ pointer: UnsafeMutablePointer<usp_tensor>?, _ name: String, _ axes: [Axis],
    _ dtypes: DType...
) throws(USPError) -> StridedView? {
    guard pointer != nil else { return nil }
    let view = try view(UnsafePointer(pointer), name)
    try check(view, axes, dtypes.isEmpty ? [.float32] : dtypes)
    try checkWritable(view)
    return view
}

func checkWritable(_ view: StridedView) throws(USPError) {
    guard view.isWritable else {
        throw USPError(
            .argument,
            "\(view.name): strides \(view.strides) of the shape \(view.shape) make elements share "
                + "an address")
    }
}

/// The shape as expectations, for outputs that are as large as an input.
func axes(_ shape: Shape) -> [Axis] { shape.extents.map(Axis.extent) }

/// Describes a tensor to the caller: a view.
func describe(_ tensor: Tensor, in out: UnsafeMutablePointer<usp_tensor>) {
    describe(tensor.raw, tensor.shape, tensor.dtype, in: out)
}

/// Describes contiguous memory to the caller.
func describe(
    _ data: UnsafeMutableRawPointer?, _ shape: Shape, _ dtype: DType,
    in out: UnsafeMutablePointer<usp_tensor>
) {
    var result = usp_tensor()
    result.data = data
    result.rank = Int32(shape.rank)
    result.dtype = usp_dtype(rawValue: UInt32(dtype.rawValue))
    let strides = StridedView.contiguous(shape)
    withUnsafeMutableBytes(of: &result.shape) { bytes in
        for (axis, extent) in shape.extents.enumerated() {
            bytes.storeBytes(of: Int64(extent), toByteOffset: axis * 8, as: Int64.self)
        }
    }
    withUnsafeMutableBytes(of: &result.strides) { bytes in
        for (axis, stride) in strides.enumerated() {
            bytes.storeBytes(of: Int64(stride), toByteOffset: axis * 8, as: Int64.self)
        }
    }
    out.pointee = result
}

private func check(_ view: StridedView, _ axes: [Axis], _ dtypes: [DType]) throws(USPError) {
    guard dtypes.contains(view.dtype) else {
        let expected = dtypes.map(\.name).joined(separator: " or ")
        throw USPError(.dtype, "\(view.name): dtype \(view.dtype.name), expected \(expected)")
    }
    var matches = view.shape.rank == axes.count
    for (axis, expected) in axes.enumerated() where matches {
        if case .extent(let extent) = expected { matches = view.shape[axis] == extent }
    }
    guard matches else {
        let expected = axes.map(\.description).joined(separator: ", ")
        throw USPError(.shape, "\(view.name): shape \(view.shape), expected [\(expected)]")
    }
    // An array of nothing could claim any number of samples, and cost as much time.
    for (axis, expected) in axes.enumerated() where view.shape[axis] == 0 {
        guard case .any(let letter) = expected, letter != "S" else { continue }
        throw USPError(
            .shape,
            "\(view.name): shape \(view.shape), expected at least one "
                + (axis == 0 ? "sample" : "element"))
    }
}

/// The first `count` numbers of a C array that Swift imports as a tuple.
private func leading<Tuple>(_ tuple: Tuple, _ count: Int) -> [Int] {
    withUnsafeBytes(of: tuple) { bytes in
        // SAFETY: the tuple is usp_tensor's array of USP_MAX_RANK int64_t, and count is at most
        // that.
        (0..<count).map { Int(bytes.load(fromByteOffset: $0 * 8, as: Int64.self)) }
    }
}

/// Where a result of a plain C type goes.
func result<Value: BitwiseCopyable>(
    _ pointer: UnsafeMutablePointer<Value>?, _ name: String
) throws(USPError) -> UnsafeMutablePointer<Value> {
    guard let pointer else { throw USPError(.argument, "\(name): is NULL") }
    try checkAligned(UnsafePointer(pointer), name)
    return pointer
}

/// Blocks, and arrays for what is found behind each of them.
struct LayerOutputs {
    let layers: [Int]
    private let targets: [StridedView]

    /// - shape: of each array
    init(
        _ layers: UnsafePointer<Int64>?, _ count: Int, _ outs: UnsafeMutablePointer<usp_tensor>?,
        _ shape: [Int]
    ) throws(USPError) {
        guard let layers, let outs, (1...1 << 20).contains(count) else {
            throw USPError(.argument, "layers, outs: expected one or more, got \(count)")
        }
        self.layers = (0..<count).map { Int(layers[$0]) }
        var targets: [StridedView] = []
        for index in 0..<count {
            targets.append(
                try output(outs + index, "outs[\(index)]", shape.map { Axis.extent($0) }))
        }
        self.targets = targets
    }

    func write(_ found: [Tensor]) throws(USPError) {
        for (target, tensor) in zip(targets, found) { try target.write(tensor) }
    }
}
