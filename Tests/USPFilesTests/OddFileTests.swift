// Files with something in them that is not read: it is named, and everything else is read.

import TestSupport
import Testing
import USPBase
import USPFiles

private let odd = "\(goldenFolder)/odd"

private func reasons(_ archive: Archive) -> [String: String] {
    Dictionary(archive.skipped.map { ($0.name, $0.reason) }) { first, _ in first }
}

@Suite struct Float8Tests {
    /// Against PyTorch's own conversion of all 256 bytes; a NaN is any NaN.
    @Test(arguments: ["float8.safetensors", "float8.pt"])
    func everyByte(_ name: String) throws {
        let archive = try Archive.open("\(odd)/\(name)")
        let expected = try Archive.open("\(odd)/float8.expected.safetensors")
        let names = [
            ("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"),
            ("float8_e4m3fnuz", "F8_E4M3FNUZ"), ("float8_e5m2fnuz", "F8_E5M2FNUZ"),
        ]
        let entries = archive.entries
        #expect(entries.count == (name.hasSuffix(".pt") ? 8 : 2) && archive.skipped.isEmpty)
        for entry in entries {
            #expect(entry.dtype == .float16 && entry.shape == [16, 16])
            let type = try #require(
                names.last { entry.name.hasPrefix($0.0) })
            #expect(entry.typeText == "f16 (\(type.1) in the file)")
            let words = { (entry: ArchiveEntry) in
                try EntryContent(entry).bytes.withUnsafeBytes {
                    Array($0.bindMemory(to: UInt16.self))
                }
            }
            let (found, wanted) = (try words(entry), try words(try expected.entry(entry.name)))
            #expect(found.count == 256 && wanted.count == 256)
            for (a, b) in zip(found, wanted) {
                let isNaN = b & 0x7C00 == 0x7C00 && b & 0x3FF != 0
                #expect(isNaN ? a & 0x7C00 == 0x7C00 && a & 0x3FF != 0 : a == b)
            }
        }
    }

    @Test func sizesAreChecked() throws {
        let header = #"{"a":{"dtype":"F8_E5M2","shape":[3],"data_offsets":[0,6]}}"#
        let bytes = little(UInt64(header.utf8.count)) + Array(header.utf8) + [0, 0, 0, 0, 0, 0]
        let error = #expect(throws: USPError.self) {
            try Archive.read(try ByteBuffer(bytes).view, path: "x")
        }
        #expect(error?.message == "x: a: F8_E5M2 [3] takes 3 bytes, the file gives it 6")
    }
}

@Suite struct NumPyInPyTorchTests {
    @Test(arguments: ["numpy_2.pt", "numpy_4.pt", "numpy_5.pt", "numpy_legacy.pt"])
    func arraysAreRead(_ name: String) throws {
        let archive = try Archive.open("\(odd)/\(name)")
        let model = try archive.table("model")
        let expected = try Archive.open("\(odd)/numpy.expected.safetensors")
        #expect(Set(model.entries.map(\.name)) == Set(expected.entries.map(\.name)))
        for entry in expected.entries {
            let found = try #require(model[entry.name])
            #expect(try EntryContent(found) == EntryContent(entry), "\(entry.name)")
        }
        #expect(archive.metadataValue("best") == "2.5")
        #expect(archive.metadataValue("numbers.count") == "-3")
        #expect(archive.metadataValue("numbers.big_number") == "0.5")
        #expect(archive.metadataValue("numbers.flag") == "True")
        let left = reasons(archive)
        #expect(
            left["model.complex"] == "a NumPy array, element type complex64 is not read, [2, 3]")
        #expect(left["model.words"]?.contains("element type uint16") == true)
        #expect(left["model.objects"]?.contains("Python objects") == true)
        #expect(left["model.texts"]?.contains("text (<U2)") == true)
        #expect(left["model.records"]?.contains("raw bytes (|V8)") == true)
        #expect(archive.unread(in: model).count == 5)
    }
}

@Suite struct OddTensorTests {
    private static let files =
        ["tensors.pt"] + [1, 2, 4, 5].map { "tensors_legacy_\($0).pt" }

