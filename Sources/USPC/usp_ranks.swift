// Header section "ranks".

import CUSP
import USPKit

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

@_cdecl("usp_ranks_from_mpi") @implementation public func usp_ranks_from_mpi(
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_ranks_from_mpi") { () throws(USPError) in
        try checkOut(out)
        try store(Ranks.mpi(), in: out)
    }
}

@_cdecl("usp_ranks_from_functions") @implementation public func usp_ranks_from_functions(
    _ rank: Int32, _ count: Int32, _ reduceScatter: usp_reduce_scatter_fn?,
    _ allGather: usp_all_gather_fn?, _ broadcast: usp_broadcast_fn?, _ barrier: usp_barrier_fn?,
    _ user: UnsafeMutableRawPointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_ranks_from_functions") { () throws(USPError) in
        try checkOut(out)
        let reduceScatter = try given(reduceScatter, "reduce_scatter")
        let allGather = try given(allGather, "all_gather")
        let broadcast = try given(broadcast, "broadcast")
        let barrier = try given(barrier, "barrier")
        let host = HostPointer(user: user)
        @Sendable func check(_ status: Int32, _ name: String) throws(USPError) {
            guard status == 0 else {
                throw USPError(.callback, "\(name): the function returned \(status)")
            }
        }
        let ranks = try Ranks(
            rank: Int(rank), count: Int(count),
            Ranks.Collectives(
                reduceScatter: { data, sums, size throws(USPError) in
                    try check(reduceScatter(data, sums, size, host.user), "reduce_scatter")
                },
                allGather: { data, all, size throws(USPError) in
                    try check(allGather(data, all, size, host.user), "all_gather")
                },
                broadcast: { data, size, root throws(USPError) in
                    try check(broadcast(data, size, Int32(root), host.user), "broadcast")
                },
                barrier: { () throws(USPError) in try check(barrier(host.user), "barrier") }))
        try ranks.agreeOnVersion()
        try store(ranks, in: out)
    }
}

private func given<Function>(_ function: Function?, _ name: String) throws(USPError) -> Function {
    guard let function else { throw USPError(.argument, "\(name): is NULL") }
    return function
}

@_cdecl("usp_ranks_rank") @implementation public func usp_ranks_rank(
    _ ranks: OpaquePointer?
) -> Int32 {
    guarded("usp_ranks_rank", else: 0) { () throws(USPError) in
        Int32(clamping: try handle(ranks, Ranks.self, "ranks").rank)
    }
}

@_cdecl("usp_ranks_count") @implementation public func usp_ranks_count(
    _ ranks: OpaquePointer?
) -> Int32 {
    guarded("usp_ranks_count", else: 0) { () throws(USPError) in
        Int32(clamping: try handle(ranks, Ranks.self, "ranks").count)
    }
}

@_cdecl("usp_ranks_free") @implementation public func usp_ranks_free(_ ranks: OpaquePointer?) {
    freeHandle(ranks, Ranks.self)
}
