// Header sections "threads" and "memory".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_set_threads") @implementation public func usp_set_threads(_ count: Int32) -> usp_status
{
    guarded("usp_set_threads") { () throws(USPError) in try setThreads(Int(count)) }
}

@_cdecl("usp_threads") @implementation public func usp_threads() -> Int32 {
    Int32(clamping: threads())
}

@_cdecl("usp_trim") @implementation public func usp_trim() { trimMemory() }
