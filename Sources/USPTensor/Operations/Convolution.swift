// Two-dimensional convolution (cross-correlation, as in PyTorch) of channels-last images.

import CKernels
import USPBase

extension Context {
    /// y = residual + conv(x) + b, where the image may first be doubled by nearest neighbour.
    ///
    /// y[b, i, j, o] = Σ w[o, c, ky, kx] · x[b, i·stride + ky − top, j·stride + kx − left, c], zeros
    /// outside. Doubling costs no pass of its own: taps that meet the same pixel are summed first
    /// (a 3x3 kernel becomes four 2x2 ones, 16/36 of the work).
    ///
    /// - x: `[B, H, W, C]`, f32 or bf16 (then no gradient flows to it)
    /// - weight: `[O, C, kh, kw]`, f32
    /// - bias: `[O]`, f32
    /// - upsample: 1, or 2 with stride 1
    /// - residual: `[B, H', W', O]`, f32; with upsample 1
    /// - Returns: `[B, H', W', O]`, f32
    /// - Throws: `.shape`, `.argument`, `.memory`
    /// - Complexity: 2·B·H'·W'·O·C·kh·kw flops. Sums are never cut by the number of threads.
    package func convolution(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Padding = Padding(0),
        upsample: Int = 1, residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let shape = try ConvolutionShape(
            x.shape, weight: weight.shape, stride: stride, padding: padding, upsample: upsample)
        if let bias { try expect(bias, [shape.outputs], "convolution: bias") }
        if let residual {
            try expect(residual, shape.result, "convolution: residual")
            try require(upsample == 1, .unsupported, "convolution: a residual after doubling")
        }
        if usesWinograd(shape, x, [x, weight, bias, residual]) {
            return try WinogradConvolution(
                shape: shape, x: x, weight: weight, bias: bias, residual: residual, statistics: nil,
                silu: false
            ).run()
        }
        if shape.isLinear { return try linear(x, weight, bias, LinearOptions(residual: residual)) }
        let y = try Tensor(shape.result)
        for pass in shape.forward {
            let matrix = try pass.matrix(weight, compute: compute)
            try pass.run(x, matrix, into: y, bias: bias, residual: residual, accumulates: false)
        }
        let compute = compute
        tape?.record(y, inputs: [x, weight, bias, residual]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            try tape.pass(gradient, to: residual)
            if let target = try tape.target(for: bias) {
                try sumRows(gradient, rows: gradient.shape.rows, width: shape.outputs, into: target)
            }
            if let target = try tape.target(for: weight) {
                try convolutionWeightGradient(shape, x, gradient, compute: compute, into: target)
            }
            if let target = try tape.target(for: x) {
                for pass in shape.inputGradient {
                    let matrix = try pass.matrix(weight, compute: compute)
                    try pass.run(
                        gradient, matrix, into: target.tensor, bias: nil, residual: nil,
                        accumulates: target.accumulates)
                }
            }
        }
        return y
    }

    /// A convolution of a group norm: `convolution(groupNorm(x))`, in one pass over x where Winograd's
    /// method applies.
    package func convolution(
        _ x: Tensor, after norm: ImageNorm, weight: Tensor, bias: Tensor? = nil,
        padding: Padding = Padding(0), residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let shape = try ConvolutionShape(
            x.shape, weight: weight.shape, stride: 1, padding: padding, upsample: 1)
        guard usesWinograd(shape, x, [x, norm.weight, norm.bias, weight, bias, residual]) else {
            let y = try groupNorm(
                x, weight: norm.weight, bias: norm.bias, groups: norm.groups, epsilon: norm.epsilon,
                activation: norm.activation, output: activationType)
            return try convolution(y, weight: weight, bias: bias, padding: padding, residual: residual)
        }
        if let bias { try expect(bias, [shape.outputs], "convolution: bias") }
        if let residual { try expect(residual, shape.result, "convolution: residual") }
        let call = try GroupNormCall(
            x, norm.weight, norm.bias, norm.groups, norm.epsilon, norm.activation)
        return try WinogradConvolution(
            shape: shape, x: x, weight: weight, bias: bias, residual: residual,
            statistics: call.statistics(), silu: norm.activation == .silu
        ).run()
    }

    /// Winograd's method is for inference: its gradient would need the plain sum's inputs anyway.
    private func usesWinograd(_ shape: ConvolutionShape, _ x: Tensor, _ inputs: [Tensor?]) -> Bool {
        let records = tape != nil && inputs.contains { $0?.node.requiresGradient == true }
        return !exactConvolution && !records && WinogradConvolution.suits(shape, x: x)
    }
}

/// A group normalisation with what follows it, to be done on the way into a convolution.
package struct ImageNorm {
    package let weight: Tensor
    package let bias: Tensor
    package let groups: Int
    package let epsilon: Float
    package let activation: Activation

    package init(weight: Tensor, bias: Tensor, groups: Int, epsilon: Float, activation: Activation) {
        (self.weight, self.bias, self.groups) = (weight, bias, groups)
        (self.epsilon, self.activation) = (epsilon, activation)
    }
}
