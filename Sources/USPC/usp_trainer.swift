// Header section "trainer".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A trainer and what its last step did.
final class TrainerHandle: Handled {
    static let handleName = "usp_trainer"
    let trainer: Trainer
    let last = Lock<StepReport?>(nil)
    /// What was set in place of the schedule's.
    let rate = Lock<Float?>(nil)
    init(_ trainer: Trainer) { self.trainer = trainer }
}

private func trainer(_ pointer: OpaquePointer?) throws(USPError) -> TrainerHandle {
    try handle(pointer, TrainerHandle.self, "trainer")
}

@_cdecl("usp_trainer_create") @implementation public func usp_trainer_create(
    _ model: OpaquePointer?, _ options: UnsafePointer<usp_trainer_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_trainer_create") { () throws(USPError) in
        try checkOut(out)
        let model = try USPC.model(model)
        let wanted = try USPC.options(options, TrainerOptions.self, usp_trainer_options())
        let trainer = try Trainer(model, wanted.options)
        try store(TrainerHandle(trainer), in: out)
    }
}

@_cdecl("usp_trainer_free") @implementation public func usp_trainer_free(_ trainer: OpaquePointer?)
{
    freeHandle(trainer, TrainerHandle.self)
}

@_cdecl("usp_trainer_step") @implementation public func usp_trainer_step(
    _ trainer: OpaquePointer?, _ batch: UnsafePointer<usp_batch>?,
    _ outLoss: UnsafeMutablePointer<Float>?
) -> usp_status {
    guarded("usp_trainer_step") { () throws(USPError) in
        let handle = try USPC.trainer(trainer)
        let report = try handle.trainer.step(USPC.batch(batch, handle.trainer.options))
        handle.last.withLock { $0 = report }
        outLoss?.pointee = report.loss
    }
}

@_cdecl("usp_trainer_set_rate") @implementation public func usp_trainer_set_rate(
    _ trainer: OpaquePointer?, _ rate: Double
) -> usp_status {
    guarded("usp_trainer_set_rate") { () throws(USPError) in
        let handle = try USPC.trainer(trainer)
        let wanted = rate.isNaN ? nil : Float(rate)
        try handle.trainer.setRate(wanted)
        handle.rate.withLock { $0 = wanted }
    }
}

