// Files made to hurt: each is an error that says what and where, quickly and without much memory.

import TestSupport
import Testing
import USPBase
import USPFiles

private func message(_ bytes: [UInt8]) throws -> String {
    let view = try ByteBuffer(bytes).view
    let clock = ContinuousClock()
    var text = ""
    let time = clock.measure {
        do {
            let archive = try Archive.read(view, path: "bad")
            for entry in archive.entries { _ = try entry.bytes() }
            text = "opened"
        } catch let error as USPError {
            text = error.message
        } catch {}
    }
    #expect(time < .milliseconds(500) * Sanitizer.slowness)
    return text
}

private func safetensors(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    let size = length ?? UInt64(text.count)
    return withUnsafeBytes(of: size.littleEndian) { Array($0) } + text
        + [UInt8](repeating: 1, count: data)
}

private func line(_ name: String, _ shape: String, _ offsets: String, _ type: String = "F32")
    -> String
{
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
}

@Test func hostileSafetensors() throws {
    let cases: [(bytes: [UInt8], expected: String)] = [
        (
            safetensors("{\(line("a", "[2]", "[0,8]")),\(line("b", "[2]", "[4,12]"))}", data: 12),
            "overlap"
        ),
        (safetensors("{\(line("a", "[2]", "[4,12]"))}", data: 12), "gap"),
        (safetensors("{\(line("a", "[2]", "[0,8]"))}", data: 12), "4 bytes after the last"),
        (safetensors("{\(line("a", "[2]", "[0,16]"))}", data: 12), "bytes 0 to 16 of 12"),
        (safetensors("{\(line("a", "[3]", "[0,8]"))}", data: 8), "takes 12 bytes"),
        (safetensors("{\(line("a", "[-2]", "[0,8]"))}", data: 8), "negative"),
        (safetensors("{\(line("a", "[4611686018427387904,8]", "[0,8]"))}", data: 8), "64 bits"),
        (safetensors("{\(line("a", "[0,4611686018427387904,8]", "[0,0]"))}"), "64 bits"),
        (safetensors("{\(line("a", "[1,1,1,1,1,1,1,1,2]", "[0,8]"))}", data: 8), "opened"),
        (safetensors("{\(line("a", "[1.5]", "[0,8]"))}", data: 8), "no dtype, shape"),
        (safetensors("{\(line("a", "[2]", "[8,0]"))}", data: 8), "bytes 8 to 0"),
        (safetensors("{\"a\":1}"), "no dtype, shape"),
        (safetensors("{", data: 20, length: 1 << 62), "not a file of arrays"),
        (safetensors("{\"a\": ", data: 4), "safetensors header"),
        (
            safetensors("{\(line("a", "[2]", "[0,8]")),\(line("a", "[2]", "[8,16]"))}", data: 16),
            "twice"
        ),
    ]
    for (bytes, expected) in cases {
        let text = try message(bytes)
        #expect(text.contains(expected), "\(text)")
        #expect(text == "opened" || text.hasPrefix("bad: "))
    }
    #expect(
        try message(safetensors("{\(line("a", "[2]", "[0,8]", "C64"))}", data: 8)) == "opened")
}

@Test func wrongFiles() throws {
    let cases: [(bytes: [UInt8], expected: String)] = [
        ([], "empty"), ([UInt8](repeating: 0, count: 5000), "zeros only"),
        (Array("<!DOCTYPE html><html>".utf8), "web page"),
        (Array("version https://git-lfs.github.com/spec/v1\n".utf8), "Git LFS"),
        ([0x80, 2, 0x4E, 0x2E], "pickle that is not"), ([0x50, 0x4B, 3, 4, 0, 0], "end record"),
        (Array("{\"a\": 1}".utf8), "weight_map"),
        (Array("{\"weight_map\": {\"a\": \"../x\"}}".utf8), "not a file beside"),
        (Array("{\"weight_map\": {\"a\": \"bad\"}}".utf8), "cannot open"),
        (
            [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 255, 255, 255, 255],
            "a gzip file; unpack it"
        ),
        // An IDX file in one stored block of gzip, which claims too much in the end.
        (
            [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 8, 0, 0xF7, 0xFF, 0, 0, 8, 1, 0, 0, 0, 0]
                + [UInt8](repeating: 255, count: 8), "cannot hold"
        ),
    ]
    for (bytes, expected) in cases {
        let text = try message(bytes)
        #expect(text.contains(expected), "\(text)")
    }
    #expect(throws: USPError.self) { try Archive.open("/nowhere") }
    #expect(throws: USPError.self) { try Archive.open("/dev/zero") }
    #expect(throws: USPError.self) { try Archive.open("/tmp") }
}

/// A pickle inside a stream file, where only the pickle matters.
private func stream(_ object: [UInt8]) -> [UInt8] {
    let magic: [UInt8] = [
        0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]
    let system = [0x80, 2, 0x7D, 0x2E] as [UInt8]
    return magic + [0x80, 2, 0x4D, 0xE9, 3, 0x2E] + system + object + [0x80, 2, 0x5D, 0x2E]
}

private func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Lists that each hold the one before twice: 2 to the 40 when written out.
private func doublingLists() -> [UInt8] {
    var bytes = ascii("]q") + [0]
    for index in 0..<40 as Range<UInt8> {
        bytes += ascii("0](h") + [index] + ascii("h") + [index] + ascii("eq") + [index + 1]
    }
    return bytes + ascii(".")
}

