// The image operations against PyTorch's results and gradients.

import TestSupport
import Testing
import USPBase
import USPTensor

/// Runs a channels-last operation on channels-first golden tensors.
private func errors(
    _ name: String, _ inputs: [String] = ["x", "weight", "bias"], compute: DType = .float32,
    _ body: (Tensor, [String: Tensor], Context) throws -> Tensor
) throws -> GoldenErrors {
    try goldenErrors("operations/\(name)", inputs: inputs, compute: compute) { values, _, context in
        let x = try context.toChannelsLast(values["x"] ?? Tensor.zeros([1]))
        return try context.toChannelsFirst(body(x, values, context))
    }
}

@Test(arguments: [
    ("conv_3x3", 1, Padding(1), 1), ("conv_3x3_stride_2_7x9", 2, Padding(bottom: 1, right: 1), 1),
    ("conv_3x3_stride_2_8x10", 2, Padding(bottom: 1, right: 1), 1), ("conv_1x1", 1, Padding(0), 1),
    ("upsample_conv", 1, Padding(1), 2),
])
func convolutionAgreesWithPyTorch(_ name: String, stride: Int, padding: Padding, upsample: Int)
    throws
{
    for compute in [DType.float32, .bfloat16] {
        let found = try errors(name, compute: compute) { x, values, context in
            try context.convolution(
                x, weight: values["weight"] ?? x, bias: values["bias"], stride: stride,
                padding: padding,
                upsample: upsample)
        }
        #expect(found.output < (compute == .float32 ? 1e-6 : 2e-2))
        #expect(found.worstGradient < (compute == .float32 ? 1e-6 : 2e-2))
    }
}

@Test(arguments: [("group_norm", Activation.none), ("group_norm_silu", .silu)])
func groupNormAgreesWithPyTorch(_ name: String, activation: Activation) throws {
    let found = try errors(name) { x, values, context in
        try context.groupNorm(
            x, weight: values["weight"] ?? x, bias: values["bias"] ?? x, groups: 32, epsilon: 1e-6,
            activation: activation)
    }
    #expect(found.output < 2e-6)
    #expect(found.worstGradient < 5e-6)
}

@Test func divergenceAgreesWithPyTorch() throws {
    let golden = try GoldenCase("operations/kl_standard_normal")
    let (moments, divergences) = (try golden.tensor("in.moments"), try golden.values("out.y"))
    let last = try Context().toChannelsLast(moments)
    let y = try Context().klDivergence(
        mean: Context().sliceChannels(last, 0..<4),
        logVariance: Context().clampLogVariance(Context().sliceChannels(last, 4..<8)))
    #expect(relativeError(y, [divergences.reduce(0, +) / Float(divergences.count)]) < 1e-6)
}
