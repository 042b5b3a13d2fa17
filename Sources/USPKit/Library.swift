// The library as a whole: its version, its threads. The rooms below speak through the other files.

internal import CUSP
@_exported import USPBase
@_exported import USPData
@_exported import USPDiffusion
@_exported import USPEvaluation
@_exported import USPModels
@_exported import USPTensor
@_exported import USPTraining
@_exported import USPTransfer

/// The version of the library, such as `0.1.0`, as `include/usp.h` says it.
public let version = "\(USP_VERSION_MAJOR).\(USP_VERSION_MINOR).\(USP_VERSION_PATCH)"

/// What the library was built for and uses here, for logs.
public var buildInformation: String { "usp \(version) \(architecture) \(instructionSet)" }

/// Uses this many threads from now on, the caller's included; 0 means one per processor that the
/// process may use: its affinity, and its cgroup's quota, as they are now.
///
/// - Throws: for a negative count.
public func setThreads(_ count: Int) throws(USPError) {
    try require(count >= 0, .argument, "count: is \(count), expected 0 or more")
    ThreadPool.shared.threads = count
}

/// The number of threads that a computation may use.
public func threads() -> Int { ThreadPool.shared.threads }

/// Gives memory that freed objects and finished calls have left back to the system. Models and
/// trainers do so themselves when they are freed through C or Python.
public func trimMemory() {
    MemoryPool.shared.trim()
    SystemMemory.trim()
}
