// Images of a folder by number, and what takes the place of those that cannot be read.

import USPBase
import USPFiles

/// An image that could not be read.
public struct UnreadableImage: Sendable, Equatable {
    /// Below the data's folder.
    public let path: String
    /// What is wrong, with the whole path.
    public let reason: String
    /// What took its place.
    var substitute = "another image of its class"

    /// What is said of it.
    public var remark: String { "\(reason); \(substitute) is in its place" }
}

/// Images that could not be read so far, by number. Any thread.
final class UnreadableImages: Sendable {
    private let reasons = Lock<[Int: USPError]>([:])

    func note(_ index: Int, _ error: USPError) { reasons.withLock { $0[index] = error } }

    subscript(index: Int) -> USPError? { reasons.withLock { $0[index] } }

    /// In the order of their numbers.
    var all: [(index: Int, error: USPError)] {
        reasons.withLock { $0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// What is read of a number, or else of the first behind it, round about in a range, that can be
    /// read; nil if none can. Those that cannot are noted.
    func first<Value>(
        from index: Int, in range: @autoclosure () -> Range<Int>,
        _ read: (Int) throws(USPError) -> Value
    ) throws(USPError) -> Value? {
        if let value = try readable(index, read) { return value }
        let own = range()
        for step in 1..<max(own.count, 1) {
            let other = own.lowerBound + (index - own.lowerBound + step) % own.count
            if let value = try readable(other, read) { return value }
        }
        return nil
    }

    /// nil, and a note, if it cannot be read.
    func readable<Value>(
        _ index: Int, _ read: (Int) throws(USPError) -> Value
    ) throws(USPError) -> Value? {
        guard self[index] == nil else { return nil }
        do throws(USPError) {
            return try read(index)
        } catch {
            guard error.isOfContent else { throw error }
            note(index, error)
            return nil
        }
    }
}

extension ImageFolder {
    package func image(_ index: Int) throws(USPError) -> PixelImage {
        try checkIndex(index)
        guard skipsUnreadable else {
            do throws(USPError) {
                return try read(index)
            } catch {
                throw error.offeringSkip("another image of its class")
            }
        }
        if let image = try unreadable.first(from: index, in: range(around: index), read) {
            return image
        }
        throw USPError(
            .format,
            "\(path): none of the \(range(around: index).count) images"
                + (classNames.isEmpty ? "" : " of class \(classNames[label(index)])")
                + " can be read; \(unreadable[index]?.message ?? "")")
    }

    /// The image itself. What it was is noted for runs that go on.
    private func read(_ index: Int) throws(USPError) -> PixelImage {
        let path = name(index)
        let file = try ByteView.file(path)
        return try locating(path) { () throws(USPError) in
            try require(
                !PNG.isComposed(file), .format,
                "a grid or preview of several images, which sample writes; move it elsewhere")
            let image = try PixelImage.decode(file, asStored: asStored)
            checksums.note(index) {
                withExtendedLifetime(file.owner) { SampleRecord.checksum([file.bytes]) }
            }
            return image
        }
    }

    /// The images of its class, which lie together.
    private func range(around index: Int) -> Range<Int> {
        var (first, last) = (index, index)
        while first > 0 && label(first - 1) == label(index) { first -= 1 }
        while last + 1 < count && label(last + 1) == label(index) { last += 1 }
        return first..<last + 1
    }

    var record: SampleRecord {
        SampleRecord(paths: files.map(\.path), stamps: stamps, checksums: checksums.all)
    }

    /// What is in the file of an image now.
    func checksum(_ index: Int) throws(USPError) -> Int {
        let file = try ByteView.file(name(index))
        return withExtendedLifetime(file.owner) { SampleRecord.checksum([file.bytes]) }
    }
}

extension USPError {
    /// The same error of a file, with the way out.
    func offeringSkip(_ substitute: String) -> USPError {
        guard isOfContent else { return self }
        return USPError(kind, "\(message); with skip_unreadable \(substitute) takes its place")
    }
}