    @Test(arguments: files) func theOthersAreRead(_ name: String) throws {
        let archive = try Archive.open("\(odd)/\(name)")
        let expected = try Archive.open("\(odd)/tensors.expected.safetensors")
        #expect(archive.entries.map(\.name) == ["first", "last"])
        #expect(try contents(archive) == contents(expected))
        let left = reasons(archive)
        #expect(left.count == 11)
        #expect(left["complex"]?.contains("ComplexFloatStorage is not read, [2, 2]") == true)
        #expect(left["half_complex"]?.contains("torch.complex32") == true)
        #expect(left["quantised"] == "a quantised tensor is not read")
        #expect(left["quantised_32"] == "a quantised tensor is not read")
        #expect(left["sparse"] == "a sparse tensor is not read")
        #expect(left["rows"] == "a sparse tensor is not read")
        #expect(left["nested"] == "a nested tensor is not read")
        #expect(left["meta"] == "a tensor without content (meta) is not read")
        #expect(left["nine_axes"] == "9 axes, more than 8, are not read")
        #expect(left["repeated"]?.contains("more than its file has") == true)
        #expect(left["words"] == "element type torch.uint16 is not read, [3]")
        #expect(archive.skipped.allSatisfy { $0.isArray })
    }

    @Test func modulesAreToldInWords() throws {
        let error = #expect(throws: USPError.self) { try Archive.open("\(odd)/module.pt") }
        #expect(error?.message.contains("holds a whole ") == true)
        #expect(error?.message.contains("Holder: a pickled module is a program") == true)
        #expect(error?.message.contains("state_dict()") == true)
        let archive = try Archive.open("\(odd)/module_inside.pt")
        #expect(archive.entries.map(\.name) == ["weight"])
        #expect(archive.skipped.map(\.name) == ["net"] && archive.skipped[0].isArray)
        #expect(reasons(archive)["net"]?.contains("state_dict()") == true)
    }

    @Test func everyTypeOfNumPyIsNamed() throws {
        let archive = try Archive.open("\(odd)/types.npz")
        #expect(archive.entries.map(\.name) == ["read"])
        let words = [
            "u2": "uint16", "u4": "uint32", "u8": "uint64", "c8": "complex64", "c16": "complex128",
            "f16": "float128", "text": "text (<U2)", "raw": "text (|S2)", "date": "dates (<M8[D])",
            "span": "spans of time (<m8[s])", "record": "a structured type",
            "objects": "Python objects (|O)", "void": "raw bytes (|V2)",
        ]
        let left = reasons(archive)
        #expect(Set(left.keys) == Set(words.keys))
        for (name, word) in words {
            #expect(left[name]?.contains(word) == true, "\(name): \(left[name] ?? "")")
        }
        #expect(left["c8"] == "element type complex64 is not read, [2, 3]")
    }

    @Test func missingChecksumsOfPyTorch() throws {
        #expect(try contents(try Archive.open("\(odd)/no_crc32.pt")).keys.sorted() == ["first"])
    }
}

/// Objects of a pickle, in an old stream.
private struct Pickled {
    var bytes: [UInt8] = []

    static func text(_ value: String) -> [UInt8] {
        Array("X".utf8) + little(UInt32(value.utf8.count)) + Array(value.utf8)
    }

    /// A file of `{model: {w: 1 float}, NAME: object}`.
    static func file(_ name: String, _ object: [UInt8]) throws -> Archive {
        let magic: [UInt8] = [
            0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
            0x80, 2, 0x4D, 0xE9, 3, 0x2E, 0x80, 2, 0x7D, 0x2E,
        ]
        let tensor = tensorPickle(elements: 1, offset: 0, size: 1).dropFirst(2).dropLast()
        let model = Array("}".utf8) + text("w") + tensor + Array("s".utf8)
        let root = Array("}".utf8) + text(name) + object + Array("s".utf8) + text("model") + model
        let keys = [0x80, 2] + Array("](".utf8) + text("0") + Array("e.".utf8)
        let data = little(Int64(1)) + [0, 0, 0x80, 0x3F]
        let file = magic + [0x80, 2] + root + Array("s.".utf8) + keys + data
        let archive = try Archive.read(try ByteBuffer(file).view, path: "x")
        #expect(try archive.entry("model.w").bytes().array == [0, 0, 0x80, 0x3F])
        return archive
    }

