// Transposed convolution of channels-last images: the input gradient of a convolution, forwards.

import CKernels
import USPBase

extension Context {
    /// y[b, i·stride + ky, j·stride + kx, o] += Σ w[c, o, ky, kx] · x[b, i, j, c], plus bias:
    /// PyTorch's `ConvTranspose2d` without padding.
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - weight: `[C, O, kh, kw]`, f32; both sides at least `stride`
    /// - bias: `[O]`, f32
    /// - Returns: `[B, (H − 1)·stride + kh, (W − 1)·stride + kw, O]`, f32
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: 2·B·H·W·C·O·kh·kw flops
    package func transposedConvolution(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 4 && weight.shape.rank == 4 && weight.shape[0] == x.shape[3]
                && stride >= 1 && weight.shape[2] >= stride && weight.shape[3] >= stride
                && x.dtype == .float32 && x.shape[1] > 0 && x.shape[2] > 0, .shape,
            "transposed convolution: input \(x.shape) (channels last), weight \(weight.shape), "
                + "stride \(stride)")
        if let bias { try expect(bias, [weight.shape[1]], "transposed convolution: bias") }
        let result: Shape = [
            x.shape[0], (x.shape[1] - 1) * stride + weight.shape[2],
            (x.shape[2] - 1) * stride + weight.shape[3], weight.shape[1],
        ]
        // The convolution from the result's images to x's.
        let shape = try ConvolutionShape(
            result, weight: weight.shape, stride: stride, padding: Padding(0), upsample: 1)
        let y = try Tensor(result)
        for pass in shape.inputGradient {
            try pass.run(
                x, pass.matrix(weight, compute: compute), into: ImageChannels(y), bias: bias)
        }
        tape?.record(y, inputs: [x, weight, bias]) { [self] gradient throws(USPError) in
            guard let tape else { return }
            if let target = try tape.target(for: bias) {
                try sumRows(
                    gradient, rows: gradient.shape.rows, width: shape.inputs, into: target)
            }
            if let target = try tape.target(for: weight) {
                try convolutionWeightGradient(shape, gradient, x, compute: compute, into: target)
            }
            guard let target = try tape.target(for: x) else { return }
            for pass in shape.forward {
                try pass.run(
                    gradient, pass.matrix(weight, compute: compute),
                    into: ImageChannels(target.tensor), accumulates: target.accumulates)
            }
        }
        return y
    }
}
