// What samples were when they were read, so that a cache or a run that goes on knows them by more
// than their names: size and time of their files first, a checksum of the content when in doubt.

import Glibc
import USPBase
import USPFiles
import USPTensor

/// A file as the system tells of it without reading it.
struct FileStamp: Sendable, Equatable {
    /// Bytes; −1 where there is no such file.
    var size = -1
    /// Of the last change, in nanoseconds.
    var time = 0

    init(size: Int, time: Int) { (self.size, self.time) = (size, time) }

    init(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        size = Int(status.st_size)
        time = Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec)
    }
}

/// Checksums of the samples that were read so far. Any thread.
final class SampleChecksums: Sendable {
    /// 0 of a sample that was not read.
    private let values: Lock<[Int]>

    init(_ values: [Int]) { self.values = Lock(values) }

    convenience init(count: Int) { self.init([Int](repeating: 0, count: count)) }

    /// Keeps the checksum of a sample, if there is none yet.
    func note(_ index: Int, _ checksum: () -> Int) {
        guard values.withLock({ $0[index] == 0 }) else { return }
        let value = checksum()
        values.withLock { if $0[index] == 0 { $0[index] = value } }
    }

    /// Takes what was noted earlier, sample by sample.
    func adopt(_ earlier: [Int]) {
        values.withLock { values in
            for (index, value) in zip(values.indices, earlier) where value != 0 {
                values[index] = value
            }
        }
    }

    var all: [Int] { values.withLock { $0 } }
}

/// Files and checksums of the samples of a data set, as a cache and the state of a run keep them.
struct SampleRecord: Sendable {
    /// Below the folder, in the order of the samples; empty for samples of one file, or of none.
    var paths: [String] = []
    /// Of each path, or of the one file; empty for samples in memory.
    var stamps: [FileStamp] = []
    /// Of each sample; 0 where it was not read.
    var checksums: [Int] = []

    /// In a cache: of an image that could not be read, whose place another one has.
    static let replaced = 1

    /// Samples that are others than they were, by number, and files that are gone or new.
    struct Difference {
        var changed: [Int] = []
        var gone: [String] = []
        var new: [String] = []

        var isEmpty: Bool { changed.isEmpty && gone.isEmpty && new.isEmpty }
    }

    /// What has become of the samples since an earlier record of them.
    ///
    /// - checksum: of a sample as it is now; asked only where size and time do not tell
    func difference(
        from earlier: SampleRecord,
        checksum: @Sendable (_ index: Int) throws(USPError) -> Int
    ) throws(USPError) -> Difference {
        var result = Difference()
        let places = Dictionary(
            zip(earlier.paths, 0...), uniquingKeysWith: { first, _ in first })
        // Number now, number then.
        var common: [(now: Int, then: Int)] = []
        if paths.isEmpty && earlier.paths.isEmpty {
            if !stamps.isEmpty && stamps == earlier.stamps { return result }
            common = zip(checksums.indices, earlier.checksums.indices).map { ($0, $1) }
        } else {
            for (number, path) in paths.enumerated() {
                if let place = places[path] {
                    common.append((number, place))
                } else {
                    result.new.append(path)
                }
            }
            let present = Set(paths)
            result.gone = earlier.paths.filter { !present.contains($0) }
        }
        let doubtful = common.filter { pair in
            earlier.checksums[pair.then] != 0
                && !(paths.indices.contains(pair.now) && earlier.stamps.indices.contains(pair.then)
                    && stamps[pair.now] == earlier.stamps[pair.then])
        }
        let isChanged = try parallelMap(doubtful.count) { place throws(USPError) in
            let pair = doubtful[place]
            if paths.indices.contains(pair.now), earlier.stamps.indices.contains(pair.then),
                stamps[pair.now].size != earlier.stamps[pair.then].size
            {
                return true
            }
            return try checksum(pair.now) != earlier.checksums[pair.then]
        }
        result.changed = zip(doubtful, isChanged).compactMap { $1 ? $0.now : nil }
        return result
    }
}

extension SampleRecord {
    /// Of bytes; never 0.
    static func checksum(_ parts: [UnsafeRawBufferPointer]) -> Int {
        var value: UInt32 = 0
        for part in parts { value = ByteView.checksum(part, from: value) }
        return 1 << 32 | Int(value)
    }

    // MARK: files

    private static let pathsName = "usp.samples.paths"
    static let stampsName = "usp.samples.stamps"
    static let checksumsName = "usp.samples.checksums"

    /// What a file keeps.
    var arrays: [NumberArray] {
        let numbers = stamps.flatMap { [$0.size, $0.time] }
        return [
            NumberArray(Self.pathsName, Array(paths.joined(separator: "\0").utf8)),
            NumberArray(Self.stampsName, [stamps.count, 2], numbers: numbers),
            NumberArray(Self.checksumsName, [checksums.count], numbers: checksums),
        ].filter { !$0.bytes.isEmpty }
    }

    /// What a file keeps; nil of a file without a record.
    init?(_ archive: Archive) throws(USPError) {
        let find = { (name: String) in archive.entries.first { $0.name == name } }
        guard let entry = find(Self.checksumsName) else { return nil }
        checksums = try entry.integers()
        if let entry = find(Self.pathsName) {
            let view = try entry.bytes()
            paths = try view.text.split(separator: "\0").map(String.init)
        }
        let numbers = try find(Self.stampsName)?.integers() ?? []
        stamps = stride(from: 0, to: numbers.count - 1, by: 2).map {
            FileStamp(size: numbers[$0], time: numbers[$0 + 1])
        }
        try require(
            paths.isEmpty || (paths.count == checksums.count && stamps.count == paths.count),
            .format,
            "\(Self.checksumsName): \(checksums.count) for \(paths.count) files and "
                + "\(stamps.count) stamps")
    }
}

extension SampleRecord.Difference {
    /// In words: the first of each kind, and how many.
    func text(_ name: (Int) -> String) -> String {
        func some(_ names: [String], _ one: String, _ many: String) -> String? {
            guard let first = names.first else { return nil }
            return names.count == 1
                ? "\(first) \(one)" : "\(first) and \(names.count - 1) more \(many)"
        }
        return [
            some(changed.map(name), "has changed", "have changed"),
            some(gone, "is gone", "are gone"), some(new, "is new", "are new"),
        ].compactMap { $0 }.joined(separator: ", ")
    }
}
