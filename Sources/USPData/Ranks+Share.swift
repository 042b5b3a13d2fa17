// Work in pieces that ranks share: what comes of it is rank 0's, in the order of the pieces.

import USPBase

extension Ranks {
    /// Makes pieces of work, each on one rank, a round of all ranks at a time; whose results, in any
    /// number of chunks, come to rank 0 in the order of one process. Alone each chunk is taken as soon
    /// as it is there.
    ///
    /// - make: piece number `index`; gives its chunks to `emit`
    /// - take: on rank 0 alone
    /// - Throws: on all ranks what `make` or `take` has thrown on any
    public func share(
        _ pieces: Int,
        make:
            @escaping (
                _ index: Int, _ emit: ([UInt8]) throws(USPError) -> Void
            ) throws(USPError) -> Void,
        take: ([UInt8]) throws(USPError) -> Void
    ) throws(USPError) {
        guard count > 1, collectives != nil else {
            for index in 0..<pieces { try make(index, take) }
            return
        }
        for round in stride(from: 0, to: pieces, by: count) {
            let own = try together { () throws(USPError) -> [[UInt8]] in
                var chunks: [[UInt8]] = []
                guard round + rank < pieces else { return chunks }
                try make(round + rank) { chunk throws(USPError) in chunks.append(chunk) }
                return chunks
            }
            let sizes = try gather(own.map(\.count).bytes)
            let contents = try gather(Array(own.joined()))
            try together { () throws(USPError) in
                guard writes else { return }
                for (sizes, content) in zip(sizes, contents) {
                    var rest = content[...]
                    for size in [Int](bytes: sizes) {
                        try take(Array(rest.prefix(size)))
                        rest = rest.dropFirst(size)
                    }
                }
            }
        }
    }
}

extension Array where Element: BitwiseCopyable {
    /// The memory of the values.
    package var bytes: [UInt8] { withUnsafeBytes { Array<UInt8>($0) } }

    /// From the memory of as many values as there are bytes for.
    package init(bytes: some Collection<UInt8>) {
        let memory = Array<UInt8>(bytes)
        self = memory.withUnsafeBytes { buffer in
            (0..<buffer.count / MemoryLayout<Element>.stride).map {
                buffer.loadUnaligned(
                    fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
            }
        }
    }
}
