// Cross entropy of class maps.

import CKernels
import USPBase

extension Context {
    /// −Σ log softmax(logits)[label] over the labelled pixels, divided by the number of all pixels, or
    /// of the labelled ones.
    ///
    /// - logits: `[.., K]`, f32, such as channels-last maps
    /// - labels: one a pixel: 0 ..< K, or `ignored`
    /// - countsIgnored: divide by all pixels, ignored ones too, as mmsegmentation does; otherwise by
    ///   the labelled ones (PyTorch's mean), where none is labelled the loss is 0
    /// - Returns: a scalar
    /// - Throws: `.shape`; `.argument` for another label
    package func pixelCrossEntropy(
        logits: Tensor, labels: [Int32], ignored: Int32 = 255, countsIgnored: Bool
    ) throws(USPError) -> Tensor {
        try require(
            logits.shape.rank >= 2 && logits.dtype == .float32
                && logits.shape.rows == labels.count && logits.shape[-1] > 0 && !labels.isEmpty,
            .shape, "pixel cross entropy: logits \(logits.shape), \(labels.count) labels")
        let (classes, pixels) = (logits.shape[-1], labels.count)
        var labelled = 0
        for (pixel, label) in labels.enumerated() where label != ignored {
            try require(
                label >= 0 && label < classes, .argument,
                "pixel cross entropy: label \(label) of pixel \(pixel), expected 0 to "
                    + "\(classes - 1), or \(ignored) to ignore it")
            labelled += 1
        }
        let count = max(countsIgnored ? pixels : labelled, 1)
        let grain = rowGrain(width: classes, elements: 1 << 14)
        let sum = entropySum(logits, labels, ignored, grain)
        let loss = try Tensor.scalar(Float(sum / Double(count)))
        tape?.record(loss, inputs: [logits]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: logits) else { return }
            let (scores, slopes) = (logits.floats, target.tensor.floats)
            let factor = gradient.floats[0] / Float(count)
            let accumulates: Int32 = target.accumulates ? 1 : 0
            labels.withUnsafeBufferPointer { labels in
                nonisolated(unsafe) let labels = labels
                parallelRanges(pixels, grain: grain) { range in
                    let at = range.lowerBound
                    uspi_label_entropy_backward(
                        scores + at * classes, labels.baseAddress.map { $0 + at }, range.count,
                        classes, ignored, factor, slopes + at * classes, accumulates)
                }
            }
        }
        return loss
    }
}

/// The sum over all labelled pixels, parts of them added in order.
private func entropySum(
    _ logits: Tensor, _ labels: [Int32], _ ignored: Int32, _ grain: Int
) -> Double {
    let (scores, classes, pixels) = (logits.floats, logits.shape[-1], labels.count)
    return labels.withUnsafeBufferPointer { labels in
        nonisolated(unsafe) let labels = labels
        return orderedSum((pixels + grain - 1) / grain, grain: 1) { part in
            let at = part * grain
            return uspi_label_entropy(
                scores + at * classes, labels.baseAddress.map { $0 + at },
                min(grain, pixels - at), classes, ignored)
        }
    }
}
