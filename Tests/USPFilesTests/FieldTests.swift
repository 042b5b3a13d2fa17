// Single fields of files that one bit decides: flags, counts, checksums, signs, byte orders.

import Testing
import USPBase
import USPFiles

private func read(_ bytes: [UInt8]) throws -> Archive {
    let archive = try Archive.read(try ByteBuffer(bytes).view, path: "bad")
    for entry in archive.entries { _ = try entry.bytes() }
    return archive
}

private func message(_ bytes: [UInt8]) -> String {
    do {
        _ = try read(bytes)
        return "opened"
    } catch {
        return "\(error)"
    }
}

private func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A deflate stream of one stored block.
private func deflated(_ bytes: [UInt8]) -> [UInt8] {
    let length = UInt16(bytes.count)
    return [1] + little(length) + little(~length) + bytes
}

/// Version 1 of the format, its header not padded.
private func npy(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let size = version == 1 ? little(UInt16(header.utf8.count)) : little(UInt32(header.utf8.count))
    return [0x93] + ascii("NUMPY") + [version, 0] + size + ascii(header) + data
}

private func line(_ shape: String, _ type: String = "<i2") -> String {
    "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape),), }\n"
}

@Suite struct ArrayFieldTests {
    @Test func npyHeaders() throws {
        let data: [UInt8] = [1, 0, 2, 0]
        #expect(try read(npy(line("2"), data)).entry("array").bytes().array == data)
        // Python 2 wrote long integers with an L.
        #expect(try read(npy(line("2L"), data)).entry("array").shape == [2])
        #expect(message(npy(line("2"), data, version: 4)).contains("npy version 4"))
        // More digits than a number has.
        let long = String(repeating: "9", count: 40)
        #expect(message(npy(line("2", "<u\(long)"), data)).contains("is not read"))
    }

    /// NumPy's rule: the data begin at a multiple of 64 bytes.
    @Test func writtenHeadersAreAligned() throws {
        let scratch = ScratchFolder()
        for rank in 1...8 {
            let shape = Shape([Int](repeating: 1, count: rank))
            let values = try ByteBuffer([UInt8](repeating: 0, count: 4)).view
            try Npy.write(scratch.file("a"), ArrayOutput("a", .float32, shape, bytes: values))
            let bytes = try readFile(scratch.file("a"))
            #expect((bytes.count - 4) % 64 == 0)
            #expect(Int(bytes[8]) | Int(bytes[9]) << 8 == bytes.count - 14)
        }
    }

    @Test func deflatedArraysAreAsLongAsTheySay() throws {
        func zip(_ shape: String, _ type: String = "<i2") -> [UInt8] {
            let file = npy(line(shape, type), [1, 0, 2, 0])
            return handmade {
                $0.add(
                    "x.npy", deflated(file), method: 8, size: file.count, crc: checksum(file))
            }
        }
        #expect(try read(zip("2")).entry("x").bytes().array == [1, 0, 2, 0])
        #expect(try read(zip("2", ">i2")).entry("x").bytes().array == [0, 1, 0, 2])
        #expect(message(zip("3")).contains("takes 6 bytes, its file has 4"))
        #expect(message(zip("1")).contains("takes 2 bytes, its file has 4"))
    }

    @Test func idxFilesAreAsLongAsTheySay() {
        let header: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 2]
        #expect(message(header + [1, 2]) == "opened")
        #expect(message(header + [1, 2, 3]).contains("takes 2 bytes, the file has 3"))
    }
}

private func handmade(_ members: (inout HandmadeZip) -> Void) -> [UInt8] {
    var zip = HandmadeZip()
    members(&zip)
    zip.finish()
    return zip.bytes
}

