// A cache of latents as it is made: what is encoded goes to its place in the file, so that many
// images take no more memory than few, and an interruption costs little.

import USPBase
import USPFiles
import USPTensor

/// The unfinished file of the latents of a folder.
final class LatentCache {
    /// What there is to say about how it began.
    private(set) var notes: [String] = []
    private let file: GrowingFile
    private let places: [String: Int]
    /// Bytes of one image's moments.
    private let size: Int
    private let features: (shape: Shape, type: DType)?
    /// Of the images that are done; 0 of the others.
    private var checksums: [Int]
    private var clock = Stopwatch()
    /// Done, but not yet said so in the file.
    private var pending: Range<Int>?

    private static let moments = ["moments", "moments_flip"]
    /// Seconds after which what was done is safe.
    private static let interval = 10.0

    /// Goes on with an unfinished file of the same images, as far as they still are the same.
    ///
    /// - record: of the images; their checksums are those of an earlier run's, as they come
    /// - shape: `[2C, h, w]` of an image
    /// - features: `[T, Z]` of an image, and the type that they are kept in
    /// - checksum: of an image as it is now
    init(
        _ path: String, _ notes: LatentNotes, _ record: SampleRecord, shape: Shape, mirrored: Bool,
        features: (shape: Shape, type: DType)? = nil, lock: FileLock,
        checksum: @escaping @Sendable (Int) throws(USPError) -> Int
    ) throws(USPError) {
        let count = record.paths.count
        let whole = try Shape.checked([count] + shape.extents, dtype: .float32, "moments")
        size = shape.count * DType.float32.size
        self.features = features
        var fresh = record
        fresh.checksums = [Int](repeating: 0, count: count)
        let known = notes.arrays + fresh.arrays
        var outputs =
            try known.map { array throws(USPError) in try array.output() }
            + Self.moments.prefix(mirrored ? 2 : 1).map { name in
                ArrayOutput(name, .float32, whole) { _ throws(USPError) in }
            }
        if let (shape, type) = features {
            let whole = try Shape.checked([count] + shape.extents, dtype: type, FeatureRows.name)
            outputs.append(ArrayOutput(FeatureRows.name, type, whole) { _ throws(USPError) in })
        }
        (file, places) = try Safetensors.growing(
            path, outputs, metadata: notes.metadata, lock: lock)
        checksums = fresh.checksums
        if file.replacesAnother {
            self.notes = ["\(path).part: began anew, an unfinished cache of other images was there"]
        }
        if !file.isFresh { try takeOver(fresh, checksum) }
        fresh.checksums = checksums
        for array in notes.arrays + fresh.arrays {
            try file.write(array.bytes, at: place(array.name))
        }
    }

    /// Keeps what an earlier run has done of images that have not changed since.
    private func takeOver(
        _ record: SampleRecord, _ checksum: @escaping @Sendable (Int) throws(USPError) -> Int
    ) throws(USPError) {
        var earlier = record
        let count = checksums.count
        earlier.checksums = try numbers(of: SampleRecord.checksumsName, count)
        let stamps = try numbers(of: SampleRecord.stampsName, 2 * count)
        earlier.stamps = (0..<count).map {
            FileStamp(size: stamps[2 * $0], time: stamps[2 * $0 + 1])
        }
        checksums = earlier.checksums
        for index in try record.difference(from: earlier, checksum: checksum).changed {
            checksums[index] = 0
        }
    }

    private func numbers(of name: String, _ count: Int) throws(USPError) -> [Int] {
        let bytes = try file.read(8 * count, at: place(name))
        return bytes.withUnsafeBytes { bytes in
            (0..<count).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int.self) }
        }
    }

    private func place(_ name: String) -> Int { places[name] ?? 0 }

    func isDone(_ index: Int) -> Bool { checksums[index] != 0 }

    var doneCount: Int { checksums.count { $0 != 0 } }

    /// Bytes of the latents `[B, 2C, h, w]` of images that follow each other.
    func write(_ latents: [UInt8], _ range: Range<Int>, mirrored: Bool) throws(USPError) {
        try require(
            latents.count == range.count * size, .internal,
            "moments: \(latents.count) bytes of \(range.count) images of \(size)")
        try file.write(
            latents, at: place(Self.moments[mirrored ? 1 : 0]) + range.lowerBound * size)
    }

    /// Features `[B, T, Z]` of images that follow each other.
    func write(features values: Tensor, _ range: Range<Int>) throws(USPError) {
        guard let (shape, type) = features else {
            throw USPError(.internal, "features: the file has no place for them")
        }
        try expect(values, Shape([range.count] + shape.extents), FeatureRows.name)
        let kept = try StridedView(
            values.raw, values.shape.extents, strides: [], .float32, FeatureRows.name
        ).gathered(as: type)
        try file.write(
            UnsafeRawBufferPointer(start: kept.raw, count: kept.byteCount),
            at: place(FeatureRows.name) + range.lowerBound * shape.count * type.size)
        withExtendedLifetime((values, kept)) {}
    }

    /// These images are done in all orientations.
    func finish(_ range: Range<Int>, _ found: [Int]) throws(USPError) {
        for index in range {
            checksums[index] = found[index] == 0 ? SampleRecord.replaced : found[index]
        }
        pending = (pending?.lowerBound ?? range.lowerBound)..<range.upperBound
        if clock.seconds > Self.interval { try flush() }
    }

    /// Latents first, then that they are there.
    func flush() throws(USPError) {
        defer { clock = Stopwatch() }
        guard let pending else { return }
        try file.flush()
        let bytes = checksums[pending].withUnsafeBytes { Array($0) }
        try file.write(bytes, at: place(SampleRecord.checksumsName) + 8 * pending.lowerBound)
        self.pending = nil
    }

    func commit() throws(USPError) {
        try flush()
        try file.commit()
    }
}
