// The ranks of an MPI job, through the plug-in libusp-mpi.so: the library itself needs no MPI.

import Glibc
import USPFiles

extension Ranks {
    /// A process of a job that a launcher has started.
    public struct Launched: Sendable, Equatable {
        /// What the launcher calls the number of processes, such as `OMPI_COMM_WORLD_SIZE`.
        public let variable: String
        public let rank: Int
        public let count: Int
    }

    /// The job that this process belongs to, from the environment that `mpirun`, `mpiexec` or `srun`
    /// has made; nil: none.
    ///
    /// - variables: of the environment, for tests
    public static func launched(
        _ variable: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) -> Launched? {
        let pairs = [
            ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"),
            // Not SLURM_NTASKS, which a batch script has, too.
            ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
        ]
        for (size, place) in pairs {
            guard let count = variable(size).flatMap({ Int($0) }),
                let rank = variable(place).flatMap({ Int($0) }), count > 0
            else { continue }
            // A step of one task is what a launcher inside of it starts from.
            if size.hasPrefix("SLURM") && count == 1 { continue }
            return Launched(variable: size, rank: rank, count: count)
        }
        return nil
    }

    /// This process among those of its MPI job; alone outside of one. All of them call this.
    ///
    /// The plug-in is what `USP_MPI` names, else libusp-mpi.so beside this library or program, in
    /// ../lib, or in the loader's path. MPI is begun unless the host has; then it is ended when the
    /// process exits, and a rank that does not come there within 20 seconds ends all.
    ///
    /// - Throws: `.unsupported` where there is no plug-in, or one of another MPI than the launcher's
    public static func mpi() throws(USPError) -> Ranks { try mpi(launched: launched()).ranks }

    /// - Returns: also how many of the ranks are on this machine
    public static func mpi(
        launched: Launched?
    ) throws(USPError) -> (ranks: Ranks, onThisMachine: Int) {
        let plugin = try MPIPlugin.shared()
        var places: [Int32] = [0, 1, 0, 1, 0]
        let library = try plugin.open(&places)
        let (rank, count) = (Int(places[0]), Int(places[1]))
        if let launched, launched.count != count {
            throw USPError(
                .unsupported,
                "\(plugin.path): is of \(library), which finds \(count == 1 ? "one rank" : "\(count) ranks") "
                    + "where \(launched.variable) is \(launched.count): the launcher is another MPI's; "
                    + "build the plug-in with that MPI's mpicc (make mpi MPICC=...)")
        }
        var collectives = plugin.collectives
        collectives.isOnAnyThread = places[4] != 0
        let ranks = try Ranks(rank: rank, count: count, collectives)
        try ranks.agreeOnVersion()
        return (ranks, Int(places[3]))
    }

    /// What every way to make ranks with collectives asks first.
    ///
    /// - Throws: `.argument` naming a rank with another version
    package func agreeOnVersion() throws(USPError) { try agree([("version", version)]) }
}

/// The functions of libusp-mpi.so, which stays loaded.
private struct MPIPlugin: @unchecked Sendable {
    // SAFETY of @unchecked: C functions; trainers and runs call them from one thread at a time.
    typealias Message = UnsafeMutablePointer<CChar>
    typealias Open = @convention(c) (UnsafeMutablePointer<Int32>, Message, Message) -> Int32
    typealias ReduceScatter =
        @convention(c) (
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Message
        ) -> Int32
    typealias AllGather =
        @convention(c) (
            UnsafeRawPointer, UnsafeMutableRawPointer, Int, Message
        ) -> Int32
    typealias Exchange =
        @convention(c) (
            Int32, UnsafeRawPointer, UnsafeMutableRawPointer, Int, Message
        ) -> Int32
    typealias Broadcast = @convention(c) (UnsafeMutableRawPointer, Int, Int32, Message) -> Int32
    typealias Barrier = @convention(c) (Message) -> Int32
    typealias Interface = @convention(c) () -> Int32
    typealias Close = @convention(c) (Int32) -> Void

    let path: String
    private let begin: Open
    private let reduceScatter: ReduceScatter
    private let allGather: AllGather
    private let exchange: Exchange
    private let broadcast: Broadcast
    private let barrier: Barrier

