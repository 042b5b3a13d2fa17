// The one list of cases: operations at the sizes that the models run them at.

import TestSupport
import USPBase
import USPTensor

/// All operations that are checked against golden tensors and timed.
func operations() -> [Operation] {
    linearOperations() + attentionOperations() + tokenOperations() + imageOperations()
        + segmentationOperations()
}

private func product(_ label: String, rows: Int, _ inputs: Int, _ outputs: Int) -> Size {
    Size(
        label: label,
        shapes: ["x": [rows, inputs], "weight": [outputs, inputs], "bias": [outputs]],
        flops: 2 * Double(rows) * Double(inputs) * Double(outputs))
}

private func gatedProduct(_ label: String, rows: Int, _ inputs: Int, _ hidden: Int) -> Size {
    Size(
        label: label,
        shapes: [
            "x": [rows, inputs], "w12_weight": [2 * hidden, inputs], "w12_bias": [2 * hidden],
        ],
        flops: 4 * Double(rows) * Double(inputs) * Double(hidden))
}

private func linearOperations() -> [Operation] {
    [
        Operation(
            name: "linear", golden: "linear_none", inputs: ["x", "weight", "bias"],
            sizes: [
                product("B/2 qkv, batch 8", rows: 2048, 768, 2304),
                product("B/2 proj, batch 8", rows: 2048, 768, 768),
                product("XL/2 qkv, batch 2", rows: 512, 1152, 3456),
                product("S/2 qkv, batch 1", rows: 256, 384, 1152),
                product("B/2 adaLN, batch 8", rows: 8, 768, 4608),
                product("B/2 adaLN, batch 1", rows: 1, 768, 4608),
            ], activations: ["x"]
        ) { values, call in
            try call.context.linear(
                values.need("x"), values.need("weight"), values["bias"],
                LinearOptions(output: call.output))
        },
        Operation(
            name: "linear + GELU", golden: "linear_gelu_tanh", inputs: ["x", "weight", "bias"],
            sizes: [
                product("B/2 fc1, batch 8", rows: 2048, 768, 3072),
                product("XL/2 fc1, batch 2", rows: 512, 1152, 4608),
            ], activations: ["x"]
        ) { values, call in
            try call.context.linear(
                values.need("x"), values.need("weight"), values["bias"],
                LinearOptions(activation: .geluTanh, output: call.output))
        },
        Operation(
            name: "linear + SwiGLU", golden: "swiglu_hidden",
            inputs: ["x", "w12_weight", "w12_bias"],
            sizes: [
                gatedProduct("B/2 w12, batch 8", rows: 2048, 768, 2048),
                gatedProduct("XL/2 w12, batch 2", rows: 512, 1152, 3072),
                gatedProduct("L/2 w12, batch 2", rows: 512, 1024, 2730),
            ], activations: ["x"]
        ) { values, call in
            try call.context.linear(
                values.need("x"), values.need("w12_weight"), values["w12_bias"],
                LinearOptions(activation: .silu, isGatedUnit: true, output: call.output))
        },
        Operation(
            name: "linear, gated, + residual", golden: "gated_residual",
            inputs: ["x", "f", "gate"],
            sizes: [
                Size(
                    label: "B/2 fc2, batch 8",
                    shapes: [
                        "f": [8, 256, 3072], "weight": [768, 3072], "bias": [768],
                        "gate": [8, 768],
                        "x": [8, 256, 768],
                    ],
                    flops: 2 * 2048 * 768 * 3072)
            ], activations: ["f"]
        ) { values, call in
            let gate = try values.need("gate")
            return try call.context.linear(
                values.need("f"), values["weight"] ?? identity(40), values["bias"],
                LinearOptions(
                    gate: Chunk(gate, 0, width: gate.shape[1]), residual: values.need("x")))
        },
    ]
}

private func heads(_ label: String, batch: Int, tokens: Int, width: Int) -> Size {
    Size(
        label: label, shapes: ["qkv": [batch, tokens, 3 * width]],
        flops: 4 * Double(batch) * Double(tokens * tokens) * Double(width))
}

