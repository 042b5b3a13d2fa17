// What ranks exchange of an array that all of them have: buckets, and in each a piece for every rank.

/// An array of floats in buckets, and each of these in pieces, one for each rank.
///
/// Whose an element is depends on its place, the array's length and the number of ranks alone.
package struct SlabPieces: Sendable {
    /// Elements of a bucket: some that stay in the cache while they are summed.
    package static let bucket = 1 << 20
    /// Pieces begin at whole multiples of so many elements.
    package static let grain = 1 << 10

    /// Elements of the array.
    package let count: Int
    package let ranks: Int

    package init(count: Int, ranks: Int) { (self.count, self.ranks) = (count, ranks) }

    package var buckets: Int { (count + Self.bucket - 1) / Self.bucket }

    /// The buckets that have some of these elements.
    package func buckets(of elements: Range<Int>) -> Range<Int> {
        guard !elements.isEmpty else { return 0..<0 }
        return elements.lowerBound / Self.bucket..<(elements.upperBound - 1) / Self.bucket + 1
    }

    /// A bucket's elements.
    package func elements(_ bucket: Int) -> Range<Int> {
        bucket * Self.bucket..<min((bucket + 1) * Self.bucket, count)
    }

    /// Elements for each rank; those of the last ranks in the last bucket may lie behind the end.
    package func size(_ bucket: Int) -> Int { size(ofBucket: elements(bucket).count) }

    private func size(ofBucket count: Int) -> Int {
        ((count + ranks - 1) / ranks + Self.grain - 1) / Self.grain * Self.grain
    }

    /// A rank's elements of a bucket.
    package func piece(_ bucket: Int, of rank: Int) -> Range<Int> {
        let (all, size) = (elements(bucket), size(bucket))
        let start = min(all.lowerBound + rank * size, all.upperBound)
        return start..<min(start + size, all.upperBound)
    }

    /// The rank that has an element.
    package func owner(of element: Int) -> Int {
        element % Self.bucket / size(element / Self.bucket)
    }

    /// Where a rank's piece of a bucket begins among all of its pieces, one after the other.
    package func place(_ bucket: Int) -> Int { bucket * size(ofBucket: min(Self.bucket, count)) }

    /// Elements of all pieces of a rank.
    package func count(of rank: Int) -> Int {
        guard buckets > 0 else { return 0 }
        return place(buckets - 1) + piece(buckets - 1, of: rank).count
    }
}

extension Ranks {
    /// A rank's piece of a bucket becomes the sum over all ranks, in pairs; the rest of the bucket
    /// stays this rank's.
    package func reduceScatter(
        _ data: UnsafeMutablePointer<Float>, _ pieces: SlabPieces, _ bucket: Int
    ) throws(USPError) {
        guard let collectives, count > 1 else { return }
        let (all, size) = (pieces.elements(bucket), pieces.size(bucket))
        let own = pieces.piece(bucket, of: rank)
        let sums = UnsafeMutablePointer<Float>.allocate(capacity: size)
        defer { sums.deallocate() }
        if all.count == size * count {
            try collectives.reduceScatter(data + all.lowerBound, sums, size)
        } else {
            let padded = Self.padded(data + all.lowerBound, all.count, to: size * count)
            defer { padded.deallocate() }
            try collectives.reduceScatter(padded, sums, size)
        }
        (data + own.lowerBound).update(from: sums, count: own.count)
    }

    /// All ranks get each other's pieces of a bucket.
    package func allGather(
        _ data: UnsafeMutablePointer<Float>, _ pieces: SlabPieces, _ bucket: Int
    ) throws(USPError) {
        guard count > 1 else { return }
        try allGather(
            data + pieces.piece(bucket, of: rank).lowerBound, pieces, bucket,
            into: data + pieces.elements(bucket).lowerBound)
    }

    /// A bucket, from every rank's piece of it.
    package func allGather(
        _ piece: UnsafePointer<Float>, _ pieces: SlabPieces, _ bucket: Int,
        into target: UnsafeMutablePointer<Float>
    ) throws(USPError) {
        let (all, size) = (pieces.elements(bucket), pieces.size(bucket))
        let own = pieces.piece(bucket, of: rank).count
        guard let collectives, count > 1 else { return target.update(from: piece, count: own) }
        let sent = Self.padded(piece, own, to: size)
        defer { sent.deallocate() }
        guard all.count < size * count else {
            return try collectives.allGather(sent, target, size * 4)
        }
        let received = UnsafeMutablePointer<Float>.allocate(capacity: size * count)
        defer { received.deallocate() }
        try collectives.allGather(sent, received, size * 4)
        target.update(from: received, count: all.count)
    }

    private static func padded(
        _ data: UnsafePointer<Float>, _ count: Int, to size: Int
    ) -> UnsafeMutablePointer<Float> {
        let result = UnsafeMutablePointer<Float>.allocate(capacity: size)
        result.update(from: data, count: count)
        (result + count).update(repeating: 0, count: size - count)
        return result
    }
}
