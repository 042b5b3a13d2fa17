// Header section "study".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A source, and its options of a length with changes.
private func prepared(
    _ source: UnsafePointer<CChar>?, _ length: UnsafePointer<CChar>?,
    _ changes: UnsafePointer<CChar>?
) throws(USPError) -> (StudySource, StudyOptions) {
    let source = try StudySource.named(text(source, "source"))
    let name = try optionalText(length, "length") ?? StudyLength.standard.rawValue
    guard let length = StudyLength(rawValue: name) else {
        throw unknownName(name, what: "length", known: StudyLength.allCases.map(\.rawValue))
    }
    var options = source.options(length)
    try options.apply(optionalText(changes, "changes") ?? "")
    return (source, options)
}

@_cdecl("usp_study_run") @implementation public func usp_study_run(
    _ source: UnsafePointer<CChar>?, _ out: UnsafePointer<CChar>?,
    _ length: UnsafePointer<CChar>?, _ changes: UnsafePointer<CChar>?,
    _ progress: usp_progress_fn?, _ user: UnsafeMutableRawPointer?
) -> usp_status {
    guarded("usp_study_run") { () throws(USPError) in
        let (source, options) = try prepared(source, length, changes)
        let progress = ProgressCall(progress, user)
        let study = try Study(source, options, to: text(out, "out")) { told throws(USPError) in
            try progress.tell(told.title, told.done, told.total)
        }
        try study.run()
    }
}

@_cdecl("usp_study_text") @implementation public func usp_study_text(
    _ source: UnsafePointer<CChar>?, _ length: UnsafePointer<CChar>?,
    _ changes: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_study_text") { () throws(USPError) in
        try write(prepared(source, length, changes).1.text, buffer, capacity, outLength)
    }
}
