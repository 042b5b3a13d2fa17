// What a sampling run leaves behind: the grid, each image, all pixels, and how they were made.

import USPBase
import USPFiles
import USPKit
import USPTensor

/// Files beside each other; each appears complete or not at all. Images go to their files as they
/// come: only those of the grid are kept.
final class SampleOutput {
    /// Images of the grid at most.
    static let gridLimit = 100

    let path: String
    private let record: [JSON.Member]
    private let labels: [Int]
    /// `[N, H, W, C]`.
    private let shape: Shape
    /// Of the grid.
    private var pixels: [UInt8] = []
    private(set) var count = 0
    /// Keeps other runs from these files.
    private let lock: FileLock

    /// - record: the protocol, without labels
    /// - image: `[H, W, C]`
    /// - Throws: where no image can be written, before anything is computed
    init(
        _ path: String, record: [JSON.Member], labels: [Int], image: Shape
    ) throws(USPError) {
        self.path = path
        self.record = record
        self.labels = labels
        shape = try Shape.checked([labels.count] + image.extents, dtype: .uint8, "samples")
        try ImageFiles.expectWritable(path)
        lock = try FileLock("\(ImageFiles.withoutEnding(path))-run.lock", path)
    }

    private var stem: String { ImageFiles.withoutEnding(path) }

    /// Writes all pixels and each image while `draw` gives them to `add`, then the grid and the
    /// protocol, to which is added what `draw` measured.
    ///
    /// - Returns: one line about it
    func write(
        _ draw:
            @escaping (
                _ add: @escaping ([UInt8]) throws(USPError) -> Void
            ) throws(USPError) -> [JSON.Member]
    ) throws(USPError) -> String {
        var measured: [JSON.Member] = []
        let array = ArrayOutput("arr_0", .uint8, shape) { (file) throws(USPError) in
            measured = try draw { (pixels) throws(USPError) in try self.add(pixels, to: file) }
        }
        try Npz.write("\(stem).npz", [array])
        return try finish(measured)
    }

    /// The next image, `[H, W, C]`.
    private func add(_ own: [UInt8], to file: AtomicFile) throws(USPError) {
        try file.write(own)
        if count < SampleOutput.gridLimit { pixels += own }
        let members: [JSON.Member] = [
            .init("image", .integer(count)), .init("label", .integer(labels[count])),
        ]
        try PNG.write(
            ImageFiles.numbered(path, count),
            ImageFiles.image(own, 0, Shape([1] + shape.extents.dropFirst())),
            texts: texts(members))
        count += 1
    }

    /// Writes decoded images of an unfinished batch as one picture, in place of the last one.
    func preview(_ images: Tensor) throws(USPError) {
        let shape = images.shape
        let picture = try ImageFiles.grid(
            images.pixels(), [shape[0], shape[2], shape[3], shape[1]])
        try PNG.write("\(stem)-preview.png", picture, texts: [ImageFiles.composed])
    }

    /// The grid and the protocol.
    private func finish(_ measured: [JSON.Member]) throws(USPError) -> String {
        let all: JSON.Member = .init("labels", .array(labels.map(JSON.integer)))
        let shown = min(count, SampleOutput.gridLimit)
        let file = try AtomicFile("\(stem).json")
        try file.write(JSON.object(record + measured + [all]).indented)
        try file.commit()
        let grid = try ImageFiles.grid(pixels, [shown, shape[1], shape[2], shape[3]])
        try PNG.write(path, grid, texts: [ImageFiles.composed] + texts([all]))
        let note = shown < count ? ", the first \(shown) in the grid" : ""
        return "\(path): \(grouped(count)) images of \(shape[2]) x \(shape[1])\(note)"
    }

    private func texts(_ own: [JSON.Member]) -> [(key: String, value: String)] {
        [(key: "usp", value: escaped(JSON.object(record + own).compact))]
    }

    /// JSON with letters outside Latin-1, which a PNG's text cannot hold, as `\uXXXX`.
    private func escaped(_ text: String) -> String {
        var result = ""
        for unit in text.utf16 {
            if unit < 0x7F {
                result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            } else {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result
    }
}
