// The wall's only catch-all: a body that throws becomes a status and a message of this thread.

import CUSP
import USPBase
import USPKit

/// What `usp_last_error` reads.
let lastError = ThreadText()

/// Runs the body; a failure is kept as `function: message` and returned as its status.
func guarded(_ function: StaticString, _ body: () throws(USPError) -> Void) -> usp_status {
    let damages = FilesInUse.damages
    do {
        try body()
        try require(
            FilesInUse.damages == damages, .io,
            "a file that is in use was cut short during the call; open it again")
        return USP_OK
    } catch {
        return fail(function, error)
    }
}

/// Runs the body of a getter; a failure is kept and `fallback` returned.
func guarded<Result>(
    _ function: StaticString, else fallback: Result, _ body: () throws(USPError) -> Result
) -> Result {
    do {
        return try body()
    } catch {
        _ = fail(function, error)
        return fallback
    }
}

private func fail(_ function: StaticString, _ error: USPError) -> usp_status {
    lastError.set("\(function): \(error.message)")
    return usp_status(rawValue: error.kind.rawValue)
}

@_cdecl("usp_last_error") @implementation public func usp_last_error() -> UnsafePointer<CChar>? {
    lastError.pointer
}

@_cdecl("usp_status_name") @implementation public func usp_status_name(
    _ status: usp_status
) -> UnsafePointer<CChar>? {
    staticText(statusName(status))
}

private func statusName(_ status: usp_status) -> StaticString {
    switch status {
    case USP_OK: "USP_OK"
    case USP_ERROR_ARGUMENT: "USP_ERROR_ARGUMENT"
    case USP_ERROR_SHAPE: "USP_ERROR_SHAPE"
    case USP_ERROR_DTYPE: "USP_ERROR_DTYPE"
    case USP_ERROR_IO: "USP_ERROR_IO"
    case USP_ERROR_FORMAT: "USP_ERROR_FORMAT"
    case USP_ERROR_MISSING_WEIGHT: "USP_ERROR_MISSING_WEIGHT"
    case USP_ERROR_UNSUPPORTED: "USP_ERROR_UNSUPPORTED"
    case USP_ERROR_MEMORY: "USP_ERROR_MEMORY"
    case USP_ERROR_CANCELLED: "USP_ERROR_CANCELLED"
    case USP_ERROR_CALLBACK: "USP_ERROR_CALLBACK"
    case USP_ERROR_INTERNAL: "USP_ERROR_INTERNAL"
    case USP_ERROR_NOT_FINITE: "USP_ERROR_NOT_FINITE"
    default: "USP_ERROR_UNKNOWN"
    }
}
