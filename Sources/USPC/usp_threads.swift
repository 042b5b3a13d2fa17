// Header section "threads".

import CUSP
import USPBase
import USPKit

@_cdecl("usp_set_threads") @implementation public func usp_set_threads(_ count: Int32) -> usp_status
{
    guarded("usp_set_threads") { () throws(USPError) in try setThreads(Int(count)) }
}

@_cdecl("usp_threads") @implementation public func usp_threads() -> Int32 {
    Int32(clamping: threads())
}
