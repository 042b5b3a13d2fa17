// A file's own checksum of some of its bytes, verified once, when they are first read.

import USPBase

/// The CRC-32 that bytes of a file should have.
final class Seal: Sendable {
    private let bytes: ByteView
    private let checksum: UInt32
    private let name: String
    /// What the first look gave; nil before it.
    private let outcome = Lock<Bool?>(nil)

    init(_ bytes: ByteView, _ checksum: UInt32, _ name: String) {
        self.bytes = bytes
        self.checksum = checksum
        self.name = name
    }

    /// - Throws: `.format` if the bytes are others than those that were written
    func verify() throws(USPError) {
        // Two threads may look at once; they see the same.
        let isIntact = outcome.withLock { $0 } ?? look()
        try require(isIntact, .format, Seal.damage(name))
    }

    private func look() -> Bool {
        let isIntact = Inflate.checksum(bytes.bytes) == checksum
        withExtendedLifetime(bytes.owner) {}
        outcome.withLock { $0 = isIntact }
        return isIntact
    }

    static func damage(_ name: String) -> String {
        "\(name): its checksum (CRC-32) differs: the file is damaged; fetch or write it again"
    }
}
