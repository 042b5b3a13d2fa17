// OpenBLAS's symmetric eigensolver, where it is installed and the process has room for it.

import COpenBLAS
import USPBase

/// The library, opened at the first use, for all that use it at a time.
enum OpenBLAS {
    private struct State: @unchecked Sendable {
        // SAFETY of @unchecked: C functions, which live as long as the process.
        /// nil before the first use; without functions where there is no OpenBLAS.
        var functions: uspi_openblas??
        /// Calls under way, and the host's number of threads, which they set aside: the host may
        /// have opened the very file that we did.
        var users = 0
        var hostThreads: Int32 = 1
    }

    private static let state = Lock(State())
    /// Addresses that it takes: buffers of 128 MiB, its code, and no less to spare.
    private static let room = 512 << 20

    /// Eigenvalues in ascending order and, if asked for, eigenvectors as rows; nil where OpenBLAS
    /// cannot be used.
    ///
    /// - Throws: `.internal` if the iteration does not converge (a value is not finite); `.memory`
    static func symmetricEigen(
        _ matrix: [Double], _ n: Int, vectors: Bool
    ) throws(USPError) -> (values: [Double], vectors: [Double])? {
        guard hasRoom(), let functions = begin() else { return nil }
        defer { end(functions) }
        let workCount = vectors ? 1 + 6 * n + 2 * n * n : 2 * n + 1
        let integerCount = vectors ? 3 + 5 * n : 1
        try SystemMemory.expect(n * n + n + workCount + integerCount, of: Double.self)
        var a = matrix
        var values = [Double](repeating: 0, count: n)
        var (size, info) = (Int32(n), Int32(0))
        var job = CChar(UInt8(ascii: vectors ? "V" : "N"))
        var triangle = CChar(UInt8(ascii: "L"))
        var work = [Double](repeating: 0, count: workCount)
        var integers = [Int32](repeating: 0, count: integerCount)
        var (workSize, integerSize) = (Int32(workCount), Int32(integerCount))
        functions.dsyevd(
            &job, &triangle, &size, &a, &size, &values, &work, &workSize, &integers, &integerSize,
            &info)
        try require(info == 0, .internal, "symmetric eigenvalues: LAPACK's dsyevd returned \(info)")
        return (values, a)
    }

    /// OpenBLAS waits for ever for a buffer that the system does not give.
    private static func hasRoom() -> Bool {
        do {
            try SystemMemory.expect(room, of: UInt8.self)
            return true
        } catch {
            return false
        }
    }

    /// From here on, until all have ended, it runs on the calling threads alone.
    private static func begin() -> uspi_openblas? {
        state.withLock { state in
            if state.functions == nil {
                var functions = uspi_openblas()
                state.functions = .some(uspi_openblas_open(&functions) == 1 ? functions : nil)
            }
            guard case .some(.some(let functions)) = state.functions else { return nil }
            state.users += 1
            if state.users == 1 {
                state.hostThreads = functions.get_num_threads()
                if state.hostThreads != 1 { functions.set_num_threads(1) }
            }
            return functions
        }
    }

    private static func end(_ functions: uspi_openblas) {
        state.withLock { state in
            state.users -= 1
            if state.users == 0, state.hostThreads != 1 {
                functions.set_num_threads(state.hostThreads)
            }
        }
    }
}
