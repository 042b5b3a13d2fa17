// Header section "evaluate".

import CUSP
import USPBase
import USPKit
import USPTensor

/// f64 numbers.
private func doubles(_ view: StridedView) throws(USPError) -> [Double] {
    let tensor = try view.tensor()
    try SystemMemory.expect(tensor.count, of: Double.self)
    let values = tensor.raw.assumingMemoryBound(to: Double.self)
    return (0..<tensor.count).map { values[$0] }
}

@_cdecl("usp_evaluate_frechet") @implementation public func usp_evaluate_frechet(
    _ a: UnsafePointer<usp_tensor>?, _ b: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_frechet") { () throws(USPError) in
        let out = try result(out, "out")
        let a = try tensor(a, "a", ["N", "D"])
        let b = try tensor(b, "b", ["M", .extent(a.shape[1])])
        out.pointee = try Evaluate.frechetDistance(a, b)
    }
}

@_cdecl("usp_evaluate_frechet_statistics") @implementation
public func usp_evaluate_frechet_statistics(
    _ meanA: UnsafePointer<usp_tensor>?, _ covarianceA: UnsafePointer<usp_tensor>?,
    _ meanB: UnsafePointer<usp_tensor>?, _ covarianceB: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_frechet_statistics") { () throws(USPError) in
        let out = try result(out, "out")
        let first = try view(meanA, "mean_a", ["D"], .float64)
        let width = Axis.extent(first.shape[0])
        let second = try view(meanB, "mean_b", [width], .float64)
        let firstSpread = try view(covarianceA, "covariance_a", [width, width], .float64)
        let secondSpread = try view(covarianceB, "covariance_b", [width, width], .float64)
        out.pointee = try Evaluate.frechetDistance(
            means: (try doubles(first), try doubles(second)),
            covariances: (try doubles(firstSpread), try doubles(secondSpread)))
    }
}

@_cdecl("usp_evaluate_inception") @implementation public func usp_evaluate_inception(
    _ logits: UnsafePointer<usp_tensor>?, _ splitSize: Int64,
    _ outMean: UnsafeMutablePointer<Double>?, _ outDeviation: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_inception") { () throws(USPError) in
        let mean = try result(outMean, "out_mean")
        let score = try Evaluate.inceptionScore(
            tensor(logits, "logits", ["N", "K"]), splitSize: splitSize == 0 ? 5000 : Int(splitSize))
        mean.pointee = score.mean
        outDeviation?.pointee = score.deviation
    }
}

@_cdecl("usp_evaluate_precision_recall") @implementation
public func usp_evaluate_precision_recall(
    _ reference: UnsafePointer<usp_tensor>?, _ samples: UnsafePointer<usp_tensor>?,
    _ neighbours: Int32, _ outPrecision: UnsafeMutablePointer<Double>?,
    _ outRecall: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_precision_recall") { () throws(USPError) in
        let precision = try result(outPrecision, "out_precision")
        let recall = try result(outRecall, "out_recall")
        let reference = try tensor(reference, "reference", ["N", "D"])
        let scores = try Evaluate.precisionRecall(
            reference: reference,
            samples: tensor(samples, "samples", ["M", .extent(reference.shape[1])]),
            neighbours: count(neighbours, else: 3, "neighbours"))
        precision.pointee = scores.precision
        recall.pointee = scores.recall
    }
}

@_cdecl("usp_evaluate_accuracy") @implementation public func usp_evaluate_accuracy(
    _ logits: UnsafePointer<usp_tensor>?, _ labels: UnsafePointer<usp_tensor>?, _ k: Int32,
    _ out: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_accuracy") { () throws(USPError) in
        let out = try result(out, "out")
        let logits = try tensor(logits, "logits", ["N", "K"])
        out.pointee = try Evaluate.accuracy(
            logits, labels: integers(labels, "labels", [.extent(logits.shape[0])]),
            top: count(k, else: 1, "k"))
    }
}

/// A map of classes: u8 as it is, i64 and i32 as i64.
private func classMap(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String
) throws(USPError) -> Tensor {
    let shape = try view(pointer, name).shape
    let map = try view(pointer, name, axes(shape), .uint8, .int64, .int32)
    return map.dtype == .int32 ? try map.gathered(as: .int64) : try map.tensor()
}

@_cdecl("usp_evaluate_mean_iou") @implementation public func usp_evaluate_mean_iou(
    _ predicted: UnsafePointer<usp_tensor>?, _ target: UnsafePointer<usp_tensor>?,
    _ classes: Int64, _ ignored: Int64, _ out: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_evaluate_mean_iou") { () throws(USPError) in
        let out = try result(out, "out")
        let score = try Evaluate.meanIntersectionOverUnion(
            predicted: classMap(predicted, "predicted"), target: classMap(target, "target"),
            classes: Int(classes), ignored: Int(ignored))
        guard let score else { throw USPError(.argument, "target: no pixel of any class") }
        out.pointee = score
    }
}

@_cdecl("usp_evaluate_confusion") @implementation public func usp_evaluate_confusion(
    _ predicted: UnsafePointer<usp_tensor>?, _ target: UnsafePointer<usp_tensor>?,
    _ classes: Int64, _ ignored: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_evaluate_confusion") { () throws(USPError) in
        let side = Axis.extent(Int(classes))
        let out = try output(out, "out", [side, side], .int64)
        try out.write(
            Evaluate.confusion(
                predicted: classMap(predicted, "predicted"), target: classMap(target, "target"),
                classes: Int(classes), ignored: Int(ignored)))
    }
}

@_cdecl("usp_evaluate_segmentation") @implementation public func usp_evaluate_segmentation(
    _ confusion: UnsafePointer<usp_tensor>?, _ outAccuracy: UnsafeMutablePointer<Double>?,
    _ outMeanIoU: UnsafeMutablePointer<Double>?, _ outMeanAccuracy: UnsafeMutablePointer<Double>?,
    _ outIoU: UnsafeMutablePointer<usp_tensor>?,
    _ outClassAccuracy: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_evaluate_segmentation") { () throws(USPError) in
        let counts = try view(confusion, "confusion", ["K", "K"], .int64)
        let classes = Axis.extent(counts.shape[0])
        let iou = try optionalOutput(outIoU, "out_iou", [classes], .float64)
        let each = try optionalOutput(outClassAccuracy, "out_class_accuracy", [classes], .float64)
        let scores = try Evaluate.segmentationScores(counts.tensor())
        outAccuracy?.pointee = scores.accuracy ?? .nan
        outMeanIoU?.pointee = scores.meanIoU ?? .nan
        outMeanAccuracy?.pointee = scores.meanAccuracy ?? .nan
        try iou?.write(doubles(scores.iou))
        try each?.write(doubles(scores.classAccuracy))
    }
}

/// `[N]`, f64; NaN for nil.
private func doubles(_ values: [Double?]) throws(USPError) -> Tensor {
    let result = try Tensor([values.count], .float64)
    let numbers = result.raw.assumingMemoryBound(to: Double.self)
    for (index, value) in values.enumerated() { numbers[index] = value ?? .nan }
    return result
}
