// The ranks of a job: under mpirun or srun several processes of one command share its work; rank 0
// writes and speaks.

import Glibc
import USPBase
import USPKit

enum Job {
    private static let joined = Lock<Ranks?>(nil)
    private static let launched = Ranks.launched()

    /// The ranks that share the work of this command; nil: it was not launched as a job.
    static var ranks: Ranks? { joined.withLock { $0 } }

    /// Whether this process tells of progress, notes and results.
    static var speaks: Bool { (ranks?.rank ?? launched?.rank ?? 0) == 0 }

    /// Whether this process writes files.
    static var writes: Bool { ranks?.writes ?? true }

    /// For commands that share their work: meets the other ranks, and takes this one's share of the
    /// processors.
    ///
    /// - threads: 0: every processor, on a machine of several ranks that are bound to none as many as
    ///   come on each
    /// - Throws: `.unsupported` in a job without MPI's plug-in
    static func begin(threads: Int = 0) throws(USPError) {
        ThreadPool.shared.threads = threads
        guard let launched else { return }
        let (ranks, neighbours) = try Ranks.mpi(launched: launched)
        joined.withLock { $0 = ranks }
        guard threads == 0 else { return }
        let (allowed, online) = (
            ThreadPool.shared.threads, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        )
        if allowed * neighbours > max(online, allowed) {
            ThreadPool.shared.threads = max(1, online / neighbours)
        }
    }

    /// Tells of an error that ends this process, unless rank 0 does.
    static func complain(of error: USPError) {
        let rank = ranks?.rank ?? launched?.rank ?? 0
        if rank == 0 {
            write("usp: \(error.message)\n")
        } else if ranks?.hasFailedTogether != true {
            write("usp: rank \(rank): \(error.message)\n")
        }
    }

    private static func write(_ text: String) {
        let bytes = Array(((isatty(2) == 1 ? "\r\u{1B}[K" : "") + text).utf8)
        _ = Glibc.write(2, bytes, bytes.count)
    }

    /// Ends a process that has failed: in a job at once, for MPI's end waits for ranks that may wait
    /// for this one.
    static func end(_ code: Int32) -> Never {
        guard ranks != nil else { exit(code) }
        fflush(nil)
        _exit(code)
    }
}

/// A line of a command's result on standard output, once in a job.
func say(_ text: String) {
    if Job.speaks { print(text) }
}
