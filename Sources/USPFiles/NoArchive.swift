// What a file that holds no arrays is instead, in words.

import USPBase

enum NoArchive {
    private static let download = "; the download went wrong"

    /// First bytes of other kinds of files.
    private static let known: [(prefix: [UInt8], at: Int, what: String)] = [
        (
            Array("ustar".utf8), 257,
            "a tar file, as PyTorch wrote before 0.1.10; unpack it, or save it again"
        ),
        (Array("version https://git-lfs".utf8), 0, "a Git LFS pointer; fetch the file itself"),
        ([0x89, 0x50, 0x4E, 0x47], 0, "a PNG image"),
        ([0xFF, 0xD8, 0xFF], 0, "a JPEG image"),
        (Array("GGUF".utf8), 0, "a GGUF file, as llama.cpp has them"),
        ([0x89, 0x48, 0x44, 0x46], 0, "an HDF5 file"),
        ([0x1F, 0x8B], 0, "a gzip file; unpack it first (gzip -d)"),
        (Array("BZh".utf8), 0, "a bzip2 file; unpack it first (bzip2 -d)"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], 0, "an xz file; unpack it first (xz -d)"),
        ([0x28, 0xB5, 0x2F, 0xFD], 0, "a zstd file; unpack it first (zstd -d)"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, "a 7z file; unpack it first"),
        (Array("Rar!".utf8), 0, "a RAR file; unpack it first"),
        (Array("%PDF".utf8), 0, "a PDF file"),
        ([0x80], 0, "a pickle that is not a PyTorch file"),
    ]

    /// The beginnings of texts that servers send in place of a file, in lower case.
    private static let pages: [(prefix: String, what: String)] = [
        ("<!doctype", "a web page"), ("<html", "a web page"), ("<head", "a web page"),
        ("<?xml", "a page of XML"), ("entry not found", "a server's answer, not the file"),
        ("not found", "a server's answer, not the file"),
        ("invalid ", "a server's answer, not the file"),
        ("access to ", "a server's answer, not the file"),
        ("unauthorized", "a server's answer, not the file"),
        ("forbidden", "a server's answer, not the file"),
        ("repository not found", "a server's answer, not the file"),
    ]

    static func description(of bytes: ByteView) -> String {
        if bytes.count == 0 { return "it is empty" }
        if bytes.bytes.prefix(4096).allSatisfy({ $0 == 0 }) { return "it starts with zeros only" }
        if let match = known.first(where: { bytes.starts(with: $0.prefix, at: $0.at) }) {
            return match.what
        }
        if let text = text(bytes) { return description(text, bytes) }
        let first = bytes.bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
        return "\(bytes.count) bytes that start with \(first)"
    }

    /// The beginning of a file that is text, without the marks and spaces in front.
    private static func text(_ bytes: ByteView) -> String? {
        let bom: [UInt8] = [0xEF, 0xBB, 0xBF]
        let head = bytes.bytes.prefix(512).dropFirst(bytes.starts(with: bom) ? 3 : 0)
        let start = head.drop { $0 == 0x20 || (9...13).contains($0) }
        // The last few bytes may be part of a longer character.
        for cut in 0..<min(4, max(start.count, 1)) {
            guard let text = String(validating: start.dropLast(cut), as: UTF8.self) else {
                continue
            }
            let isPlain = text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 || (9...13).contains($0.value)
            }
            return isPlain && !text.isEmpty ? text : nil
        }
        return nil
    }

    private static func description(_ text: String, _ bytes: ByteView) -> String {
        let lower = text.lowercased()
        let shown = text.prefix { !$0.isNewline }.prefix(60)
        if let page = pages.first(where: { lower.hasPrefix($0.prefix) }) {
            return "\(page.what) ('\(shown)')\(download)"
        }
        guard lower.hasPrefix("{") else {
            return "a text of \(bytes.count) bytes that starts with '\(shown)'"
        }
        guard let json = try? JSON(parsing: bytes, "JSON") else {
            return "a text that starts like JSON and is none ('\(shown)')"
        }
        for key in ["error", "errors", "message", "detail"] {
            guard let told = json[key] else { continue }
            return "a server's answer, not the file ('\((told.text ?? told.compact).prefix(60))')"
                + download
        }
        return "JSON without a weight_map, which an index of several files has"
    }
}
