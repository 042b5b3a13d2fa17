// Header section "run".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A run, its host's callbacks, and what its evaluation has told.
final class RunHandle: Handled, @unchecked Sendable {
    // SAFETY of @unchecked: the host keeps its pointers valid as long as the handle.
    static let handleName = "usp_run"
    let run: Run
    let callbacks: usp_run_options
    let metrics = Lock<[Run.Metric]>([])
    /// Whose run it is; measures where the host does not.
    let stage: StageHandle?

    init(_ run: Run, _ callbacks: usp_run_options, _ stage: StageHandle? = nil) {
        (self.run, self.callbacks, self.stage) = (run, callbacks, stage)
    }
}

private func run(_ pointer: OpaquePointer?) throws(USPError) -> RunHandle {
    try handle(pointer, RunHandle.self, "run")
}

@_cdecl("usp_run_create") @implementation public func usp_run_create(
    _ trainer: OpaquePointer?, _ data: OpaquePointer?, _ output: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_run_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_run_create") { () throws(USPError) in
        try checkOut(out)
        let (wanted, members) = try USPC.options(options, RunOptions.self, usp_run_options())
        let run = try Run(
            handle(trainer, TrainerHandle.self, "trainer").trainer,
            on: handle(data, DataSet.self, "data"), to: text(output, "output"), wanted,
            heading: [("version", version)])
        try store(RunHandle(run, members), in: out)
    }
}

@_cdecl("usp_run_free") @implementation public func usp_run_free(_ run: OpaquePointer?) {
    freeHandle(run, RunHandle.self)
}

@_cdecl("usp_run_train") @implementation public func usp_run_train(_ run: OpaquePointer?)
    -> usp_status
{
    guarded("usp_run_train") { () throws(USPError) in
        let handle = try USPC.run(run)
        try handle.run.train(
            progress: { told throws(USPError) in handle.tell(told) },
            evaluate: { _ throws(USPError) in try handle.evaluate(run) })
    }
}

extension RunHandle {
    fileprivate func tell(_ told: Run.Progress) {
        guard let function = callbacks.progress else { return }
        var state = usp_run_progress(
            step: Int64(told.report.step), steps: Int64(told.steps), epoch: told.epoch,
            loss: Double(told.report.loss), rate: Double(told.report.rate),
            images_per_second: told.imagesPerSecond, seconds: told.seconds)
        if function(&state, callbacks.progress_user) != 0 { run.cancel() }
    }

    fileprivate func evaluate(_ pointer: OpaquePointer?) throws(USPError) -> [Run.Metric] {
        guard let function = callbacks.evaluate else { return try stage?.measure(run) ?? [] }
        metrics.withLock { $0 = [] }
        let status = function(pointer, callbacks.evaluate_user)
        guard status == 0 else {
            throw USPError(.callback, "evaluate: the function returned \(status)")
        }
        return metrics.withLock { $0 }
    }
}

@_cdecl("usp_run_metric") @implementation public func usp_run_metric(
    _ run: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Double
) -> usp_status {
    guarded("usp_run_metric") { () throws(USPError) in
        let metric = Run.Metric(try text(name, "name"), value)
        try require(value.isFinite, .argument, "\(metric.name): \(value), expected a finite number")
        try USPC.run(run).metrics.withLock { $0.append(metric) }
    }
}

@_cdecl("usp_run_steps") @implementation public func usp_run_steps(_ run: OpaquePointer?) -> Int64 {
    guarded("usp_run_steps", else: 0) { () throws(USPError) in Int64(try USPC.run(run).run.steps) }
}

@_cdecl("usp_run_resumed") @implementation public func usp_run_resumed(_ run: OpaquePointer?)
    -> Int64
{
    guarded("usp_run_resumed", else: 0) { () throws(USPError) in
        Int64(try USPC.run(run).run.resumed)
    }
}

@_cdecl("usp_run_cancel") @implementation public func usp_run_cancel(_ run: OpaquePointer?) {
    guarded("usp_run_cancel", else: ()) { () throws(USPError) in try USPC.run(run).run.cancel() }
}

@_cdecl("usp_run_save") @implementation public func usp_run_save(_ run: OpaquePointer?) {
    guarded("usp_run_save", else: ()) { () throws(USPError) in
        try USPC.run(run).run.requestSave()
    }
}
