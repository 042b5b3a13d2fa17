// Gradients that ranks hand on in bf16: half the traffic, sums in f32.

import USPBase
import USPTensor

extension Ranks {
    /// A rank's piece of a bucket becomes the sum over all ranks in pairs, (0 + 1) + (2 + 3), ..., of
    /// which each value is rounded before it is added, and so is the last sum: recursive halving whose
    /// first exchange is with the neighbour.
    func reduceScatterRounded(
        _ data: UnsafeMutablePointer<Float>, _ pieces: SlabPieces, _ bucket: Int
    ) throws(USPError) {
        guard let exchange = collectives?.exchange, count > 1 else { return }
        let (size, own) = (pieces.size(bucket), pieces.piece(bucket, of: rank))
        var half = size * count / 2
        let space = UnsafeMutablePointer<Float>.allocate(capacity: 2 * half)
        let words = UnsafeMutablePointer<UInt16>.allocate(capacity: 2 * half)
        defer {
            space.deallocate()
            words.deallocate()
        }
        // Blocks by their reversed bits: the half of those whose rank ends with 0 is in front.
        let bits = count.trailingZeroBitCount
        for block in 0..<count {
            let source = (0..<bits).reduce(0) { $0 << 1 | block >> $1 & 1 }
            let piece = pieces.piece(bucket, of: source)
            let target = space + block * size
            target.update(from: data + piece.lowerBound, count: piece.count)
            (target + piece.count).update(repeating: 0, count: size - piece.count)
        }
        var kept = space
        var distance = 1
        while distance < count {
            let sent = rank & distance == 0 ? kept + half : kept
            if rank & distance != 0 { kept += half }
            let received = words + half
            narrow(sent, into: words, half)
            try exchange(rank ^ distance, words, received, half * 2)
            addRounded(kept, received, half)
            (distance, half) = (distance * 2, half / 2)
        }
        narrow(kept, into: words, own.count)
        widen(words, into: data + own.lowerBound, own.count)
    }

    /// All ranks get each other's pieces of a bucket, whose values are those of bf16.
    func allGatherRounded(
        _ data: UnsafeMutablePointer<Float>, _ pieces: SlabPieces, _ bucket: Int
    ) throws(USPError) {
        guard let collectives, count > 1 else { return }
        let (size, own) = (pieces.size(bucket), pieces.piece(bucket, of: rank))
        let words = UnsafeMutablePointer<UInt16>.allocate(capacity: size * (count + 1))
        defer { words.deallocate() }
        let all = words + size
        words.update(repeating: 0, count: size)
        narrow(data + own.lowerBound, into: words, own.count)
        try collectives.allGather(words, all, size * 2)
        let elements = pieces.elements(bucket)
        widen(all, into: data + elements.lowerBound, elements.count)
    }
}
