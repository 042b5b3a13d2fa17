// Images of a folder by number, and what takes the place of those that cannot be read.

import USPBase
import USPFiles

/// An image that could not be read.
public struct UnreadableImage: Sendable, Equatable {
    /// Below the data's folder.
    public let path: String
    /// What is wrong, with the whole path.
    public let reason: String
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
}

extension ImageFolder {
    package func image(_ index: Int) throws(USPError) -> PixelImage {
        try checkIndex(index)
        guard skipsUnreadable else {
            do throws(USPError) {
                return try read(index)
            } catch {
                guard error.isOfContent else { throw error }
                throw USPError(
                    error.kind,
                    "\(error.message); with skip_unreadable another image of its class takes its "
                        + "place")
            }
        }
        if let image = try readable(index) { return image }
        let own = range(around: index)
        for step in 1..<max(own.count, 1) {
            let other = own.lowerBound + (index - own.lowerBound + step) % own.count
            if let image = try readable(other) { return image }
        }
        throw USPError(
            .format,
            "\(path): none of the \(own.count) images"
                + (classNames.isEmpty ? "" : " of class \(classNames[label(index)])")
                + " can be read; \(unreadable[index]?.message ?? "")")
    }

    /// nil, and a note, if it cannot be read.
    private func readable(_ index: Int) throws(USPError) -> PixelImage? {
        guard unreadable[index] == nil else { return nil }
        do throws(USPError) {
            return try read(index)
        } catch {
            guard error.isOfContent else { throw error }
            unreadable.note(index, error)
            return nil
        }
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
    /// Whether a file, and not the system or the caller, is at fault.
    fileprivate var isOfContent: Bool { [.io, .format, .unsupported, .shape].contains(kind) }
}
