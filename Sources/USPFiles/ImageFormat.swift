// Which formats of images are read, by content and by the endings of names.

import CFiles
import USPBase

/// A format of images. WebP, TIFF and GIF are read by their libraries where these are installed.
package enum ImageFormat: String, CaseIterable, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"
    case webp = "WebP"
    case tiff = "TIFF"
    case gif = "GIF"
    case bmp = "BMP"
    case pnm = "PNM"

    /// Of names in lower case.
    package var endings: [String] {
        switch self {
        case .png: [".png"]
        case .jpeg: [".jpg", ".jpeg", ".jpe", ".jfif"]
        case .webp: [".webp"]
        case .tiff: [".tif", ".tiff"]
        case .gif: [".gif"]
        case .bmp: [".bmp", ".dib"]
        case .pnm: [".ppm", ".pgm", ".pbm", ".pnm"]
        }
    }

    /// The format that a file of this name should have; nil for names of no images that are read.
    package static func named(_ name: String) -> ImageFormat? {
        let name = name.lowercased()
        return allCases.first { $0.endings.contains(where: name.hasSuffix) }
    }

    /// Endings of images that are not read.
    package static let unreadEndings = [
        ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".ico", ".psd", ".svg", ".exr",
        ".hdr", ".dng", ".cr2", ".nef", ".arw", ".raw", ".pcx", ".dds", ".eps",
    ]

    /// The format of these bytes.
    static func of(_ file: ByteView) -> ImageFormat? {
        if PNG.recognises(file) { return .png }
        if file.starts(with: [0xFF, 0xD8, 0xFF]) { return .jpeg }
        if file.starts(with: Array("RIFF".utf8)) && file.starts(with: Array("WEBP".utf8), at: 8) {
            return .webp
        }
        if TIFF.recognises(file) { return .tiff }
        if file.starts(with: Array("GIF8".utf8)) { return .gif }
        if BMP.recognises(file) { return .bmp }
        if PNM.recognises(file) { return .pnm }
        return nil
    }

    /// Debian's package of the library that reads the format; nil if ours does.
    private var package: (name: String, isHere: Bool)? {
        switch self {
        case .webp: ("libwebp7", uspi_webp_is_here() != 0)
        case .tiff: ("libtiff6", uspi_tiff_is_here() != 0)
        case .gif: ("libgif7", uspi_gif_is_here() != 0)
        case .png, .jpeg, .bmp, .pnm: nil
        }
    }

    /// Whether images of the format can be read on this system.
    package var isReadable: Bool { package?.isHere ?? true }

    /// - Throws: `.unsupported` naming the package to install
    package func expectReadable() throws(USPError) {
        guard let package, !package.isHere else { return }
        throw USPError(
            .unsupported,
            "\(rawValue) images are read by a library that is not on this system; install "
                + "\(package.name) (apt-get install \(package.name)), or convert them to PNG")
    }

    /// What bytes that are no image of these are, for people.
    static func description(of file: ByteView) -> String {
        let known: [(prefix: [UInt8], at: Int, what: String)] = [
            (Array("ftypavif".utf8), 4, "an AVIF image"),
            (Array("ftypheic".utf8), 4, "a HEIC image"),
            (Array("ftypheix".utf8), 4, "a HEIC image"),
            (Array("ftypmif1".utf8), 4, "a HEIF image"),
            ([0, 0, 0, 12, 0x6A, 0x50], 0, "a JPEG 2000 image"),
            ([0xFF, 0x4F, 0xFF, 0x51], 0, "a JPEG 2000 image"),
            ([0xFF, 0x0A], 0, "a JPEG XL image"),
            ([0, 0, 0, 12, 0x4A, 0x58], 0, "a JPEG XL image"),
            (Array("8BPS".utf8), 0, "a PSD image"),
            ([0, 0, 1, 0], 0, "an icon (ICO)"), (Array("<svg".utf8), 0, "an SVG drawing"),
        ]
        let formats = allCases.map(\.rawValue).joined(separator: ", ")
        if file.count == 0 { return "an empty file, expected an image (\(formats))" }
        let match = known.first { file.starts(with: $0.prefix, at: $0.at) }
        let what = match.map { "\($0.what), which is not read" } ?? NoArchive.description(of: file)
        return "not an image of a format that is read (\(formats)): \(what)"
    }
}
