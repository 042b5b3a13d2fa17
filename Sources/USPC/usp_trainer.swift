// Header section "trainer".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A trainer and what its last step did.
final class TrainerHandle: Handled {
    static let handleName = "usp_trainer"
    let trainer: Trainer
    let last = Lock<Trainer.Report?>(nil)
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
        let given = try USPC.options(options, zeros: usp_trainer_options())
        let trainer = try Trainer(model, trainerOptions(given))
        guard given.allreduce != nil || given.world_size <= 1 else {
            throw USPError(.argument, "world_size: \(given.world_size) ranks without an allreduce")
        }
        if let allReduce = given.allreduce {
            let (function, user) = (allReduce, given.allreduce_user)
            try trainer.reduce(over: Int(given.world_size)) { data, count throws(USPError) in
                let status = function(data, count, user)
                guard status == 0 else {
                    throw USPError(.callback, "allreduce: the function returned \(status)")
                }
            }
        }
        try store(TrainerHandle(trainer), in: out)
    }
}

private func trainerOptions(_ given: usp_trainer_options) throws(USPError) -> TrainerOptions {
    var result = TrainerOptions()
    result.optimizer = try text(given.optimizer, else: result.optimizer, "optimizer")
    result.rate = try real(given.rate, else: result.rate, "rate")
    result.minimumRate = try real(given.minimum_rate, else: 0, "minimum_rate")
    guard given.warmup >= 0, given.steps >= 0 else {
        throw USPError(
            .argument, "warmup \(given.warmup), steps \(given.steps): expected 0 or more")
    }
    (result.warmup, result.steps) = (Int(given.warmup), Int(given.steps))
    result.weightDecay = try real(given.weight_decay, else: 0, "weight_decay")
    result.beta1 = try real(given.beta1, else: result.beta1, "beta1")
    result.beta2 = try real(given.beta2, else: result.beta2, "beta2")
    result.averageWarmsUp = given.average_warms_up != 0
    result.averageDecay = try real(given.average_decay, else: 0, "average_decay")
    result.clipNorm = try real(given.clip_norm, else: 0, "clip_norm")
    result.layerDecay = try real(given.layer_decay, else: 1, "layer_decay")
    result.accumulation = try count(given.accumulation, else: 1, "accumulation")
    result.compute = try computeType(given.compute)
    result.exact = given.exact != 0
    result.seed = given.seed
    result.maskRatio = try decimal(given.mask_ratio, else: 0.75, "mask_ratio")
    result.normalizesPatches = given.norm_pix_loss != USP_NO
    result.divergenceWeight = try real(given.kl_weight, else: result.divergenceWeight, "kl_weight")
    result.labelSmoothing = try real(given.label_smoothing, else: 0, "label_smoothing")
    result.dropPath = try real(given.drop_path, else: 0, "drop_path")
    result.labelDropout = try real(given.label_dropout, else: 0, "label_dropout")
    result.headOnly = given.head_only != 0
    result.recomputes = try recomputation(given.recompute)
    result.reconstruction = try text(
        given.reconstruction, else: result.reconstruction, "reconstruction")
    result.diffusion = try optionalHandle(given.diffusion, Diffusion.self, "diffusion")
    result.transport = try optionalHandle(given.transport, Transport.self, "transport")
    return result
}

private func recomputation(_ given: Int32) throws(USPError) -> Recomputation {
    switch given {
    case Int32(USP_RECOMPUTE_NOTHING.rawValue): return .nothing
    case Int32(USP_RECOMPUTE_BLOCKS.rawValue): return .blocks
    case Int32(USP_RECOMPUTE_HIDDEN.rawValue): return .hidden
    default:
        throw USPError(
            .argument, "recompute: \(given), expected 0 (nothing), 1 (blocks) or 2 (hidden)")
    }
}

@_cdecl("usp_trainer_free") @implementation public func usp_trainer_free(_ trainer: OpaquePointer?)
{
    freeHandle(trainer, TrainerHandle.self)
}

@_cdecl("usp_trainer_step") @implementation public func usp_trainer_step(
    _ trainer: OpaquePointer?, _ inputs: UnsafePointer<usp_tensor>?,
    _ labels: UnsafePointer<usp_tensor>?, _ times: UnsafePointer<usp_tensor>?,
    _ noise: UnsafePointer<usp_tensor>?, _ outLoss: UnsafeMutablePointer<Float>?
) -> usp_status {
    guarded("usp_trainer_step") { () throws(USPError) in
        let handle = try USPC.trainer(trainer)
        let report = try handle.trainer.step(
            batch(inputs, labels, times, noise, handle.trainer.options))
        handle.last.withLock { $0 = report }
        outLoss?.pointee = report.loss
    }
}

@_cdecl("usp_trainer_gradients") @implementation public func usp_trainer_gradients(
    _ trainer: OpaquePointer?, _ inputs: UnsafePointer<usp_tensor>?,
    _ labels: UnsafePointer<usp_tensor>?, _ times: UnsafePointer<usp_tensor>?,
    _ noise: UnsafePointer<usp_tensor>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_trainer_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let trainer = try USPC.trainer(trainer).trainer
        let result = try trainer.gradients(
            batch(inputs, labels, times, noise, trainer.options))
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

private func batch(
    _ inputs: UnsafePointer<usp_tensor>?, _ labels: UnsafePointer<usp_tensor>?,
    _ times: UnsafePointer<usp_tensor>?, _ noise: UnsafePointer<usp_tensor>?,
    _ options: TrainerOptions
) throws(USPError) -> Trainer.Batch {
    let isFeatures = try view(inputs, "inputs").shape.rank == 2 && options.headOnly
    var batch = Trainer.Batch(try tensor(inputs, "inputs", isFeatures ? ["B", "D"] : latentAxes))
    let samples = [Axis.extent(batch.inputs.shape[0])]
    if labels != nil, try view(labels, "labels").dtype == .float32 {
        batch.targets = try tensor(labels, "labels", samples + ["K"])
    } else {
        batch.labels = try optionalIntegers(labels, "labels", samples)
    }
    if times != nil { batch.times = try reals(times, "times", samples) }
    if noise != nil {
        let given = try view(noise, "noise")
        guard given.shape.rank > 0, given.shape[0] == batch.inputs.shape[0] else {
            throw USPError(.shape, "noise: shape \(given.shape), expected [\(samples[0]), ..]")
        }
        batch.noise = try tensor(noise, "noise", axes(given.shape))
    }
    return batch
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
        try USPC.trainer(trainer).last.withLock { $0?.rate ?? 0 }
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
        try USPC.trainer(trainer).trainer.restore(text(path, "path"))
    }
}

@_cdecl("usp_trainer_cancel") @implementation public func usp_trainer_cancel(
    _ trainer: OpaquePointer?
) {
    guarded("usp_trainer_cancel", else: ()) { () throws(USPError) in
        try USPC.trainer(trainer).trainer.cancel()
    }
}
