// y = residual + gate ⊙ activation(x·Wᵀ + b): a linear layer with all that may follow it, fused.

import CKernels
import USPBase

/// What a linear layer does beyond its product.
package struct LinearOptions {
    package var activation: Activation = .none
    /// Multiplies each sample's rows: a chunk of a `[B, n·N]` tensor.
    package var gate: Chunk?
    /// `[.., N]`, f32; added last.
    package var residual: Tensor?
    /// Element type of the result; f32 with a residual.
    package var output: DType = .float32

    package init(
        activation: Activation = .none, gate: Chunk? = nil, residual: Tensor? = nil,
        output: DType = .float32
    ) {
        self.activation = activation
        self.gate = gate
        self.residual = residual
        self.output = output
    }
}

extension Context {
    /// y = residual + gate ⊙ activation(x·Wᵀ + b).
    ///
    /// - x: `[.., K]`, f32 or bf16
    /// - weight: `[N, ..]` with N·K elements, f32, PyTorch's `nn.Linear` layout
    /// - bias: `[N]`, f32
    /// - gate: chunk of width N of a `[B, n·N]` tensor; x then has B equal groups of rows
    /// - Returns: `[.., N]`
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: 2·rows·N·K flops; the epilogue costs no pass over memory of its own.
    package func linear(
        _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil,
        _ options: LinearOptions = LinearOptions()
    ) throws(USPError) -> Tensor {
        let call = try LinearCall(self, x, weight, bias, options)
        let y = try call.forward()
        tape?.record(
            y, inputs: [x, weight, bias, options.gate?.tensor, options.residual],
            backward: call.backward)
        return y
    }
}

/// One application of a linear layer: what its gradient needs of its forward pass.
private final class LinearCall {
    let context: Context
    let x: Tensor
    let weight: Tensor
    let bias: Tensor?
    let options: LinearOptions
    let rows: Int
    let inputs: Int
    let outputs: Int
    /// x·Wᵀ + b, kept when an activation follows; the activated value, kept when a gate follows.
    var before: Tensor?
    var ungated: Tensor?

    init(
        _ context: Context, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ options: LinearOptions
    ) throws(USPError) {
        (self.context, self.x, self.weight, self.bias, self.options) = (context, x, weight, bias, options)
        inputs = x.shape.rank > 0 ? x.shape[-1] : 0
        outputs = weight.shape.rank > 0 ? weight.shape[0] : 0
        rows = x.shape.rows
        try require(
            x.shape.rank > 0 && weight.shape.rank > 0 && weight.count == outputs * inputs, .shape,
            "linear: input \(x.shape), weight \(weight.shape)")
        if let bias { try expect(bias, [outputs], "linear: bias") }
        if let residual = options.residual {
            try require(
                residual.count == rows * outputs && options.output == .float32, .shape,
                "linear: residual \(residual.shape), output \(resultShape)")
        }
        if let gate = options.gate {
            let samples = gate.tensor.shape.rows
            try require(
                gate.width == outputs && samples > 0 && rows % samples == 0, .shape,
                "linear: gate of width \(gate.width) in \(gate.tensor.shape), output \(resultShape)")
        }
    }

    var resultShape: Shape { Shape(x.shape.extents.dropLast() + [outputs]) }
    var period: Int { rows / max(options.gate?.tensor.shape.rows ?? 1, 1) }

    private var records: Bool {
        guard context.tape != nil else { return false }
        let inputs = [x, weight, bias, options.gate?.tensor, options.residual]
        return inputs.contains { $0?.node.requiresGradient == true }
    }

    func forward() throws(USPError) -> Tensor {
        let y = try Tensor(resultShape, options.output)
        let right = try packed(weight: weight, use: .forward, compute: context.compute)
        var epilogue = Epilogue()
        epilogue.bias = bias.map { UnsafePointer($0.floats) }
        epilogue.activation = options.activation
        if records && options.gate?.tensor.node.requiresGradient == true {
            try forwardKeepingUngated(right, epilogue, into: y)
            return y
        }
        if records && options.activation != .none {
            let kept = try Tensor(resultShape, options.output)
            before = kept
            epilogue.beforeActivation = kept.raw
        }
        epilogue.gate = options.gate.map { (UnsafePointer($0.pointer), $0.rowStride, period) }
        epilogue.residual = options.residual.map { (UnsafePointer($0.floats), outputs) }
        try multiply(MatrixView(x), right, rows: rows, into: MatrixView(y), epilogue)
        return y
    }

    /// The gate's own gradient needs the value that it multiplies.
    private func forwardKeepingUngated(
        _ right: PackedMatrix, _ epilogue: Epilogue, into y: Tensor
    ) throws(USPError) {
        var epilogue = epilogue
        let value = try Tensor(resultShape)
        ungated = value
        if options.activation != .none {
            let kept = try Tensor(resultShape)
            before = kept
            epilogue.beforeActivation = kept.raw
        }
        try multiply(MatrixView(x), right, rows: rows, into: MatrixView(value), epilogue)
        guard let gate = options.gate else { return }
        gateForward(value, gate, period: period, residual: options.residual, into: y)
    }

    func backward(_ gradient: Tensor) throws(USPError) {
        guard let tape = context.tape else { return }
        try tape.pass(gradient, to: options.residual)
        var inner = gradient
        if let gate = options.gate {
            inner = try gateBackward(gradient, ungated: ungated, gate, period: period, tape)
        }
        if options.activation != .none, let before {
            let product = try Tensor(resultShape)
            let target = GradientTarget(tensor: product, accumulates: false)
            try activationBackward(options.activation, before: before, inner, into: target)
            inner = product
        }
        if let target = try tape.target(for: bias) {
            try sumRows(inner, rows: rows, width: outputs, into: target)
        }
        try weightGradient(inner, tape)
        try inputGradient(inner, tape)
    }

    /// dW[N, K] = dyᵀ · x
    private func weightGradient(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard let target = try tape.target(for: weight) else { return }
        let right = try packed(MatrixView(x), k: rows, n: inputs, compute: context.compute)
        var epilogue = Epilogue()
        epilogue.accumulates = target.accumulates
        try multiply(
            MatrixView(gradient.raw, row: outputs).transposed, right, rows: outputs,
            into: MatrixView(target.tensor.raw, row: inputs), epilogue)
    }

    /// dx[rows, K] = dy · W
    private func inputGradient(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard let target = try tape.target(for: x) else { return }
        let right = try packed(weight: weight, use: .backward, compute: context.compute)
        var epilogue = Epilogue()
        epilogue.accumulates = target.accumulates
        try multiply(
            MatrixView(gradient.raw, row: outputs), right, rows: rows,
            into: MatrixView(target.tensor.raw, row: inputs), epilogue)
    }
}