@Test(
    arguments: [
        // A call of os.system stays a name.
        (ascii("cposix\nsystem\n(X\u{1}\0\0\0xtR."), "holds posix.system"),
        (ascii("N."), "holds None, not tensors"), (ascii("."), "nothing to take"),
        (ascii("K\u{1}a."), "nothing to look at"), (ascii("K\u{1}K\u{2}a."), "no list"),
        (ascii("]K\u{1}K\u{2}s."), "no dictionary"), (ascii("h\u{9}."), "nothing remembered"),
        (ascii("t."), "no mark"), (ascii("X") + [255, 255, 255, 255, 1], "bytes from byte"),
        ([0xFF, 0x2E], "unknown instruction 0xff"),
        (ascii("ctorch._utils\n_rebuild_tensor_v2\n(K\u{1}tR."), "a tensor without storage"),
        ([UInt8](repeating: 0x28, count: 300_000), "ends at byte"),
        ([0x4E] + [UInt8](repeating: 0x85, count: 300_000) + [0x2E], "opened"),
        (doublingLists(), "opened"),
        (ascii("](K\u{1}K\u{2}e."), "opened"),
    ] as [([UInt8], String)])
func hostilePickle(_ bytes: [UInt8], _ expected: String) throws {
    let text = try message(stream(bytes))
    #expect(text.contains(expected), "\(text)")
}

/// Tensors over a storage that the file has not, or of which they claim too much.
@Test func claimedStorage() throws {
    func integer(_ value: Int32) -> [UInt8] {
        ascii("J") + withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    func tensor(offset: Int32, size: Int32, stride: Int32) -> [UInt8] {
        ascii("ctorch._utils\n_rebuild_tensor_v2\n((X\u{7}\0\0\0storagectorch\nFloatStorage\n")
            + ascii("X\u{1}\0\0\00X\u{3}\0\0\0cpuK\u{4}tQ") + integer(offset) + ascii("(")
            + integer(size) + ascii("t(") + integer(stride) + [0x74, 0x89, 0x4E, 0x74, 0x52, 0x2E]
    }
    let missing = try message(stream(tensor(offset: 0, size: 4, stride: 1)))
    #expect(missing.contains("storage 0 is missing"), "\(missing)")
    let data =
        ascii("](X\u{1}\0\0\00e.") + [4, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 1, count: 16)
    let cases: [(Int32, Int32, Int32, String)] = [
        (0, 4, 1, "opened"), (1, 4, 1, "16 bytes from byte 4"), (0, 5, 1, "20 bytes"),
        (-1, 1, 1, "offset -1"), (0, 2, -1, "strides [-1]"), (0, 2, 1 << 30, "bytes from byte 0"),
        (0, -1, 1, "negative"), (0, 1 << 30, 0, "opened"), (3, 1, 9, "opened"),
    ]
    for (offset, size, stride, expected) in cases {
        var file = stream(tensor(offset: offset, size: size, stride: stride))
        file.removeLast(2)
        let text = try message(file + data)
        #expect(text.contains(expected), "\(text)")
    }
}

@Test func hostileZip() throws {
    let array = Array("\u{93}NUMPY".utf8)
    let cases: [(bytes: [UInt8], expected: String)] = [
        (handmade { $0.add("x.npy", array, method: 8, size: 1 << 40) }, "cannot hold"),
        (handmade { $0.add("x.npy", array, size: 1 << 40) }, "stored, yet"),
        (handmade { $0.add("x.npy", array, hole: 1 << 40) }, "no end record at byte"),
        (
            handmade {
                $0.add("a.npy", array)
                $0.add("b.npy", array, offset: 0)
            }, "overlaps"
        ),
        (
            handmade {
                $0.add("a.npy", array)
                $0.add("a.npy", array)
            }, "two files are called"
        ),
        (handmade { $0.add("a.npy", array, offset: .max) }, "zip: a.npy"),
        (handmade { $0.add("a.npy", array, method: 12) }, "uses compression 12"),
    ]
    for (bytes, expected) in cases {
        let text = try message(bytes)
        #expect(text.contains(expected), "\(text)")
    }
}

private func handmade(_ members: (inout HandmadeZip) -> Void) -> [UInt8] {
    var zip = HandmadeZip()
    members(&zip)
    zip.finish()
    return zip.bytes
}

@Test func damagedPNG() throws {
    let golden = try readFile("\(goldenFolder)/images/rgb.png")
    // What is missing has to be pixels: the last chunk is not needed.
    for cut in [8, 20, 40, golden.count - 30] {
        #expect(throws: USPError.self) {
            try PixelImage.decode(try ByteBuffer(golden[..<cut]).view)
        }
    }
    var flipped = golden
    flipped[20] ^= 1
    #expect(throws: USPError.self) { try PixelImage.decode(try ByteBuffer(flipped).view) }
}

@Test func truncationsOfEveryGolden() throws {
    for golden in ContainerCase.all where golden.file.hasSuffix("th") || golden.file.hasSuffix("z")
    {
        let bytes = try readFile("\(goldenFolder)/\(golden.file)")
        for cut in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 60)) {
            let text = try message(Array(bytes[..<cut]))
            #expect(text != "opened", "\(golden.file) cut to \(cut) of \(bytes.count)")
        }
    }
}
