// Two-dimensional convolution (cross-correlation, as in PyTorch) of channels-last images.

import CKernels
import USPBase

/// A group normalisation with what follows it, to be done on the way into a convolution.
package struct ImageNorm {
    package let weight: Tensor
    package let bias: Tensor
    package let groups: Int
    package let epsilon: Float
    package let activation: Activation

    package init(weight: Tensor, bias: Tensor, groups: Int, epsilon: Float, activation: Activation)
    {
        (self.weight, self.bias, self.groups) = (weight, bias, groups)
        (self.epsilon, self.activation) = (epsilon, activation)
    }
}

extension Context {
    /// y = residual + conv(x) + b, where the image may first be doubled by nearest neighbour.
    ///
    /// y[b, i, j, o] = Σ w[o, c, ky, kx] · x[b, i·stride + ky − top, j·stride + kx − left, c],
    /// zeros outside. 3x3 kernels at stride 1 over multiples of 16 channels take Winograd's method
    /// unless `exact` is set, in f32 whatever the context's type (it is faster than plain bf16).
    /// In the plain sum doubling costs no pass of its own: taps that meet
    /// the same pixel are added first (a 3x3 kernel becomes four 2x2 ones, 16/36 of the work).
    ///
    /// - x: `[B, H, W, C]`, f32 or bf16
    /// - weight: `[O, C, kh, kw]`, f32
    /// - bias: `[O]`, f32
    /// - upsample: 1, or 2 with stride 1
    /// - residual: `[B, H', W', O]`, f32; with upsample 1
    /// - Returns: `[B, H', W', O]`, f32
    /// - Throws: `.shape`, `.argument`, `.memory`
    /// - Complexity: 2·B·H'·W'·O·C·kh·kw flops, a quarter of the multiplications by Winograd's
    ///   method. Sums are never cut by the number of threads.
    package func convolution(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1,
        padding: Padding = Padding(0),
        upsample: Int = 1, residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let shape = try ConvolutionShape(
            x.shape, weight: weight.shape, stride: stride, padding: padding, upsample: upsample)
        if let bias { try expect(bias, [shape.outputs], "convolution: bias") }
        if let residual {
            try expect(residual, shape.result, "convolution: residual")
            try require(upsample == 1, .unsupported, "convolution: a residual after doubling")
        }
        if shape.isLinear { return try linear(x, weight, bias, LinearOptions(residual: residual)) }
        let call = ConvolutionCall(
            context: self, shape: shape, x: x, weight: weight, bias: bias, residual: residual,
            norm: nil)
        let y = try call.forward()
        tape?.record(y, inputs: [x, weight, bias, residual], backward: call.backward)
        return y
    }

    /// `convolution(groupNorm(x))` at stride 1: one pass over x, and no normalised copy kept for
    /// the gradient, where Winograd's method applies.
    ///
    /// - overwritesResidual: without a tape the result takes the residual's memory
    package func convolution(
        _ x: Tensor, after norm: ImageNorm, weight: Tensor, bias: Tensor? = nil,
        padding: Padding = Padding(0), residual: Tensor? = nil, overwritesResidual: Bool = false
    ) throws(USPError) -> Tensor {
        let shape = try ConvolutionShape(
            x.shape, weight: weight.shape, stride: 1, padding: padding, upsample: 1)
        guard !exact, WinogradShape(shape) != nil, x.dtype == .float32 else {
            let y = try groupNorm(
                x, weight: norm.weight, bias: norm.bias, groups: norm.groups, epsilon: norm.epsilon,
                activation: norm.activation, output: activationType)
            return try convolution(
                y, weight: weight, bias: bias, padding: padding, residual: residual)
        }
        if let bias { try expect(bias, [shape.outputs], "convolution: bias") }
        if let residual { try expect(residual, shape.result, "convolution: residual") }
        let normCall = try GroupNormCall(
            x, norm.weight, norm.bias, norm.groups, norm.epsilon, norm.activation)
        let call = ConvolutionCall(
            context: self, shape: shape, x: x, weight: weight, bias: bias, residual: residual,
            norm: (normCall, try normCall.statistics()))
        let y = try call.forward(into: overwritesResidual && tape == nil ? residual : nil)
        tape?.record(
            y, inputs: [x, norm.weight, norm.bias, weight, bias, residual], backward: call.backward)
        return y
    }
}

/// One application of a convolution: how it is computed, and its gradients.
private struct ConvolutionCall {
    let context: Context
    let shape: ConvolutionShape
    let x: Tensor
    let weight: Tensor
    let bias: Tensor?
    let residual: Tensor?
    /// A normalisation on the way in; only with Winograd's method.
    let norm: (call: GroupNormCall, statistics: GroupNormStatistics)?

    private var compute: DType { context.compute }
    private var winograd: WinogradShape? {
        context.exact || x.dtype != .float32 ? nil : WinogradShape(shape)
    }
    private var normMaps: (statistics: GroupNormStatistics, silu: Bool)? {
        norm.map { ($0.statistics, $0.call.silu != 0) }
    }

    func forward(into target: Tensor? = nil) throws(USPError) -> Tensor {
        let y = if let target { target } else { try Tensor(shape.result) }
        if let winograd {
            try winogradConvolution(
                winograd, x, norm: normMaps, weight: weight, bias: bias, residual: residual,
                into: ImageChannels(y))
            return y
        }
        for pass in shape.forward {
            let matrix = try pass.matrix(weight, compute: compute)
            try pass.run(x, matrix, into: ImageChannels(y), bias: bias, residual: residual)
        }
        return y
    }

    func backward(_ gradient: Tensor) throws(USPError) {
        guard let tape = context.tape else { return }
        try tape.pass(gradient, to: residual)
        if let target = try tape.target(for: bias) {
            try sumRows(gradient, rows: gradient.shape.rows, width: shape.outputs, into: target)
        }
        if let target = try tape.target(for: weight) {
            if let winograd {
                try winogradWeightGradient(winograd, x, norm: normMaps, gradient, into: target)
            } else {
                try convolutionWeightGradient(shape, x, gradient, compute: compute, into: target)
            }
        }
        guard let norm else {
            if let target = try tape.target(for: x) { try inputGradient(gradient, into: target) }
            return
        }
        let inputs = [norm.call.x, norm.call.weight, norm.call.bias]
        guard inputs.contains(where: { $0.node.requiresGradient }) else { return }
        let inner = GradientTarget(tensor: try Tensor(x.shape), accumulates: false)
        try inputGradient(gradient, into: inner)
        try norm.call.backward(inner.tensor, norm.statistics, tape)
    }

    private func inputGradient(_ gradient: Tensor, into target: GradientTarget) throws(USPError) {
        if !context.exact, let reversed = WinogradShape(inputGradient: shape) {
            let before = target.accumulates ? target.tensor : nil
            try winogradConvolution(
                reversed, gradient, weight: weight, residual: before,
                into: ImageChannels(target.tensor))
            return
        }
        for pass in shape.inputGradient {
            let matrix = try pass.matrix(weight, compute: compute)
            try pass.run(
                gradient, matrix, into: ImageChannels(target.tensor),
                accumulates: target.accumulates)
        }
    }
}
