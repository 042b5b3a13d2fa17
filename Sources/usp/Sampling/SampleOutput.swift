// What a sampling run leaves behind: the grid, each image, all pixels, and how they were made.

import USPBase
import USPFiles
import USPKit
import USPTensor

/// Files beside each other; each appears complete or not at all.
struct SampleOutput {
    /// Images of the grid at most.
    static let gridLimit = 100

    let path: String
    private let record: [JSON.Member]
    private let labels: [Int]
    private var pixels: [UInt8] = []
    private var shape: Shape = []

    /// - record: the protocol, without labels
    /// - Throws: where no image can be written, before anything is computed
    init(_ path: String, record: [JSON.Member], labels: [Int]) throws(USPError) {
        self.path = path
        self.record = record
        self.labels = labels
        try ImageFiles.expectWritable(path)
    }

    /// Writes the next decoded image `[1, C, H, W]` as its PNG and keeps it for the others.
    mutating func add(_ image: Tensor) throws(USPError) {
        let index = shape.rank == 0 ? 0 : shape[0]
        let (height, width, channels) = (image.shape[2], image.shape[3], image.shape[1])
        let own = try image.pixels()
        shape = [index + 1, height, width, channels]
        pixels += own
        let members: [JSON.Member] = [
            .init("image", .integer(index)), .init("label", .integer(labels[index])),
        ]
        try PNG.write(
            ImageFiles.numbered(path, index),
            ImageFiles.image(own, 0, [1, height, width, channels]),
            texts: texts(members))
    }

    /// Writes decoded images of an unfinished batch as one picture, in place of the last one.
    func preview(_ images: Tensor) throws(USPError) {
        try PNG.write(ImageFiles.withoutEnding(path) + "-preview.png", SampleOutput.grid(images))
    }

    private static func grid(_ images: Tensor) throws(USPError) -> PixelImage {
        let shape = images.shape
        return try ImageFiles.grid(images.pixels(), [shape[0], shape[2], shape[3], shape[1]])
    }

    /// Writes the grid, all pixels and the protocol, to which what was measured is added.
    ///
    /// - Returns: one line about it
    func finish(_ measured: [JSON.Member]) throws(USPError) -> String {
        let all: JSON.Member = .init("labels", .array(labels.map(JSON.integer)))
        let stem = ImageFiles.withoutEnding(path)
        let array = ArrayOutput("arr_0", .uint8, shape, bytes: try ByteBuffer(pixels).view)
        try Npz.write("\(stem).npz", [array])
        let shown = min(shape[0], SampleOutput.gridLimit)
        let file = try AtomicFile("\(stem).json")
        try file.write(JSON.object(record + measured + [all]).indented)
        try file.commit()
        let part: Shape = [shown, shape[1], shape[2], shape[3]]
        try PNG.write(
            path, ImageFiles.grid(Array(pixels.prefix(part.count)), part), texts: texts([all]))
        let note = shown < shape[0] ? ", the first \(shown) in the grid" : ""
        return "\(path): \(grouped(shape[0])) images of \(shape[2]) x \(shape[1])\(note)"
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
