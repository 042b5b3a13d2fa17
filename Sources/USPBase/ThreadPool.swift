// The one thread pool of the process. A loop is cut into parts by its count alone; which thread
// takes a part never changes what the part computes.

import Glibc
import Synchronization

/// Workers that sleep until a loop arrives, stay awake between loops, and help the caller.
///
/// When two threads of the host ask at once, the second runs its loop alone: there are never more
/// busy threads than asked for by each caller plus the pool.
package final class ThreadPool: @unchecked Sendable {
    // SAFETY of @unchecked: `job` is written only by the caller that holds `owner`, before it
    // publishes a new generation with release order; workers read it after acquiring that.
    package static let shared = ThreadPool()

    /// Polls before a thread lets others have its processor: some tens of microseconds.
    private static let spinLimit = 50_000
    /// How often a worker then does so before it sleeps: about a millisecond. To be woken takes as
    /// long as many a loop, so it is not to fall asleep while others finish their share of one.
    private static let yieldLimit = 2_000

    private let owner = Atomic<Bool>(false)
    private let generation = Atomic<Int>(0)
    private let partCount = Atomic<Int>(0)
    private let threadCount = Atomic<Int>(0)
    private let running = Atomic<Int>(0)
    private let helping = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let desired: Atomic<Int>
    private var job: (@Sendable (_ part: Int, _ slot: Int) -> Void) = { _, _ in }
    private var started = 0
    /// The next part of each thread's share, a cache line apart.
    private let cursors: UnsafeMutablePointer<Atomic<Int>>
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>

    private static let mostThreads = 1024
    private static let cursorStride = 8

    private init() {
        desired = Atomic(min(Processors.available(), ThreadPool.mostThreads))
        let count = ThreadPool.mostThreads * ThreadPool.cursorStride
        cursors = .allocate(capacity: count)
        for index in 0..<count { (cursors + index).initialize(to: Atomic<Int>(0)) }
        mutex = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        ThreadPool.made = self
        pthread_atfork(nil, nil, { ThreadPool.made?.startAnew() })
    }

    /// `shared` once it is there: a child of `fork` must not wait for it.
    nonisolated(unsafe) private static var made: ThreadPool?

    /// In a child of `fork`, which has the calling thread alone: no workers, and no loop under way,
    /// since a loop's parts never fork.
    private func startAnew() {
        started = 0
        running.store(0, ordering: .relaxed)
        helping.store(0, ordering: .relaxed)
        sleepers.store(0, ordering: .relaxed)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        owner.store(false, ordering: .relaxed)
    }

    /// Threads that a loop may use, the caller included. 0 (the start) means every processor that
    /// the process may use now (`Processors.available`).
    package var threads: Int {
        get { desired.load(ordering: .relaxed) }
        set {
            let wanted = newValue > 0 ? newValue : Processors.available()
            desired.store(min(wanted, ThreadPool.mostThreads), ordering: .relaxed)
        }
    }

    /// Runs `body(0) … body(parts - 1)`, each exactly once, and returns when all are done.
    package func run(parts: Int, _ body: (Int) -> Void) {
        run(parts: parts, slots: threads) { part, _ in body(part) }
    }

    /// The same on at most `slots` threads, each of which keeps one number below `slots` during
    /// the loop: the index of a workspace that no other thread uses.
    package func run(parts: Int, slots: Int, _ body: (_ part: Int, _ slot: Int) -> Void) {
        let threads = min(slots, parts, ThreadPool.mostThreads)
        if threads <= 1 || !tryAcquire() {
            for part in 0..<max(parts, 0) { body(part, 0) }
            return
        }
        // The compiler keeps the length of this file's path for what it says of a closure that escapes
        // after all; named here, it is the same in every folder, as builds with the same bytes need.
        #sourceLocation(file:"ThreadPool.run",line:97)
        withoutActuallyEscaping(body) { escaping in
            // SAFETY: the closure is used only until the last part is done, before this returns.
            let sendable = unsafeSendable(escaping)
            dispatch(parts: parts, helpers: threads - 1, sendable)
        }
        #sourceLocation()
        owner.store(false, ordering: .releasing)
    }

    private func tryAcquire() -> Bool {
        owner.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    }

    private func dispatch(
        parts: Int, helpers: Int, _ body: @escaping @Sendable (Int, Int) -> Void
    ) {
        startWorkers(helpers)
        job = body
        partCount.store(parts, ordering: .relaxed)
        let threads = helpers + 1
        threadCount.store(threads, ordering: .relaxed)
        for slot in 0..<threads {
            cursor(slot).pointee.store(parts * slot / threads, ordering: .relaxed)
        }
        running.store(started, ordering: .relaxed)
        helping.store(helpers, ordering: .relaxed)
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            pthread_mutex_lock(mutex)
            pthread_cond_broadcast(wake)
            pthread_mutex_unlock(mutex)
        }
        takeParts(slot: 0)
        var spins = 0
        while running.load(ordering: .acquiring) > 0 {
            spins &+= 1
            if spins > ThreadPool.spinLimit { sched_yield() }
        }
        job = { _, _ in }
    }

    private func cursor(_ slot: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        cursors + slot * ThreadPool.cursorStride
    }

    /// A thread's own share first, then what others have left: loop after loop, a thread meets the
    /// same share of the rows, which its caches may still hold.
    private func takeParts(slot: Int) {
        let parts = partCount.load(ordering: .relaxed)
        let threads = threadCount.load(ordering: .relaxed)
        for offset in 0..<threads {
            let owner = (slot + offset) % threads
            let end = parts * (owner + 1) / threads
            while true {
                let part = cursor(owner).pointee.wrappingAdd(1, ordering: .relaxed).oldValue
                if part >= end { break }
                job(part, slot)
            }
        }
    }

    /// Brings the number of workers to `count`.
    private func startWorkers(_ count: Int) {
        while started < count {
            let seen = generation.load(ordering: .relaxed)
            let start = WorkerStart(pool: self, index: started, seen: seen)
            var thread = pthread_t()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
                    start.pool.work(index: start.index, seen: start.seen)
                    return nil
                }, Unmanaged.passRetained(start).toOpaque())
            guard status == 0 else { return }
            pthread_detach(thread)
            started += 1
        }
    }

    private func work(index: Int, seen: Int) {
        var seen = seen
        while true {
            seen = awaitGeneration(after: seen)
            if index < helping.load(ordering: .relaxed) { takeParts(slot: index + 1) }
            running.wrappingSubtract(1, ordering: .releasing)
        }
    }

    private func awaitGeneration(after seen: Int) -> Int {
        for poll in 0..<ThreadPool.spinLimit + ThreadPool.yieldLimit {
            let current = generation.load(ordering: .acquiring)
            if current != seen { return current }
            if poll >= ThreadPool.spinLimit { sched_yield() }
        }
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(mutex)
        while generation.load(ordering: .sequentiallyConsistent) == seen {
            pthread_cond_wait(wake, mutex)
        }
        pthread_mutex_unlock(mutex)
        sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        return generation.load(ordering: .acquiring)
    }
}

/// What a new worker is handed.
private final class WorkerStart: Sendable {
    let pool: ThreadPool
    let index: Int
    let seen: Int
    init(pool: ThreadPool, index: Int, seen: Int) {
        self.pool = pool
        self.index = index
        self.seen = seen
    }
}

private func unsafeSendable(
    _ body: @escaping (Int, Int) -> Void
) -> @Sendable (Int, Int) -> Void {
    struct Box: @unchecked Sendable { let body: (Int, Int) -> Void }
    let box = Box(body: body)
    return { box.body($0, $1) }
}