@_cdecl("usp_trainer_gradients") @implementation public func usp_trainer_gradients(
    _ trainer: OpaquePointer?, _ batch: UnsafePointer<usp_batch>?,
    _ outLoss: UnsafeMutablePointer<Float>?, _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_trainer_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let trainer = try USPC.trainer(trainer).trainer
        let result = try trainer.gradients(USPC.batch(batch, trainer.options))
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

private func batch(
    _ pointer: UnsafePointer<usp_batch>?, _ options: TrainerOptions
) throws(USPError) -> Batch {
    guard pointer != nil else { throw USPError(.argument, "batch: is NULL") }
    let given = try USPC.options(pointer, zeros: usp_batch(), "batch")
    let isFeatures = try view(given.inputs, "inputs").shape.rank == 2 && options.headOnly
    var batch = Batch(try tensor(given.inputs, "inputs", isFeatures ? ["B", "D"] : latentAxes))
    let samples = Axis.extent(batch.count)
    batch.labels = try labels(given.labels, samples)
    if given.times != nil {
        if try view(given.times, "times").shape.rank == 3 {
            batch.tokenTimes = try tensor(given.times, "times", ["M", samples, "T"])
        } else {
            batch.times = try reals(given.times, "times", [samples])
        }
    }
    batch.noise = try ofSamples(given.noise, "noise", samples)
    batch.mask = try ofSamples(given.mask, "mask", samples)
    batch.target = try ofSamples(given.target, "target", samples)
    batch.features = try teacherFeatures(given.feature_count, given.features, samples)
    return batch
}

/// `[B, T, Z]` of each teacher.
func teacherFeatures(
    _ count: Int32, _ features: UnsafePointer<usp_tensor>?, _ samples: Axis
) throws(USPError) -> [Tensor] {
    guard count >= 0, count == 0 || features != nil else {
        throw USPError(
            .argument, "features: \(count) at \(features == nil ? "NULL" : "an array")")
    }
    var result: [Tensor] = []
    for index in 0..<Int(count) {
        if let features {
            result.append(
                try tensor(features + index, "features[\(index)]", [samples, "T", "Z"]))
        }
    }
    return result
}

private func labels(
    _ pointer: UnsafePointer<usp_tensor>?, _ samples: Axis
) throws(USPError) -> Batch.Labels? {
    guard pointer != nil else { return nil }
    let given = try view(pointer, "labels")
    if given.shape.rank == 3 {
        return .map(
            try view(pointer, "labels", [samples, "H", "W"], .uint8, .int64).gathered(
                as: given.dtype))
    }
    return given.dtype == .float32
        ? .shares(try tensor(pointer, "labels", [samples, "K"]))
        : .classes(try integers(pointer, "labels", [samples]))
}

/// A tensor with an axis of samples; nil for NULL.
private func ofSamples(
    _ pointer: UnsafePointer<usp_tensor>?, _ name: String, _ samples: Axis
) throws(USPError) -> Tensor? {
    guard pointer != nil else { return nil }
    let shape = try view(pointer, name).shape
    guard shape.rank > 0 else {
        throw USPError(.shape, "\(name): shape \(shape), expected [\(samples), ..]")
    }
    if shape.rank == 5 {
        let copies = axes(shape)
        return try tensor(pointer, name, [copies[0], samples] + copies.dropFirst(2))
    }
    return try tensor(pointer, name, [samples] + axes(shape).dropFirst())
}

@_cdecl("usp_trainer_steps") @implementation public func usp_trainer_steps(
    _ trainer: OpaquePointer?
) -> Int64 {
    guarded("usp_trainer_steps", else: 0) { () throws(USPError) in
        Int64(try USPC.trainer(trainer).trainer.steps)
    }
}

@_cdecl("usp_trainer_rate") @implementation public func usp_trainer_rate(
    _ trainer: OpaquePointer?
) -> Float {
    guarded("usp_trainer_rate", else: 0) { () throws(USPError) in
        let handle = try USPC.trainer(trainer)
        return handle.rate.withLock { $0 } ?? handle.last.withLock { $0?.rate }
            ?? handle.trainer.scheduledRate
    }
}

@_cdecl("usp_trainer_gradient_norm") @implementation public func usp_trainer_gradient_norm(
    _ trainer: OpaquePointer?
) -> Float {
    guarded("usp_trainer_gradient_norm", else: 0) { () throws(USPError) in
        try USPC.trainer(trainer).last.withLock { $0?.gradientNorm ?? 0 }
    }
}

@_cdecl("usp_trainer_model") @implementation public func usp_trainer_model(
    _ trainer: OpaquePointer?, _ averaged: Int32, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_trainer_model") { () throws(USPError) in
        try checkOut(out)
        let model = try USPC.trainer(trainer).trainer.model(averaged: averaged != 0)
        try store(ModelHandle(model), in: out)
    }
}

@_cdecl("usp_trainer_save") @implementation public func usp_trainer_save(
    _ trainer: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> usp_status {
    guarded("usp_trainer_save") { () throws(USPError) in
        try USPC.trainer(trainer).trainer.save(text(path, "path"))
    }
}

@_cdecl("usp_trainer_restore") @implementation public func usp_trainer_restore(
    _ trainer: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> usp_status {
    guarded("usp_trainer_restore") { () throws(USPError) in
        let handle = try USPC.trainer(trainer)
        try handle.trainer.restore(text(path, "path"))
        handle.last.withLock { $0 = nil }
    }
}

@_cdecl("usp_trainer_cancel") @implementation public func usp_trainer_cancel(
    _ trainer: OpaquePointer?
) {
    guarded("usp_trainer_cancel", else: ()) { () throws(USPError) in
        try USPC.trainer(trainer).trainer.cancel()
    }
}
