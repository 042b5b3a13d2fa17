// What the table says of one operation: how it is checked, and at which sizes it is timed.

import CKernels
import TestSupport
import USPBase
import USPTensor

/// Tensors by the names that the golden cases give them.
typealias Inputs = [String: Tensor]

/// Sizes to time an operation at.
struct Size {
    let label: String
    var shapes: [String: Shape]
    /// Multiply-adds counted as two, forward; a gradient counts `Operation.gradientWork` times it.
    var flops = 0.0
    /// Read and written at least, forward.
    var bytes = 0.0
}

/// One operation of the engine.
struct Operation {
    let name: String
    /// The golden case that gives inputs, result and gradients, in double precision or PyTorch's.
    let golden: String
    /// Names of the golden inputs.
    let inputs: [String]
    let sizes: [Size]
    var dtypes: [DType] = [.float32, .bfloat16]
    /// Inputs that a model hands over in the type that products read.
    var activations: Set<String> = []
    /// Golden images are channels first, the engine's channels last.
    var isImage = false
    /// By the plain sum; otherwise by Winograd's method where that applies.
    var exact = false
    /// Work of the gradient over the forward pass's.
    var gradientWork = 2.0
    /// Heads of the golden case, and of the sizes.
    var heads = (golden: 1, sizes: 1)
    let run: (Inputs, Call) throws -> Tensor
}

/// The surroundings of one application.
struct Call {
    let context: Context
    let output: DType
    let heads: Int
    /// The case that is checked, for what is no tensor of floats; nil at sizes that are timed.
    var golden: GoldenCase?
}

extension Operation {
    /// Largest errors of the result and of the gradients on the golden case.
    func errors(_ dtype: DType) throws -> (output: Double, gradient: Double) {
        let found = try goldenErrors("operations/\(golden)", inputs: inputs, compute: dtype) {
            values, golden, context in
            let context = Context(
                tape: context.tape, compute: dtype, exact: exact)
            let call = Call(
                context: context, output: .float32, heads: heads.golden, golden: golden)
            guard isImage, let x = values["x"] else { return try run(values, call) }
            var last = values
            last["x"] = try context.toChannelsLast(x)
            return try context.toChannelsFirst(run(last, call))
        }
        return (found.output, found.worstGradient)
    }

    /// Winograd's result and gradients against the plain sum's, at a size.
    func differenceFromExact(_ size: Size) throws -> (output: Double, gradient: Double) {
        let (fast, slow) = (try once(size, exact: false), try once(size, exact: true))
        var worst = 0.0
        for (name, gradient) in fast.gradients {
            worst = max(worst, relativeError(gradient, slow.gradients[name]?.values ?? []))
        }
        return (relativeError(fast.result, slow.result.values), worst)
    }

    private func once(
        _ size: Size, exact: Bool
    ) throws -> (result: Tensor, gradients: [String: Tensor]) {
        let (values, tape) = (try tensors(size, .float32), Tape())
        let gradients = try values.mapValues { try trainable($0) }
        let context = Context(tape: tape, exact: exact)
        let y = try run(values, Call(context: context, output: .float32, heads: heads.sizes))
        try tape.backward(from: y, gradient: try normalTensor(y.shape, seed: 99))
        return (y, gradients)
    }

    /// Normal values of a size's shapes; weights are scaled by their inputs.
    func tensors(_ size: Size, _ dtype: DType) throws -> Inputs {
        var result: Inputs = [:]
        for (name, shape) in size.shapes {
            let inputs = Float(shape.count / max(shape[0], 1))
            let deviation = name.hasSuffix("weight") && shape.rank > 1 ? 1 / inputs.squareRoot() : 1
            let values = try quickNormal(shape, name, deviation)
            result[name] =
                dtype == .bfloat16 && activations.contains(name)
                ? try halved(values) : values
        }
        return result
    }
}

/// Normal values from a million drawn ones, repeated: large tensors are filled in no time.
private func quickNormal(_ shape: Shape, _ name: String, _ deviation: Float) throws -> Tensor {
    let drawn = try normalTensor(
        [min(shape.count, 1 << 20)], seed: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) }),
        deviation: deviation)
    let result = try Tensor(shape)
    var start = 0
    while start < shape.count {
        let count = min(drawn.count, shape.count - start)
        (result.floats + start).update(from: drawn.floats, count: count)
        start += count
    }
    return result
}

private func halved(_ x: Tensor) throws -> Tensor {
    let result = try Tensor(x.shape, .bfloat16)
    uspi_bf16_from_f32(x.floats, result.raw.assumingMemoryBound(to: UInt16.self), Int64(x.count))
    return result
}