    private static let name = "libusp-mpi.so"
    private static let interface: Int32 = 2
    private static let loaded = Lock<MPIPlugin?>(nil)

    static func shared() throws(USPError) -> MPIPlugin {
        try loaded.withLock { (present: inout MPIPlugin?) throws(USPError) -> MPIPlugin in
            if let present { return present }
            let plugin = try MPIPlugin()
            present = plugin
            return plugin
        }
    }

    private init() throws(USPError) {
        let (handle, path) = try Self.load()
        func function<Function>(_ name: String, _: Function.Type) throws(USPError) -> Function {
            guard let symbol = dlsym(handle, name) else {
                throw USPError(.unsupported, "\(path): has no \(name), so it is none of usp's")
            }
            return unsafeBitCast(symbol, to: Function.self)
        }
        let found = try function("usp_mpi_interface", Interface.self)()
        try require(
            found == Self.interface, .unsupported,
            "\(path): interface \(found), expected \(Self.interface): it was built with another "
                + "version of usp; make mpi builds it anew")
        self.path = path
        begin = try function("usp_mpi_open", Open.self)
        reduceScatter = try function("usp_mpi_reduce_scatter", ReduceScatter.self)
        allGather = try function("usp_mpi_all_gather", AllGather.self)
        exchange = try function("usp_mpi_exchange", Exchange.self)
        broadcast = try function("usp_mpi_broadcast", Broadcast.self)
        barrier = try function("usp_mpi_barrier", Barrier.self)
        let close = try function("usp_mpi_close", Close.self)
        Self.closing.withLock { $0 = close }
        atexit { MPIPlugin.closing.withLock { $0 }?(20) }
    }

    private static let closing = Lock<Close?>(nil)

    /// - Throws: `.unsupported` telling what was tried
    private static func load() throws(USPError) -> (UnsafeMutableRawPointer, String) {
        if let chosen = getenv("USP_MPI").map({ String(cString: $0) }), !chosen.isEmpty {
            guard let handle = dlopen(chosen, RTLD_NOW | RTLD_GLOBAL) else {
                throw USPError(.unsupported, "USP_MPI: \(String(cString: dlerror()))")
            }
            return (handle, chosen)
        }
        let folders = OwnFiles.folders
        for folder in folders {
            let path = "\(folder)/\(name)"
            guard access(path, R_OK) == 0 else { continue }
            guard let handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL) else {
                throw USPError(.unsupported, String(cString: dlerror()))
            }
            return (handle, path)
        }
        // Components of an MPI look for its symbols among the global ones.
        guard let handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL) else {
            throw USPError(
                .unsupported,
                "MPI: no \(name) in \(folders.joined(separator: ", ")) or the loader's path: build it "
                    + "with make mpi, or name it by USP_MPI")
        }
        return (handle, name)
    }

    /// - Returns: the MPI's name
    func open(_ places: inout [Int32]) throws(USPError) -> String {
        var library = [CChar](repeating: 0, count: 256)
        let begin = begin
        try call { begin(&places, &library, $0) }
        return library.withUnsafeBufferPointer { text in
            text.baseAddress.map { String(cString: $0) } ?? ""
        }
    }

    /// - Throws: `.callback` with the message of a function that fails
    private func call(_ body: (Message) -> Int32) throws(USPError) {
        let message = Message.allocate(capacity: 512)
        defer { message.deallocate() }
        message.initialize(repeating: 0, count: 512)
        guard body(message) == 0 else {
            throw USPError(.callback, "MPI: \(String(cString: message))")
        }
    }

    var collectives: Ranks.Collectives {
        var result = Ranks.Collectives(
            reduceScatter: { data, sums, count throws(USPError) in
                try call { reduceScatter(data, sums, count, $0) }
            },
            allGather: { data, all, size throws(USPError) in
                try call { allGather(data, all, size, $0) }
            },
            broadcast: { data, size, root throws(USPError) in
                try call { broadcast(data, size, Int32(root), $0) }
            },
            barrier: { () throws(USPError) in try call { barrier($0) } })
        result.exchange = { peer, sent, received, size throws(USPError) in
            try call { exchange(Int32(peer), sent, received, size, $0) }
        }
        return result
    }
}
