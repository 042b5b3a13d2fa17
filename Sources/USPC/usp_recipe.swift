// Header section "recipe".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A stage, and what it has measured last.
final class StageHandle: Handled {
    static let handleName = "usp_stage"
    let stage: Stage
    let metrics = Lock<[Run.Metric]>([])
    init(_ stage: Stage) { self.stage = stage }

    /// What the trainer's model does on the validation data.
    func measure(_ run: Run) throws(USPError) -> [Run.Metric] {
        let measured = try stage.measure(isStopped: { run.isStopped })
        if !measured.isEmpty { metrics.withLock { $0 = measured } }
        return measured
    }
}

private func stage(_ pointer: OpaquePointer?) throws(USPError) -> StageHandle {
    try handle(pointer, StageHandle.self, "stage")
}

/// Names that live as long as the process.
private let staticTexts = InternedTexts()

@_cdecl("usp_recipe_count") @implementation public func usp_recipe_count() -> Int {
    Recipe.all.count
}

@_cdecl("usp_recipe_name") @implementation public func usp_recipe_name(
    _ index: Int
) -> UnsafePointer<CChar>? {
    guarded("usp_recipe_name", else: nil) { () throws(USPError) in
        guard Recipe.all.indices.contains(index) else {
            throw USPError(.argument, "index: \(index) is past the end")
        }
        return staticTexts.pointer(Recipe.all[index].name)
    }
}

@_cdecl("usp_recipe_text") @implementation public func usp_recipe_text(
    _ name: UnsafePointer<CChar>?, _ changes: UnsafePointer<CChar>?,
    _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_recipe_text") { () throws(USPError) in
        let recipe = try Recipe.named(text(name, "name"))
        var options = recipe.options
        try options.change(optionalText(changes, "changes") ?? "", in: recipe.stage)
        let words = options.text(differingFrom: StageOptions())
        try write(words, buffer, capacity, outLength)
    }
}

@_cdecl("usp_stage_create") @implementation public func usp_stage_create(
    _ recipe: UnsafePointer<CChar>?, _ data: OpaquePointer?, _ vae: OpaquePointer?,
    _ start: OpaquePointer?, _ validation: OpaquePointer?, _ changes: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_stage_create") { () throws(USPError) in
        try checkOut(out)
        let wanted = try Recipe.named(text(recipe, "recipe"))
        let encoder = try vae.map { pointer throws(USPError) in
            try model(pointer, as: VAE.self, "vae")
        }
        let from = try start.map { pointer throws(USPError) in
            StageStart.model(try model(pointer, "start"))
        }
        var given = try assignments(optionalText(changes, "changes") ?? "", StageOptions.title)
        let recipe = wanted.serving(from ?? .fresh, &given)
        let options = try recipe.with(given)
        let stage = try Stage(
            recipe, on: handle(data, DataSet.self, "data"), through: encoder, options,
            from: from ?? .fresh,
            validation: optionalHandle(validation, DataSet.self, "validation"))
        try store(StageHandle(stage), in: out)
    }
}

@_cdecl("usp_stage_free") @implementation public func usp_stage_free(_ stage: OpaquePointer?) {
    freeHandle(stage, StageHandle.self)
}

@_cdecl("usp_stage_note_count") @implementation public func usp_stage_note_count(
    _ stage: OpaquePointer?
) -> Int {
    guarded("usp_stage_note_count", else: 0) { () throws(USPError) in
        try USPC.stage(stage).stage.notes.count
    }
}

@_cdecl("usp_stage_note") @implementation public func usp_stage_note(
    _ stage: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_stage_note", stage, index, StageHandle.self, "stage") { handle, index in
        let notes = handle.stage.notes
        return notes.indices.contains(index) ? notes[index] : nil
    }
}

@_cdecl("usp_stage_note_warns") @implementation public func usp_stage_note_warns(
    _ stage: OpaquePointer?, _ index: Int
) -> Int32 {
    guarded("usp_stage_note_warns", else: 0) { () throws(USPError) in
        let stage = try USPC.stage(stage).stage
        guard stage.notes.indices.contains(index) else {
            throw USPError(.argument, "index: \(index) is past the end")
        }
        return stage.warnings.contains(stage.notes[index]) ? 1 : 0
    }
}

@_cdecl("usp_stage_trainer") @implementation public func usp_stage_trainer(
    _ stage: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_stage_trainer") { () throws(USPError) in
        try checkOut(out)
        try store(TrainerHandle(USPC.stage(stage).stage.trainer), in: out)
    }
}

@_cdecl("usp_stage_data") @implementation public func usp_stage_data(
    _ stage: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_stage_data") { () throws(USPError) in
        try checkOut(out)
        try store(USPC.stage(stage).stage.data, in: out)
    }
}

@_cdecl("usp_stage_run") @implementation public func usp_stage_run(
    _ stage: OpaquePointer?, _ output: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_run_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_stage_run") { () throws(USPError) in
        try checkOut(out)
        let (wanted, members) = try USPC.options(options, RunOptions.self, usp_run_options())
        let handle = try USPC.stage(stage)
        let run = try handle.stage.run(
            to: text(output, "output"), wanted, heading: [("version", version)])
        try store(RunHandle(run, members, handle), in: out)
    }
}

@_cdecl("usp_stage_model") @implementation public func usp_stage_model(
    _ stage: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_stage_model") { () throws(USPError) in
        try checkOut(out)
        try store(ModelHandle(USPC.stage(stage).stage.model()), in: out)
    }
}

@_cdecl("usp_stage_metrics") @implementation public func usp_stage_metrics(
    _ stage: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_stage_metrics") { () throws(USPError) in
        let metrics = try USPC.stage(stage).metrics.withLock { $0 }
        let words = metrics.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        try write(words, buffer, capacity, outLength)
    }
}
