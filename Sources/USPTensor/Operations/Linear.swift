// y = residual + gate ⊙ activation(x·Wᵀ + b): a linear layer with all that may follow it, fused.

import CKernels
import USPBase

/// What a linear layer does beyond its product.
package struct LinearOptions {
    /// Comes first, of x `[.., K]`, f32. Without a tape its rows exist only as they are packed.
    package var norm: LayerNorm?
    package var activation: Activation = .none
    /// A gated unit (SwiGLU with `.silu`; Shazeer 2020): of x·Wᵀ + b's two halves the result is
    /// activation(first) ⊙ second, `[.., N/2]`. Takes neither gate nor residual.
    package var isGatedUnit = false
    /// Multiplies each sample's rows: a chunk of a `[B, n·N]` tensor. A tensor of one row is one
    /// factor a channel for all samples (layer scale).
    package var gate: Chunk?
    /// `[.., N]`, f32; added last.
    package var residual: Tensor?
    /// Without a tape the result takes the residual's memory.
    package var overwritesResidual = false
    /// Element type of the result; f32 with a residual.
    package var output: DType = .float32
    /// Keep x instead of x·Wᵀ + b for the activation's gradient, which multiplies once more. With a
    /// gate or a residual this is ignored.
    package var recomputesActivationInput = false
    /// Where the gradient alone is wanted, of a part that is run again: no product is taken that it
    /// does not need, and the result's content is then undefined.
    package var leavesResultUndefined = false
    /// A layer of few rows to be computed on the way.
    package var beside: LinearBeside?

    package init(
        norm: LayerNorm? = nil, activation: Activation = .none, isGatedUnit: Bool = false,
        gate: Chunk? = nil, residual: Tensor? = nil, overwritesResidual: Bool = false,
        output: DType = .float32, recomputesActivationInput: Bool = false,
        leavesResultUndefined: Bool = false,
        beside: LinearBeside? = nil
    ) {
        self.norm = norm
        self.activation = activation
        self.isGatedUnit = isGatedUnit
        self.gate = gate
        self.residual = residual
        self.overwritesResidual = overwritesResidual
        self.output = output
        self.recomputesActivationInput = recomputesActivationInput
        self.leavesResultUndefined = leavesResultUndefined
        self.beside = beside
    }
}

extension Context {
    /// y = residual + gate ⊙ activation(norm(x)·Wᵀ + b), or a gated unit.
    ///
    /// - x: `[.., K]`, f32 or bf16
    /// - weight: `[N, ..]` with N·K elements, f32, PyTorch's `nn.Linear` layout
    /// - bias: `[N]`, f32
    /// - gate: chunk of width N of a `[B, n·N]` tensor; x then has B equal groups of rows
    /// - Returns: `[.., N]`; of a gated unit `[.., N/2]`
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: 2·rows·N·K flops; the epilogue costs no pass over memory of its own.
    package func linear(
        _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil,
        _ options: LinearOptions = LinearOptions()
    ) throws(USPError) -> Tensor {
        if let norm = options.norm, tape != nil {
            var rest = options
            rest.norm = nil
            return try linear(
                layerNorm(x, norm, output: activationType), weight, bias, rest)
        }
        if compute == .int8 { try requireQuantizable(x) }
        let call = try LinearCall(self, x, weight, bias, options)
        let y = try call.forward(
            x, norm: options.norm, residual: options.residual,
            into: options.overwritesResidual && tape == nil ? options.residual : nil,
            beside: options.beside)
        tape?.record(
            y, inputs: [x, weight, bias, options.gate?.tensor, options.residual],
            backward: call.backward)
        return y
    }
}

extension Context {
    /// - Throws: `.unsupported` with a tape, and where sums would not fit into 32 bits
    private func requireQuantizable(_ x: Tensor) throws(USPError) {
        try require(
            tape == nil, .unsupported,
            "compute: int8 is for inference and has no gradients; load the model with f32 or bf16")
        let inputs = x.shape.rank > 0 ? x.shape[-1] : 0
        try require(
            inputs > 0 && inputs <= Int(uspi_most_int8()), .unsupported,
            "compute: int8 takes layers of 1 to \(uspi_most_int8()) inputs, got \(inputs)")
    }
}

/// Throws `.shape` unless x `[.., K]`, weight `[N, ..]` with N·K elements and bias `[N]` are a
/// layer.
func requireLinear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws(USPError) {
    try require(
        x.shape.rank > 0 && weight.shape.rank > 0
            && weight.count == weight.shape[0] * x.shape[-1], .shape,
        "linear: input \(x.shape), weight \(weight.shape)")
    if let bias { try expect(bias, [weight.shape[0]], "linear: bias") }
}

