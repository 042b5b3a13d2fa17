// Images of other formats, and unusual ones, against their pixels as Pillow converts them to RGB.

import Glibc
import Testing
import USPBase
import USPFiles

private let folder = "\(goldenFolder)/formats"

/// Files of the folder whose library is here.
private let files: [String] = {
    let names = (try? FolderListing.names(folder)) ?? []
    return names.filter { !$0.hasSuffix(".npy") && ImageFormat.named($0)?.isReadable == true }
}()

@Test(arguments: files) func goldenFormat(_ name: String) throws {
    let image = try PixelImage.open("\(folder)/\(name)", asStored: true).rgb()
    let expected = try EntryContent(try Archive.open("\(folder)/\(name).npy").entry("array"))
    #expect(expected.shape == [image.height, image.width, 3])
    // Decoders may round the colours of a JPEG inside a TIFF differently; everything else is exact.
    let worst = zip(image.pixels, expected.bytes).map { abs(Int($0) - Int($1)) }.max() ?? 0
    #expect(worst <= (name == "rgb_jpeg.tif" ? 1 : 0))
}

/// Those that need no library are always there.
@Test func formatsAreListed() throws {
    let names = try FolderListing.names(folder).filter { !$0.hasSuffix(".npy") }
    #expect(names.count == 64)
    #expect(files.count >= 28)
}

@Test(.enabled(if: ImageFormat.webp.isReadable)) func orientationOfWebP() throws {
    let stored = try PixelImage.open("\(folder)/turned.webp", asStored: true)
    let turned = try PixelImage.open("\(folder)/turned.webp")
    #expect(turned.width == stored.height && turned.height == stored.width)
    // Orientation 6: the stored image's first row is the last column.
    let corner = (turned.width - 1) * 3
    #expect(turned.pixels[corner..<corner + 3] == stored.pixels[..<3])
}

/// Every cut of every file is an error or the image; never a crash, and quick.
@Test(arguments: files) func cutFormats(_ name: String) throws {
    let bytes = try readFile("\(folder)/\(name)")
    let whole = try PixelImage.decode(try ByteBuffer(bytes).view)
    for cut in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 80)) {
        do {
            let image = try PixelImage.decode(try ByteBuffer(bytes[..<cut]).view)
            #expect(image.width == whole.width && image.height == whole.height)
        } catch {
            #expect(!error.message.isEmpty && error.kind != .internal)
        }
    }
}

@Test func otherFormatsAreNamed() throws {
    let cases: [([UInt8], String)] = [
        ([0, 0, 0, 28] + Array("ftypavif".utf8), "an AVIF image, which is not read"),
        ([0, 0, 0, 28] + Array("ftypheic".utf8), "a HEIC image, which is not read"),
        ([0, 0, 0, 12, 0x6A, 0x50, 0x20, 0x20], "a JPEG 2000 image"),
        (Array("<!doctype html>".utf8), "a web page"), (Array("8BPS".utf8), "a PSD image"),
        (Array("version https://git-lfs".utf8), "a Git LFS pointer"),
    ]
    for (bytes, expected) in cases {
        let error = #expect(throws: USPError.self) {
            try PixelImage.decode(try ByteBuffer(bytes).view)
        }
        #expect(error?.message.contains(expected) == true, "\(error!)")
    }
}

/// Sizes that no file of this length can have are refused before memory is asked for.
@Test func impossibleSizes() throws {
    let bmp =
        Array("BM".utf8) + little(UInt32(60)) + little(UInt32(0)) + little(UInt32(54))
        + little(UInt32(40)) + little(Int32(40_000)) + little(Int32(40_000)) + little(UInt16(1))
        + little(UInt16(24)) + [UInt8](repeating: 0, count: 30)
    let gif =
        Array("GIF89a".utf8) + little(UInt16(60_000)) + little(UInt16(60_000)) + [0, 0, 0, 0x2C]
        + [0, 0, 0, 0, 0x60, 0xEA, 0x60, 0xEA, 0, 2, 2, 0x4C, 1, 0, 0x3B]
    for (bytes, format) in [
        (bmp, ImageFormat.bmp), (gif, .gif), (Array("P6 30000 30000 255\n".utf8), .pnm),
    ] where format.isReadable {
        let error = #expect(throws: USPError.self) {
            try PixelImage.decode(try ByteBuffer(bytes).view)
        }
        #expect(error?.message.contains("cannot hold") == true, "\(error!)")
    }
}