    static func list(_ elements: [UInt8]) -> [UInt8] {
        Array("](".utf8) + elements + Array("e".utf8)
    }
}

@Suite struct LongListTests {
    @Test func aMillionNumbers() throws {
        let numbers = (0..<1_300_000).flatMap { (index: Int) -> [UInt8] in
            [0x4D] + little(UInt16(index & 0xFFFF))
        }
        let archive = try Pickled.file("order", Pickled.list(numbers))
        #expect(archive.metadataValue("order") == "1300000 values" && archive.skipped.isEmpty)
    }

    @Test func sixMillionNumbers() throws {
        let numbers = [UInt8](repeating: 0x4E, count: 6_000_000)
        #expect(try Pickled.file("losses", Pickled.list(numbers)).skipped.isEmpty)
    }

    @Test func manySmallDictionaries() throws {
        let one = Array("}".utf8) + Pickled.text("loss") + [0x4B, 1] + Array("s".utf8)
        let many = [[UInt8]](repeating: one, count: 200_000).flatMap { $0 }
        let archive = try Pickled.file("history", Pickled.list(many))
        #expect(archive.metadataValue("history") == "200000 values" && archive.skipped.isEmpty)
    }

    @Test func manyObjectsAreCounted() throws {
        let one = Array("cfoo\nBar\n)R".utf8)
        let archive = try Pickled.file(
            "things",
            Pickled.list([[UInt8]](repeating: one, count: 5000).flatMap { $0 }))
        #expect(archive.skipped.count == 1001)
        #expect(archive.skipped.last?.reason == "4000 more are not read")
        #expect(archive.unread(in: try archive.table("model")).isEmpty)
    }

    /// Deep lists, of plain values and around a tensor.
    @Test(arguments: [40, 5000]) func deepLists(_ depth: Int) throws {
        func nested(_ core: [UInt8]) -> [UInt8] {
            [UInt8](repeating: 0x5D, count: depth) + core
                + [UInt8](repeating: UInt8(ascii: "a"), count: depth)
        }
        #expect(try Pickled.file("config", nested([0x4B, 1])).skipped.isEmpty)
        let tensor = tensorPickle(elements: 1, offset: 0, size: 1).dropFirst(2).dropLast()
        let archive = try Pickled.file("config", nested(Array(tensor)))
        #expect(archive.skipped.count == 1 && archive.skipped[0].table == "config")
        #expect(archive.skipped[0].reason.contains("nested too deeply"))
    }

    /// 2 to the 40 tensors, if they were written out.
    @Test func listsThatShareEachOther() throws {
        let tensor = tensorPickle(elements: 1, offset: 0, size: 1).dropFirst(2).dropLast()
        var bytes = Pickled.list(Array(tensor)) + Array("q".utf8) + [0]
        for index in 0..<25 as Range<UInt8> {
            bytes +=
                Array("0](h".utf8) + [index] + Array("h".utf8) + [index] + Array("eq".utf8)
                + [index + 1]
        }
        let clock = ContinuousClock()
        let time = try clock.measure {
            let archive = try Pickled.file("shared", bytes)
            #expect(
                archive.skipped.contains { $0.reason.contains("nested too deeply or too often") })
        }
        #expect(time < .seconds(2) * Sanitizer.slowness)
    }

    /// A name in dots, and the same one nested.
    @Test func twoArraysOfOneName() throws {
        let tensor = tensorPickle(elements: 1, offset: 0, size: 1).dropFirst(2).dropLast()
        let inner = Array("}".utf8) + Pickled.text("b") + tensor + Array("s".utf8)
        let both =
            Array("}".utf8) + Pickled.text("a.b") + tensor + Array("s".utf8) + Pickled.text("a")
            + inner + Array("s".utf8)
        let archive = try Pickled.file("twice", both)
        #expect(archive.skipped.map(\.reason) == ["a second array of this name is not read"])
    }
}
