// The library as a whole: its version, its threads. The rooms below speak through the other files.

internal import CUSP
@_exported import USPBase
@_exported import USPData
@_exported import USPDiffusion
@_exported import USPModels
@_exported import USPTensor
@_exported import USPTransfer

/// The version of the library, such as `0.1.0`, as `include/usp.h` says it.
public let version = "\(USP_VERSION_MAJOR).\(USP_VERSION_MINOR).\(USP_VERSION_PATCH)"

/// What the library was built for and uses here, for logs.
public var buildInformation: String { "usp \(version) \(instructionSet)" }

/// Uses this many threads from now on, the caller's included; 0 means one per processor.
///
/// - Throws: for a negative count.
public func setThreads(_ count: Int) throws(USPError) {
    try require(count >= 0, .argument, "count: is \(count), expected 0 or more")
    ThreadPool.shared.threads = count
}

/// The number of threads that a computation may use.
public func threads() -> Int { ThreadPool.shared.threads }
