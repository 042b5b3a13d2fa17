// Header section "ranks".

import CUSP
import USPBase

extension Ranks: Handled {
    static let handleName = "usp_ranks"
}

/// The host's pointer, which it keeps valid as long as the handle and what was made with it.
private struct HostPointer: @unchecked Sendable { let user: UnsafeMutableRawPointer? }

@_cdecl("usp_ranks_create") @implementation public func usp_ranks_create(
    _ rank: Int32, _ count: Int32, _ allreduce: usp_allreduce_fn?, _ user: UnsafeMutableRawPointer?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_ranks_create") { () throws(USPError) in
        try checkOut(out)
        guard let allreduce else { throw USPError(.argument, "allreduce: is NULL") }
        let host = HostPointer(user: user)
        let ranks = try Ranks(rank: Int(rank), count: Int(count)) { data, size throws(USPError) in
            let status = allreduce(data, size, host.user)
            guard status == 0 else {
                throw USPError(.callback, "allreduce: the function returned \(status)")
            }
        }
        try store(ranks, in: out)
    }
}

@_cdecl("usp_ranks_free") @implementation public func usp_ranks_free(_ ranks: OpaquePointer?) {
    freeHandle(ranks, Ranks.self)
}
