// Gradients of ranks are summed while the backward pass goes on.

import Glibc
import USPBase
import USPTensor

/// The sums over ranks of one step's gradients, bucket after bucket on a thread of its own, each as
/// soon as its gradients are complete here.
///
/// All ranks go through all buckets in the same order, whatever becomes of one of them: who fails
/// lets the rest through as it is, and tells the others behind.
package final class GradientExchange: @unchecked Sendable {
    // SAFETY of @unchecked: `isComplete` is touched under the lock, `failure` by the thread until it is
    // joined; a bucket's elements by the caller before it is complete, by the thread after that.
    private let gradients: Tensor
    private let pieces: SlabPieces
    private let ranks: Ranks
    private let order: [Int]
    /// Whether all ranks get all sums, or each those of its pieces.
    private let gathers: Bool
    private let reduction: DType
    /// Parameters of each bucket whose gradients are not complete.
    private var waiting: [Int]
    /// In which buckets have become complete.
    package private(set) var completed: [Int] = []
    private var isComplete: [Bool]
    private var failure: USPError?
    private var thread: pthread_t?
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// - awaited: where the gradients are that will be told of
    /// - order: of buckets, the same on all ranks
    /// - overlaps: else all is done in `finish`, to the same bits
    package init(
        _ gradients: Tensor, _ pieces: SlabPieces, over ranks: Ranks,
        awaiting awaited: [Range<Int>],
        order: [Int], gathers: Bool, _ reduction: DType, overlaps: Bool
    ) {
        (self.gradients, self.pieces, self.ranks) = (gradients, pieces, ranks)
        (self.gathers, self.reduction) = (gathers, reduction)
        var waiting = [Int](repeating: 0, count: pieces.buckets)
        for range in awaited { for bucket in pieces.buckets(of: range) { waiting[bucket] += 1 } }
        self.waiting = waiting
        // The others are zero on all ranks.
        self.order = order.filter { waiting[$0] > 0 }
        isComplete = waiting.map { _ in false }
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(change, nil)
        guard overlaps else { return }
        var made = pthread_t()
        let status = pthread_create(
            &made, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<GradientExchange>.fromOpaque(argument).takeRetainedValue().work()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        if status == 0 { thread = made } else { Unmanaged.passUnretained(self).release() }
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(change)
        mutex.deallocate()
        change.deallocate()
    }

    /// The gradients of these elements are complete, and are not touched any more before `finish`.
    package func complete(_ range: Range<Int>) {
        for bucket in pieces.buckets(of: range) {
            waiting[bucket] -= 1
            guard waiting[bucket] == 0 else { continue }
            completed.append(bucket)
            locked { isComplete[bucket] = true }
        }
    }

    /// Returns when all is summed; what is not complete goes as it is.
    package func finish() throws(USPError) {
        locked { for bucket in isComplete.indices { isComplete[bucket] = true } }
        if let thread {
            pthread_join(thread, nil)
            self.thread = nil
        } else {
            work()
        }
        if let failure { throw failure }
    }

    private func locked(_ body: () -> Void) {
        pthread_mutex_lock(mutex)
        body()
        pthread_cond_signal(change)
        pthread_mutex_unlock(mutex)
    }

    private func sum(_ bucket: Int) throws(USPError) {
        let values = gradients.floats
        if reduction == .bfloat16 {
            try ranks.reduceScatterRounded(values, pieces, bucket)
            if gathers { try ranks.allGatherRounded(values, pieces, bucket) }
        } else {
            try ranks.reduceScatter(values, pieces, bucket)
            if gathers { try ranks.allGather(values, pieces, bucket) }
        }
    }

    private func work() {
        do throws(USPError) {
            for bucket in order {
                pthread_mutex_lock(mutex)
                while !isComplete[bucket] { pthread_cond_wait(change, mutex) }
                pthread_mutex_unlock(mutex)
                try sum(bucket)
            }
        } catch { failure = error }
    }
}