private func attentionOperations() -> [Operation] {
    [
        attention(12, [heads("B/2, batch 8", batch: 8, tokens: 256, width: 768)]),
        attention(16, [heads("XL/2, batch 2", batch: 2, tokens: 256, width: 1152)]),
        attention(1, [heads("autoencoder 256x256", batch: 1, tokens: 1024, width: 512)]),
        preparedAttention(12, preparedHeads("B/2, batch 8", batch: 8, 64, heads: 12)),
        preparedAttention(16, preparedHeads("XL/2, batch 2", batch: 2, 72, heads: 16)),
    ]
}

private func preparedHeads(_ label: String, batch: Int, _ width: Int, heads count: Int) -> Size {
    var size = heads(label, batch: batch, tokens: 256, width: width * count)
    for name in ["cos", "sin"] { size.shapes[name] = [256, width] }
    for name in ["q_weight", "k_weight"] { size.shapes[name] = [width] }
    return size
}

/// With RMS norms of queries and keys, and rotation by tables of any values.
private func preparedAttention(_ count: Int, _ size: Size) -> Operation {
    Operation(
        name: "attention, normed and rotated", golden: "heads_rms_rotated",
        inputs: ["qkv", "q_weight", "k_weight"], sizes: [size], activations: ["qkv"],
        gradientWork: 2.5, heads: (3, count)
    ) { values, call in
        let options = QueryKeyOptions(
            queryNorm: LayerNorm(.rms, weight: try values.need("q_weight")),
            keyNorm: LayerNorm(.rms, weight: try values.need("k_weight")),
            rotation: try rotation(values))
        return try call.context.attention(
            qkv: values.need("qkv"), heads: call.heads, queryKey: options, output: call.output)
    }
}

private func attention(_ count: Int, _ sizes: [Size]) -> Operation {
    Operation(
        name: "attention", golden: "attention_core", inputs: ["qkv"], sizes: sizes,
        activations: ["qkv"], gradientWork: 2.5, heads: (3, count)
    ) { values, call in
        try call.context.attention(
            qkv: values.need("qkv"), heads: call.heads, output: call.output)
    }
}

/// The golden case's, which leaves two tokens in front alone, where a size brings no tables.
private func rotation(_ values: Inputs) throws -> Rotation {
    if let cos = values["cos"], let sin = values["sin"] { return Rotation(cos: cos, sin: sin) }
    let golden = try GoldenCase("positions/rope_24_4x5")
    return try Rotation(
        cos: golden.tensor("out.cos"), sin: golden.tensor("out.sin"), leading: 2)
}

private func tokenOperations() -> [Operation] {
    [
        Operation(
            name: "layer norm + modulation", golden: "layer_norm_modulated",
            inputs: ["x", "shift", "scale"],
            sizes: [
                Size(
                    label: "B/2, batch 8",
                    shapes: ["x": [8, 256, 768], "shift": [8, 768], "scale": [8, 768]],
                    bytes: 8 * 2048 * 768)
            ]
        ) { values, call in
            let (shift, scale) = (try values.need("shift"), try values.need("scale"))
            let norm = LayerNorm(
                shift: Chunk(shift, 0, width: shift.shape[1]),
                scale: Chunk(scale, 0, width: scale.shape[1]))
            return try call.context.layerNorm(values.need("x"), norm, output: call.output)
        },
        Operation(
            name: "RMS norm + modulation", golden: "rms_norm_affine_modulated",
            inputs: ["x", "weight", "shift", "scale"],
            sizes: [
                Size(
                    label: "B/2, batch 8",
                    shapes: [
                        "x": [8, 256, 768], "weight": [768], "shift": [8, 768], "scale": [8, 768],
                    ],
                    bytes: 8 * 2048 * 768)
            ]
        ) { values, call in
            let (shift, scale) = (try values.need("shift"), try values.need("scale"))
            let norm = LayerNorm(
                .rms, weight: try values.need("weight"),
                shift: Chunk(shift, 0, width: shift.shape[1]),
                scale: Chunk(scale, 0, width: scale.shape[1]))
            return try call.context.layerNorm(values.need("x"), norm, output: call.output)
        },
        pointwise("GELU", "gelu_erf", .geluErf),
        pointwise("SiLU", "silu", .silu),
        Operation(
            name: "patch embedding", golden: "patch_embed", inputs: ["x", "weight", "bias"],
            sizes: [
                Size(
                    label: "B/2, batch 8",
                    shapes: ["x": [8, 4, 32, 32], "weight": [768, 4, 2, 2], "bias": [768]],
                    bytes: 4 * 2048 * 784)
            ]
        ) { values, call in
            let patches = try call.context.patchify(
                values.need("x"), patch: 2, order: .channelFirst)
            return try call.context.linear(patches, values.need("weight"), values["bias"])
        },
        Operation(
            name: "mean squared error", golden: "mean_squared_error", inputs: ["x", "target"],
            sizes: [
                Size(
                    label: "4 million values",
                    shapes: ["x": [4, 1 << 20], "target": [4, 1 << 20]], bytes: 8 * 4 * 1_048_576)
            ], dtypes: [.float32]
        ) { values, call in
            try call.context.meanSquaredError(values.need("x"), values.need("target"))
        },
    ]
}

