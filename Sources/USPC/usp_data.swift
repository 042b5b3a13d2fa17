// Header section "data".

import CUSP
import USPBase
import USPKit
import USPTensor

extension DataSet: Handled {
    static let handleName = "usp_data"
}

private func data(_ pointer: OpaquePointer?) throws(USPError) -> DataSet {
    try handle(pointer, DataSet.self, "data")
}

@_cdecl("usp_data_open") @implementation public func usp_data_open(
    _ path: UnsafePointer<CChar>?, _ vae: OpaquePointer?,
    _ options: UnsafePointer<usp_data_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_data_open") { () throws(USPError) in
        try checkOut(out)
        let (wanted, members) = try USPC.options(options, DataOptions.self, usp_data_options())
        let vae = try vae.map { pointer throws(USPError) in
            try model(pointer, as: VAE.self, "vae")
        }
        let progress = ProgressCall(members.progress, members.progress_user)
        let set = try DataSet(text(path, "path"), vae, wanted) { done, all throws(USPError) in
            try progress.tell("encode", done, all)
        }
        try store(set, in: out)
    }
}

@_cdecl("usp_data_free") @implementation public func usp_data_free(_ data: OpaquePointer?) {
    freeHandle(data, DataSet.self)
}

@_cdecl("usp_data_count") @implementation public func usp_data_count(_ data: OpaquePointer?)
    -> Int64
{
    guarded("usp_data_count", else: 0) { () throws(USPError) in Int64(try USPC.data(data).count) }
}

@_cdecl("usp_data_classes") @implementation public func usp_data_classes(_ data: OpaquePointer?)
    -> Int64
{
    guarded("usp_data_classes", else: 0) { () throws(USPError) in
        Int64(try USPC.data(data).classes)
    }
}

@_cdecl("usp_data_steps_per_epoch") @implementation public func usp_data_steps_per_epoch(
    _ data: OpaquePointer?
) -> Int64 {
    guarded("usp_data_steps_per_epoch", else: 0) { () throws(USPError) in
        Int64(try USPC.data(data).stepsPerEpoch)
    }
}

@_cdecl("usp_data_batch_size") @implementation public func usp_data_batch_size(
    _ data: OpaquePointer?
) -> Int64 {
    guarded("usp_data_batch_size", else: 0) { () throws(USPError) in
        Int64(try USPC.data(data).batchSize)
    }
}

@_cdecl("usp_data_class_name") @implementation public func usp_data_class_name(
    _ data: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_data_class_name", data, index, DataSet.self, "data") { data, index in
        data.classNames.indices.contains(index) ? data.classNames[index] : nil
    }
}

@_cdecl("usp_data_remark") @implementation public func usp_data_remark(
    _ data: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_data_remark", data, index, DataSet.self, "data") { data, index in
        let remarks = data.remarks
        return remarks.indices.contains(index) ? remarks[index] : nil
    }
}

@_cdecl("usp_data_sample") @implementation public func usp_data_sample(
    _ data: OpaquePointer?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_sample") { () throws(USPError) in
        describe(nil, try USPC.data(data).sampleShape, .float32, in: try result(out, "out"))
    }
}

@_cdecl("usp_data_label") @implementation public func usp_data_label(
    _ data: OpaquePointer?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_label") { () throws(USPError) in
        let data = try USPC.data(data)
        let target = try result(out, "out")
        if let map = data.labelShape {
            describe(nil, map, .uint8, in: target)
        } else if let classes = data.labelShares {
            describe(nil, [classes], .float32, in: target)
        } else {
            describe(nil, data.classes > 0 ? [] : [0], .int64, in: target)
        }
    }
}

@_cdecl("usp_data_latent_statistics") @implementation public func usp_data_latent_statistics(
    _ data: OpaquePointer?, _ outMean: UnsafeMutablePointer<usp_tensor>?,
    _ outDeviation: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_latent_statistics") { () throws(USPError) in
        let data = try USPC.data(data)
        let channels = data.sampleShape[0]
        let mean = try output(outMean, "out_mean", [.extent(channels)])
        let deviation = try output(outDeviation, "out_std", [.extent(channels)])
        let found = try data.latentStatistics()
        try mean.write(Tensor([channels], found.mean))
        try deviation.write(Tensor([channels], found.deviation))
    }
}

