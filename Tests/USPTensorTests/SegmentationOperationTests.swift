// What segmentation networks are made of, against PyTorch: outputs within 1e-5, gradients 1e-4.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

private func check(_ errors: GoldenErrors, _ name: String) {
    #expect(errors.output < 1e-5, "\(name): output \(errors.output)")
    #expect(errors.worstGradient < 1e-4, "\(name): gradients \(errors.gradients)")
}

/// The errors of an operation on channels-last images.
private func imageErrors(
    _ name: String, inputs: [String] = ["x"],
    _ body: (Tensor, [String: Tensor], Context) throws -> Tensor
) throws -> GoldenErrors {
    try goldenErrors("operations/\(name)", inputs: inputs) { values, _, context in
        let x = try context.toChannelsLast(values["x"]!)
        return try context.toChannelsFirst(body(x, values, context))
    }
}

@Suite struct SegmentationOperationTests {
    @Test(arguments: [false, true]) func batchNorm(rectifies: Bool) throws {
        let name = "batch_norm_image\(rectifies ? "_relu" : "")"
        let errors = try imageErrors(name, inputs: ["x", "weight", "bias"]) { x, values, context in
            let norm = BatchNorm(
                runningMean: try Tensor.zeros([24]), runningVariance: try Tensor.zeros([24]),
                weight: values["weight"], bias: values["bias"], rectifies: rectifies)
            return try context.batchNorm(x, norm, training: true)
        }
        check(errors, name)
    }

    @Test func runningStatistics() throws {
        let golden = try GoldenCase("operations/batch_norm_running")
        let x = try Context().toChannelsLast(golden.tensor("in.x"))
        let norm = BatchNorm(
            runningMean: try Tensor.zeros([24]), runningVariance: try Tensor.filled([24], 1))
        _ = try Context().batchNorm(x, norm, training: true)
        #expect(relativeError(norm.runningMean, try golden.values("out.mean")) < 1e-5)
        #expect(relativeError(norm.runningVariance, try golden.values("out.variance")) < 1e-5)
        #expect(throws: USPError.self) {
            _ = try Context().batchNorm(try Tensor.zeros([1, 1, 1, 24]), norm, training: true)
        }
    }

    /// Values far from zero keep their variance, and so many rows that they are summed by parts
    /// give the same bits whatever the threads.
    @Test func batchNormOfManyRows() throws {
        let x = try normalTensor([3, 40, 50, 8], seed: 81, deviation: 0.01)
        for i in 0..<x.count { x.floats[i] += 100 }
        let norm = BatchNorm(
            runningMean: try Tensor.zeros([8]), runningVariance: try Tensor.filled([8], 1),
            epsilon: 0)
        try alone {
            useThreads(1)
            let y = try Context().batchNorm(x, norm, training: true).values
            let squares = y.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(y.count)
            #expect(abs(squares - 1) < 1e-3)
            for count in 2...3 {
                useThreads(count)
                #expect(try Context().batchNorm(x, norm, training: true).values == y)
            }
        }
    }

    @Test func transposedConvolution() throws {
        let errors = try imageErrors("transposed_conv_2x2", inputs: ["x", "weight", "bias"]) {
            x, values, context in
            try context.transposedConvolution(
                x, weight: values["weight"]!, bias: values["bias"], stride: 2)
        }
        check(errors, "transposed convolution")
        #expect(throws: USPError.self) {
            try Context().transposedConvolution(
                try Tensor.zeros([1, 2, 2, 4]), weight: try Tensor.zeros([5, 4, 2, 2]), stride: 2)
        }
    }

    @Test(arguments: [("up", 12, 20), ("odd", 9, 5), ("down", 3, 5)])
    func resizeBilinear(_ name: String, _ height: Int, _ width: Int) throws {
        let errors = try imageErrors("resize_bilinear_\(name)") { x, _, context in
            try context.resizeBilinear(x, height: height, width: width)
        }
        check(errors, name)
    }

    @Test(arguments: [1, 2, 3, 6]) func adaptivePool(_ cells: Int) throws {
        let errors = try imageErrors("adaptive_pool_\(cells)") { x, _, context in
            try context.adaptiveMeanPool(x, cells: cells)
        }
        check(errors, "\(cells) cells")
    }

    @Test func maxPool() throws {
        check(
            try imageErrors("max_pool_2") { x, _, context in try context.maxPool(x, size: 2) },
            "max pool")
    }

    @Test(arguments: ["all", "labelled"]) func pixelCrossEntropy(_ kind: String) throws {
        let errors = try goldenErrors("operations/pixel_cross_entropy_\(kind)", inputs: ["logits"])
        { values, golden, context in
            try context.pixelCrossEntropy(
                logits: try context.toChannelsLast(values["logits"]!),
                labels: try golden.indices("in.labels").map { Int32($0) },
                countsIgnored: kind == "all")
        }
        check(errors, kind)
    }

    @Test func labelsAreChecked() throws {
        let logits = try normalTensor([2, 3, 7], seed: 82)
        let ignored = [Int32](repeating: 255, count: 6)
        for counts in [true, false] {
            let loss = try Context().pixelCrossEntropy(
                logits: logits, labels: ignored, countsIgnored: counts)
            #expect(loss.values == [0])
        }
        for label: Int32 in [7, -1, 254] {
            #expect(throws: USPError.self) {
                try Context().pixelCrossEntropy(
                    logits: logits, labels: [0, 1, label, 2, 3, 4], countsIgnored: true)
            }
        }
    }

    @Test func relativeBias() throws {
        let errors = try goldenErrors(
            "operations/attention_relative_bias", inputs: ["qkv", "table"]
        ) { values, _, context in
            try context.attention(
                qkv: values["qkv"]!, heads: 3,
                bias: RelativeBias(
                    table: values["table"]!, places: try RelativePlaces(height: 4, width: 5)))
        }
        check(errors, "relative bias")
        let qkv = try Tensor.zeros([1, 21, 216])
        #expect(throws: USPError.self) {
            try Context().attention(
                qkv: qkv, heads: 3,
                bias: RelativeBias(
                    table: try Tensor.zeros([66, 3]),
                    places: try RelativePlaces(height: 4, width: 4)))
        }
    }

    @Test func droppedChannels() throws {
        let x = try Tensor.filled([4, 6, 5, 32], 1)
        let gradient = try trainable(x)
        let tape = Tape()
        let key = RandomKey(seed: 3)
        let y = try Context(tape: tape, random: key).dropoutChannels(x, rate: 0.25)
        try tape.backward(from: y, gradient: try Tensor.filled(y.shape, 1))
        #expect(gradient.values == y.values)
        var dropped = 0
        for sample in 0..<4 {
            for channel in 0..<32 {
                let values = Set((0..<30).map { y.values[(sample * 30 + $0) * 32 + channel] })
                #expect(values == [0] || values == [1 / 0.75])
                dropped += values == [0] ? 1 : 0
            }
        }
        #expect((16..<48).contains(dropped))
        let alone = try Context(random: key).dropoutChannels(
            try x.detachedRows(0..<2), rate: 0.25)
        #expect(alone.values == Array(y.values.prefix(alone.count)))
        #expect(try Context().dropoutChannels(x, rate: 0.25).values == x.values)
    }
}