private func pointwise(_ name: String, _ golden: String, _ activation: Activation) -> Operation {
    Operation(
        name: name, golden: "activation_\(golden)", inputs: ["x"],
        sizes: [
            Size(label: "B/2 hidden, batch 8", shapes: ["x": [2048, 3072]], bytes: 8 * 2048 * 3072)
        ], dtypes: [.float32]
    ) { values, call in
        try call.context.activate(values.need("x"), activation)
    }
}

private func image(_ side: Int, _ inputs: Int, _ outputs: Int, result: Int) -> Size {
    Size(
        label: "\(inputs) to \(outputs) channels, \(side)x\(side)",
        shapes: [
            "x": [1, side, side, inputs], "weight": [outputs, inputs, 3, 3], "bias": [outputs],
        ],
        flops: 18 * Double(result * result) * Double(inputs) * Double(outputs))
}

private func imageOperations() -> [Operation] {
    [
        Operation(
            name: "group norm + SiLU", golden: "group_norm_silu", inputs: ["x", "weight", "bias"],
            sizes: [
                Size(
                    label: "128 channels, 256x256",
                    shapes: ["x": [1, 256, 256, 128], "weight": [128], "bias": [128]],
                    bytes: 12 * 65536 * 128)
            ], isImage: true
        ) { values, call in
            try call.context.groupNorm(
                values.need("x"), weight: values.need("weight"), bias: values.need("bias"),
                groups: 32, epsilon: 1e-6, activation: .silu, output: call.output)
        },
        convolution("convolution 3x3, plain sum", exact: true),
        convolution("convolution 3x3, Winograd", exact: false),
        convolution(
            "convolution 3x3 of the doubled image", golden: "upsample_conv", upsample: 2,
            sizes: [image(64, 512, 512, result: 128)]),
        convolution(
            "convolution 3x3, stride 2", golden: "conv_3x3_stride_2_8x10", stride: 2,
            padding: Padding(bottom: 1, right: 1), sizes: [image(256, 128, 128, result: 128)]),
    ]
}

private func convolution(
    _ name: String, golden: String = "conv_3x3", exact: Bool = false, stride: Int = 1,
    upsample: Int = 1, padding: Padding = Padding(1),
    sizes: [Size] = [image(256, 128, 128, result: 256), image(64, 512, 512, result: 64)]
) -> Operation {
    Operation(
        name: name, golden: golden, inputs: ["x", "weight", "bias"], sizes: sizes,
        dtypes: exact || stride > 1 ? [.float32, .bfloat16] : [.float32],
        activations: exact || stride > 1 ? ["x"] : [], isImage: true, exact: exact
    ) { values, call in
        try call.context.convolution(
            values.need("x"), weight: values.need("weight"), bias: values["bias"], stride: stride,
            padding: padding, upsample: upsample)
    }
}

/// Ones on the diagonal of a [width, width] weight.
private func identity(_ width: Int) throws -> Tensor {
    let result = try Tensor.zeros([width, width])
    for i in 0..<width { result.floats[i * (width + 1)] = 1 }
    return result
}

extension Inputs {
    /// The tensor of this name; throws if the case lacks it.
    func need(_ name: String) throws -> Tensor {
        guard let found = self[name] else { throw USPError(.argument, "no input \(name)") }
        return found
    }
}