@_cdecl("usp_data_batch") @implementation public func usp_data_batch(
    _ data: OpaquePointer?, _ step: Int64, _ outInputs: UnsafeMutablePointer<usp_tensor>?,
    _ outLabels: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_batch") { () throws(USPError) in
        let data = try USPC.data(data)
        try require(step >= 0, .argument, "step: \(step), expected 0 or more")
        let target = try BatchOutput(
            data, data.batchSize, shares: data.labelShares, outInputs, outLabels)
        try target.write(data.batch(atStep: Int(step)))
    }
}

@_cdecl("usp_data_samples") @implementation public func usp_data_samples(
    _ data: OpaquePointer?, _ first: Int64, _ outInputs: UnsafeMutablePointer<usp_tensor>?,
    _ outLabels: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_samples") { () throws(USPError) in
        let data = try USPC.data(data)
        let shape = try view(UnsafePointer(outInputs), "out_inputs").shape
        let count = shape.rank > 0 ? shape[0] : 0
        let target = try BatchOutput(data, count, outInputs, outLabels)
        try require(
            first >= 0 && first <= data.count - count, .argument,
            "first: \(first) and \(count) samples from there on, the data has \(data.count)")
        try target.write(data.samples(Int(first)..<Int(first) + count))
    }
}

/// Where a batch goes.
private struct BatchOutput {
    let inputs: StridedView
    let labels: StridedView?

    init(
        _ data: DataSet, _ count: Int, shares: Int? = nil,
        _ inputs: UnsafeMutablePointer<usp_tensor>?, _ labels: UnsafeMutablePointer<usp_tensor>?
    ) throws(USPError) {
        self.inputs = try output(
            inputs, "out_inputs", [.extent(count)] + axes(data.sampleShape))
        if let map = data.labelShape {
            self.labels = try optionalOutput(
                labels, "out_labels", [.extent(count)] + axes(map), .uint8)
        } else if let shares {
            self.labels = try optionalOutput(
                labels, "out_labels", [.extent(count), .extent(shares)])
        } else {
            self.labels = try optionalOutput(labels, "out_labels", [.extent(count)], .int64)
            try require(
                labels == nil || data.classes > 0, .argument, "out_labels: the data has no labels")
        }
    }

    func write(_ batch: Batch) throws(USPError) {
        try inputs.write(batch.inputs)
        if let labels {
            switch batch.labels {
            case .map(let map): return try labels.write(map)
            case .shares(let shares): return try labels.write(shares)
            default: break
            }
        }
        guard let labels, let classes = batch.classes else { return }
        let words = try Tensor([classes.count], .int64)
        let target = words.raw.assumingMemoryBound(to: Int64.self)
        for (i, value) in classes.enumerated() { target[i] = Int64(value) }
        try labels.write(words)
    }
}

@_cdecl("usp_data_feature") @implementation public func usp_data_feature(
    _ data: OpaquePointer?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_feature") { () throws(USPError) in
        let shape = try USPC.data(data).featureShape
        describe(nil, shape ?? [], .float32, in: try result(out, "out"))
    }
}

@_cdecl("usp_data_features") @implementation public func usp_data_features(
    _ data: OpaquePointer?, _ step: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_data_features") { () throws(USPError) in
        let data = try USPC.data(data)
        guard let shape = data.featureShape else {
            throw USPError(.argument, "data: has no features of a teacher")
        }
        try require(step >= 0, .argument, "step: \(step), expected 0 or more")
        let target = try output(out, "out", [.extent(data.batchSize)] + axes(shape))
        if let features = try data.batch(atStep: Int(step)).features.first {
            try target.write(features)
        }
    }
}
