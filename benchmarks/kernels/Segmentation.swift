// What segmentation networks add, at the sizes of UperNet of width 768 for images of 512 x 512.

import TestSupport
import USPBase
import USPTensor

func segmentationOperations() -> [Operation] {
    [transposed(), resizing(), adaptivePool(), maxPool(), batchNorm(), relativeBias(), pixelLoss()]
}

/// Memory that is read and written, of f32 images of 768 channels.
private func traffic(_ pixels: Int) -> Double { 4 * 768 * Double(pixels) }

private func transposed() -> Operation {
    Operation(
        name: "transposed convolution 2x2", golden: "transposed_conv_2x2",
        inputs: ["x", "weight", "bias"],
        sizes: [
            Size(
                label: "768 channels, 32x32",
                shapes: ["x": [1, 32, 32, 768], "weight": [768, 768, 2, 2], "bias": [768]],
                flops: 2 * 1024 * 768 * 768 * 4)
        ], dtypes: [.float32], isImage: true
    ) { values, call in
        try call.context.transposedConvolution(
            values.need("x"), weight: values.need("weight"), bias: values["bias"], stride: 2)
    }
}

private func resizing() -> Operation {
    Operation(
        name: "bilinear resize by 4", golden: "resize_bilinear_up", inputs: ["x"],
        sizes: [
            Size(
                label: "768 channels, 32x32", shapes: ["x": [1, 32, 32, 768]],
                bytes: traffic(32 * 32 + 128 * 128))
        ], dtypes: [.float32], isImage: true, gradientWork: 1
    ) { values, call in
        let x = try values.need("x")
        return try call.context.resizeBilinear(x, height: 4 * x.shape[1], width: 4 * x.shape[2])
    }
}

private func adaptivePool() -> Operation {
    Operation(
        name: "adaptive pool to 6x6", golden: "adaptive_pool_6", inputs: ["x"],
        sizes: [
            Size(
                label: "768 channels, 16x16", shapes: ["x": [1, 16, 16, 768]],
                bytes: traffic(16 * 16 + 36))
        ], dtypes: [.float32], isImage: true, gradientWork: 1
    ) { values, call in try call.context.adaptiveMeanPool(values.need("x"), cells: 6) }
}

private func maxPool() -> Operation {
    Operation(
        name: "max pool 2x2", golden: "max_pool_2", inputs: ["x"],
        sizes: [
            Size(
                label: "768 channels, 32x32", shapes: ["x": [1, 32, 32, 768]],
                bytes: traffic(32 * 32 + 16 * 16))
        ], dtypes: [.float32], isImage: true, gradientWork: 1
    ) { values, call in try call.context.maxPool(values.need("x"), size: 2) }
}

private func batchNorm() -> Operation {
    Operation(
        name: "batch norm of the batch + ReLU", golden: "batch_norm_image_relu",
        inputs: ["x", "weight", "bias"],
        sizes: [
            Size(
                label: "768 channels, 128x128",
                shapes: ["x": [1, 128, 128, 768], "weight": [768], "bias": [768]],
                bytes: traffic(3 * 128 * 128))
        ], dtypes: [.float32], isImage: true, gradientWork: 1
    ) { values, call in
        let x = try values.need("x")
        let norm = BatchNorm(
            runningMean: try Tensor.zeros([x.shape[3]]),
            runningVariance: try Tensor.filled([x.shape[3]], 1), weight: values["weight"],
            bias: values["bias"], rectifies: true)
        return try call.context.batchNorm(x, norm, training: true)
    }
}

private func relativeBias() -> Operation {
    // By tokens, the class token among them.
    let places = [21: try? RelativePlaces(height: 4, width: 5)]
        .merging([1025: try? RelativePlaces(height: 32, width: 32)]) { $1 }
    return Operation(
        name: "attention with relative bias", golden: "attention_relative_bias",
        inputs: ["qkv", "table"],
        sizes: [
            Size(
                label: "B, 32x32 tokens and a class token",
                shapes: ["qkv": [1, 1025, 2304], "table": [63 * 63 + 3, 12]],
                flops: 4 * 1025 * 1025 * 768)
        ], dtypes: [.float32], gradientWork: 2.5, heads: (golden: 3, sizes: 12)
    ) { values, call in
        let qkv = try values.need("qkv")
        guard let known = places[qkv.shape[1]] ?? nil else {
            throw USPError(.argument, "no places of \(qkv.shape[1]) tokens")
        }
        return try call.context.attention(
            qkv: qkv, heads: call.heads,
            bias: RelativeBias(table: values.need("table"), places: known))
    }
}

private func pixelLoss() -> Operation {
    Operation(
        name: "cross entropy of pixels, some ignored", golden: "pixel_cross_entropy_all",
        inputs: ["logits"],
        sizes: [
            Size(
                label: "150 classes, 512x512", shapes: ["logits": [1, 512, 512, 150]],
                bytes: 4 * 150 * 512 * 512)
        ], dtypes: [.float32], gradientWork: 2
    ) { values, call in
        var logits = try values.need("logits")
        var labels = (0..<logits.shape.rows).map { Int32($0 % 5 == 0 ? 255 : $0 % 150) }
        if let golden = call.golden {  // channels first
            logits = try call.context.toChannelsLast(logits)
            labels = try golden.indices("in.labels").map(Int32.init)
        }
        return try call.context.pixelCrossEntropy(
            logits: logits, labels: labels, countsIgnored: true)
    }
}