/// One application of a linear layer: what its gradient needs of its forward pass.
private final class LinearCall {
    let context: Context
    let weight: Tensor
    let bias: Tensor?
    let activation: Activation
    let isGatedUnit: Bool
    let gate: Chunk?
    let output: DType
    /// Whether the gradient reads x·Wᵀ + b.
    let needsBefore: Bool
    let recomputesBefore: Bool
    let leavesResultUndefined: Bool
    /// Where the inputs' gradients go; x's content, if a gradient will need it.
    let place: Place
    let residual: Place?
    let kept: Kept?
    let resultShape: Shape
    let rows: Int
    let sharing: SharedSums
    let inputs: Int
    let outputs: Int
    let records: Bool
    /// x·Wᵀ + b, kept or computed once more when more than a gate follows; the activated value, kept
    /// when a gate follows.
    var before: Tensor?
    var ungated: Tensor?

    init(
        _ context: Context, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ options: LinearOptions
    ) throws(USPError) {
        (self.context, self.weight, self.bias) = (context, weight, bias)
        (activation, gate, output) = (options.activation, options.gate, options.output)
        isGatedUnit = options.isGatedUnit
        needsBefore = activation != .none || isGatedUnit
        recomputesBefore =
            options.recomputesActivationInput && needsBefore && gate == nil
            && options.residual == nil
        leavesResultUndefined = options.leavesResultUndefined
        (place, residual) = (Place(x), options.residual.map { Place($0) })
        inputs = x.shape.rank > 0 ? x.shape[-1] : 0
        outputs = weight.shape.rank > 0 ? weight.shape[0] : 0
        rows = x.shape.rows
        let samples = x.shape.rank > 2 ? max(x.shape[0], 1) : rows
        sharing = context.exact ? .none : .within(sampleRows: rows / max(samples, 1))
        let width = isGatedUnit ? outputs / 2 : outputs
        resultShape = Shape(x.shape.extents.dropLast() + [width])
        let values = [x, weight, bias, options.gate?.tensor, options.residual]
        records = context.tape != nil && values.contains { $0?.node.requiresGradient == true }
        kept = records && (weight.node.requiresGradient || recomputesBefore) ? Kept(x) : nil
        try requireLinear(x, weight, bias)
        try require(
            !isGatedUnit || outputs % 2 == 0 && gate == nil && options.residual == nil, .shape,
            "linear: a gated unit of weight \(weight.shape) needs an even count of outputs, and "
                + "neither gate nor residual")
        if let residual = options.residual {
            try require(
                residual.count == rows * outputs && output == .float32, .shape,
                "linear: residual \(residual.shape), output \(resultShape)")
        }
        if let gate {
            let samples = gate.tensor.shape.rows
            try require(
                gate.width == outputs && samples > 0 && rows % samples == 0, .shape,
                "linear: gate of width \(gate.width) in \(gate.tensor.shape), output \(resultShape)"
            )
        }
    }

    var period: Int { rows / max(gate?.tensor.shape.rows ?? 1, 1) }

    func forward(
        _ x: Tensor, norm: LayerNorm?, residual: Tensor?, into target: Tensor?,
        beside: LinearBeside?
    ) throws(USPError) -> Tensor {
        let y: Tensor
        if let target {
            y = try target.reshaped(resultShape)
        } else {
            y = try Tensor(resultShape, output)
        }
        if records, let gate, gate.tensor.node.requiresGradient {
            let value = try forwardKeepingUngated(x)
            gateForward(value, gate, period: period, residual: residual, into: y)
            return y
        }
        if records && leavesResultUndefined && !needsBefore { return y }
        var epilogue = Epilogue()
        epilogue.activation = activation
        if records && needsBefore {
            if !recomputesBefore { epilogue.beforeActivation = try keepBefore(output) }
            if gate == nil && residual == nil {
                y.node.again = { () throws(USPError) in try self.activatedAgain() }
            }
        }
        epilogue.gate = gate.map { (UnsafePointer($0.pointer), $0.rowStride, period) }
        epilogue.residual = residual.map { (UnsafePointer($0.floats), outputs) }
        try product(x, norm, into: y, epilogue, beside: beside)
        return y
    }