@Suite struct ZipFieldTests {
    /// The bytes with some replaced, from an offset behind the last such signature.
    private func patched(
        _ bytes: [UInt8], behind signature: UInt32, _ offset: Int, _ new: [UInt8]
    ) throws -> [UInt8] {
        let mark = little(signature)
        let at = try #require(
            (0...bytes.count - 4).last { Array(bytes[$0..<$0 + 4]) == mark })
        var result = bytes
        result.replaceSubrange(at + offset..<at + offset + new.count, with: new)
        return result
    }

    @Test func flagsAndCounts() throws {
        let zip = handmade { $0.add("x.npy", npy(line("2"), [1, 0, 2, 0])) }
        #expect(message(zip) == "opened")
        let encrypted = try patched(zip, behind: 0x0201_4B50, 8, [1, 0])
        #expect(message(encrypted).contains("x.npy is encrypted"))
        let split = try patched(zip, behind: 0x0605_4B50, 4, [1, 0, 1, 0])
        #expect(message(split).contains("in several volumes"))
        let many = try patched(zip, behind: 0x0606_4B50, 32, little(UInt64(1) << 40))
        #expect(message(many).contains("1099511627776 files in a directory of"))
    }

    /// 0 is what PyTorch writes after `set_crc32_options(False)`.
    @Test(arguments: [(nil, "opened"), (0, "opened"), (7, "its checksum (CRC-32) differs")])
    func checksumsOfPyTorch(_ crc: UInt32?, _ expected: String) {
        let pickle = tensorPickle(elements: 1, offset: 0, size: 1)
        let plain = handmade {
            $0.add("a/data.pkl", pickle, crc: crc)
            $0.add("a/data/0", [0, 0, 0, 0])
        }
        #expect(message(plain).contains(expected))
        let packed = handmade {
            $0.add(
                "a/data.pkl", deflated(pickle), method: 8, size: pickle.count,
                crc: crc ?? checksum(pickle))
            $0.add("a/data/0", [0, 0, 0, 0])
        }
        #expect(message(packed).contains(expected))
        let storage = handmade {
            $0.add("a/data.pkl", pickle)
            $0.add("a/data/0", [0, 0, 0, 0], crc: crc)
        }
        #expect(message(storage).contains(expected))
    }
}

@Suite struct PickleFieldTests {
    /// A file from before PyTorch 1.6 with this object and these storages.
    private func stream(
        _ object: [UInt8], protocol version: UInt16 = 1001, system: [UInt8] = ascii("}."),
        keys: [UInt8] = ascii("]."), data: [UInt8] = []
    ) -> [UInt8] {
        let magic: [UInt8] = [
            0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
        ]
        return magic + [0x80, 2, 0x4D] + little(version) + [0x2E, 0x80, 2] + system + object
            + [0x80, 2] + keys + data
    }

    private func text(_ value: String) -> [UInt8] {
        ascii("X") + little(UInt32(value.utf8.count)) + ascii(value)
    }

    private func value(_ pickled: [UInt8]) throws -> String? {
        try read(stream(ascii("}") + text("a") + pickled + ascii("s."))).metadataValue("a")
    }

    @Test func scalars() throws {
        #expect(try value([0x8A, 2, 0xD4, 0xFE]) == "-300")
        #expect(try value([0x8A, 2, 0x2C, 0x01]) == "300")
        #expect(try value([0x8A, 1, 0x80]) == "-128" && value([0x8A, 0]) == "0")
        #expect(try value(ascii("I01\n")) == "True" && value(ascii("I00\n")) == "False")
        #expect(try value(ascii("I1\n")) == "1" && value(ascii("L-7L\n")) == "-7")
        let twice = ascii("}(") + text("a") + ascii("K\u{1}") + text("a") + ascii("K\u{2}u.")
        #expect(try read(stream(twice)).metadata.map(\.value) == ["2"])
    }

    @Test func protocols() {
        #expect(message(stream(ascii("}."))) == "opened")
        #expect(message(stream(ascii("}."), protocol: 1000)).contains("is not 1001"))
    }

    @Test(arguments: [true, false]) func byteOrders(_ isLittle: Bool) throws {
        let system = ascii("}") + text("little_endian") + [isLittle ? 0x88 : 0x89] + ascii("s.")
        let bytes: [UInt8] = isLittle ? [0, 0, 0x80, 0x3F] : [0x3F, 0x80, 0, 0]
        let file = stream(
            tensorPickle(elements: 1, offset: 0, size: 1), system: system,
            keys: ascii("](") + text("0") + ascii("e."), data: little(Int64(1)) + bytes)
        #expect(try read(file).entries[0].bytes().array == [0, 0, 0x80, 0x3F])
    }

    /// A dictionary is made of the same million pairs, over and over.
    @Test func workIsBounded() {
        let pair = ascii("}}") + [0x86]
        let pairs =
            ascii("](") + [[UInt8]](repeating: pair, count: 100_000).flatMap { $0 } + ascii("eq")
            + [0]
        let call = ascii("ccollections\nOrderedDict\nh") + [0, 0x85] + ascii("R")
        let pickle = pairs + [[UInt8]](repeating: call, count: 100).flatMap { $0 } + ascii(".")
        #expect(message(stream(pickle)).contains("too many steps"))
    }
}
