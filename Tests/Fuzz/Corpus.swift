// The files that fuzzing starts from: small valid ones of every format.

import Glibc
import USPFiles

struct Sample {
    enum Reader {
        case archive
        case image
        case json
    }

    let name: String
    let reader: Reader
    let bytes: [UInt8]
}

enum Corpus {
    /// The containers and images of Tests/Golden, found from this source file.
    static func golden() -> [Sample] {
        let root =
            "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Golden"
        return ["containers", "images", "odd", "formats"].flatMap { samples("\(root)/\($0)") }
            + [
                Sample(
                    name: "IDX", reader: .archive,
                    bytes: [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4])
            ]
    }

    private static func samples(_ folder: String) -> [Sample] {
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var result: [Sample] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            // The pixels beside an image are no further format.
            let isExpected =
                name.contains("expected") || folder.hasSuffix("formats") && name.hasSuffix("npy")
            guard !isExpected, !name.hasPrefix("."),
                let file = try? ByteView.file("\(folder)/\(name)")
            else { continue }
            let isImage = ImageFormat.named(name) != nil
            let reader: Sample.Reader = isImage ? .image : name.hasSuffix("json") ? .json : .archive
            result.append(Sample(name: name, reader: reader, bytes: file.array))
        }
        return result.sorted { $0.name < $1.name }
    }
}