    /// norm(x)·Wᵀ + b, with the rest of an epilogue.
    private func product(
        _ x: Tensor, _ norm: LayerNorm? = nil, into y: Tensor, _ rest: Epilogue = Epilogue(),
        beside: LinearBeside? = nil
    ) throws(USPError) {
        var epilogue = rest
        epilogue.bias = bias.map { UnsafePointer($0.floats) }
        if isGatedUnit { (epilogue.gatedUnit, epilogue.activation) = (outputs / 2, activation) }
        let right = try packed(
            weight: weight, use: isGatedUnit ? .gatedForward : .forward, compute: context.compute)
        func product(_ left: MatrixView, _ normed: uspi_normed_rows?) throws(USPError) {
            try multiply(
                left, right, rows: rows, into: MatrixView(y), epilogue, sharing: sharing,
                normed: normed, beside: beside)
        }
        guard let norm else { return try product(MatrixView(x), nil) }
        let tile = ProductTile(m: rows, n: right.n, k: inputs, compute: context.compute, sharing)
        guard tile.packsOnce else {
            let rows = try context.layerNorm(x, norm, output: context.activationType)
            return try withExtendedLifetime(rows) { () throws(USPError) in
                try product(MatrixView(rows), nil)
            }
        }
        let call = try LayerNormCall(x, norm)
        try withExtendedLifetime(call) { () throws(USPError) in
            try product(
                MatrixView(x.raw, row: inputs, dtype: context.activationType),
                call.normedRows(context.activationType))
        }
    }

    /// Room for x·Wᵀ + b.
    private func keepBefore(_ type: DType) throws(USPError) -> UnsafeMutableRawPointer {
        let room = try Tensor(Shape(resultShape.extents.dropLast() + [outputs]), type)
        before = room
        return room.raw
    }

    /// x·Wᵀ + b in the backward pass. Computed for whoever wants y once more, it stays for the
    /// activation's own gradient, which follows.
    private func activationInput() throws(USPError) -> Tensor {
        if let before { return before }
        guard let kept else {
            throw USPError(.internal, "the input of an activation, \(resultShape), was not kept")
        }
        let value = try Tensor(resultShape, output)
        if isGatedUnit {
            var epilogue = Epilogue()
            epilogue.beforeActivation = try keepBefore(output)
            try product(kept.value(), into: value, epilogue)
            return before ?? value
        }
        try product(kept.value(), into: value)
        before = value
        return value
    }

    private func activatedAgain() throws(USPError) -> Tensor {
        let before = try activationInput()
        guard isGatedUnit else { return try activated(before, activation) }
        let y = try Tensor(resultShape, output)
        gatedUnit(before, activation, into: y)
        return y
    }

    /// The gate's own gradient needs the value that it multiplies.
    private func forwardKeepingUngated(_ x: Tensor) throws(USPError) -> Tensor {
        let value = try Tensor(resultShape)
        ungated = value
        var epilogue = Epilogue()
        epilogue.activation = activation
        if activation != .none { epilogue.beforeActivation = try keepBefore(.float32) }
        try product(x, into: value, epilogue)
        return value
    }

    func backward(_ gradient: Tensor) throws(USPError) {
        guard let tape = context.tape else { return }
        var inner = gradient
        var owned = tape.ownsGradient && residual == nil
        try tape.pass(gradient, to: residual)
        if let gate {
            inner = try gateBackward(gradient, ungated: ungated, gate, period: period, tape)
            (ungated, owned) = (nil, true)
        }
        if isGatedUnit {
            inner = try gatedUnitBackward(activationInput(), activation, gradient)
            before = nil
        } else if activation != .none {
            let before = try activationInput()
            let product = owned ? inner : try Tensor(resultShape)
            let target = GradientTarget(tensor: product, accumulates: false)
            try activationBackward(activation, before: before, inner, into: target)
            (inner, self.before) = (product, nil)
        }
        if let target = try tape.target(for: bias) {
            try sumRows(inner, rows: rows, width: outputs, into: target)
        }
        try weightGradient(inner, tape)
        try inputGradient(inner, tape)
    }

    /// dW[N, K] = dyᵀ · x
    private func weightGradient(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard let kept, weight.node.requiresGradient else { return }
        let right = try packedInput(kept)
        guard let target = try tape.target(for: weight) else { return }
        var epilogue = Epilogue()
        epilogue.accumulates = target.accumulates
        try multiply(
            MatrixView(gradient.raw, row: outputs).transposed, right, rows: outputs,
            into: MatrixView(target.tensor.raw, row: inputs), epilogue)
    }

    private func packedInput(_ kept: Kept) throws(USPError) -> PackedMatrix {
        let x = try kept.value()
        return try packed(
            MatrixView(x.raw, row: inputs, dtype: x.dtype), k: rows, n: inputs,
            compute: context.compute)
    }

    /// dx[rows, K] = dy · W
    private func inputGradient(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard let target = try tape.target(for: place) else { return }
        let right = try packed(weight: weight, use: .backward, compute: context.compute)
        var epilogue = Epilogue()
        epilogue.accumulates = target.accumulates
        try multiply(
            MatrixView(gradient.raw, row: outputs), right, rows: rows,
            into: MatrixView(target.tensor.raw, row: inputs), epilogue)
    }
}
