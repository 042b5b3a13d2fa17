// What we write we read back; files appear complete or not at all.

import Glibc
import Testing
import USPBase
import USPFiles

private func everyType() throws -> [ArrayOutput] {
    var outputs: [ArrayOutput] = []
    for (index, dtype) in DType.allCases.enumerated() {
        let bytes = (0..<6 * dtype.size).map { UInt8(truncatingIfNeeded: $0 * 7 + index) }
        outputs.append(
            ArrayOutput("layer.\(dtype.name)", dtype, [2, 3], bytes: try ByteBuffer(bytes).view))
    }
    outputs.append(ArrayOutput("empty", .float32, [0, 4], bytes: try ByteBuffer([]).view))
    outputs.append(ArrayOutput("scalar", .int64, [], bytes: try ByteBuffer([UInt8](1...8)).view))
    return outputs
}

private func expectSame(_ archive: Archive, _ outputs: [ArrayOutput]) throws {
    let found = try contents(archive)
    #expect(found.count == outputs.count)
    for output in outputs {
        #expect(found[output.name]?.dtype == output.dtype)
        #expect(found[output.name]?.shape == output.shape)
    }
}

@Test func safetensorsRoundTrip() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("a.bin")
    let outputs = try everyType()
    try Safetensors.write(path, outputs, metadata: [("format", "pt"), ("note", "\"caf\u{e9}\"\n")])
    let archive = try Archive.open(path)
    #expect(archive.format == .safetensors)
    #expect(archive.metadataValue("note") == "\"caf\u{e9}\"\n")
    try expectSame(archive, outputs)
    for entry in archive.entries {
        let plain = try entry.plainBytes
        #expect(plain?.isAligned(to: entry.dtype.size) == true)
    }
    let again = scratch.file("b.bin")
    try Safetensors.write(
        again, archive.entries.map { ArrayOutput($0) }, metadata: archive.metadata)
    #expect(try readFile(path) == readFile(again))
    #expect(scratch.names == ["a.bin", "b.bin"])
}

@Test func torchRoundTrip() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("0400000.pt")
    let outputs = try everyType()
    let table = TorchArchive.table(outputs)
    let root = TorchObject.dictionary([
        ("model", table), ("ema", table), ("steps", .integer(400_000)), ("big", .integer(1 << 40)),
        ("lr", .number(1e-4)), ("name", .text("DiT-B/2")), ("done", .bool(true)), ("opt", .none),
    ])
    try TorchArchive.write(path, root: root, outputs)
    let archive = try Archive.open(path)
    #expect(archive.format == .torch)
    #expect(archive.tables.map(\.name) == ["model", "ema"])
    let found = try contents(archive)
    for output in outputs {
        #expect(found["model.\(output.name)"]?.shape == output.shape)
        #expect(found["ema.\(output.name)"] == found["model.\(output.name)"])
    }
    #expect(archive.metadataValue("steps") == "400000")
    #expect(archive.metadataValue("lr") == "0.0001")
}

@Test func npzRoundTrip() throws {
    let scratch = ScratchFolder()
    let outputs = try everyType().filter { $0.dtype != .bfloat16 }
    try Npz.write(scratch.file("a.npz"), outputs)
    try expectSame(try Archive.open(scratch.file("a.npz")), outputs)
    try Npy.write(scratch.file("a.npy"), outputs[0])
    #expect(try Archive.open(scratch.file("a.npy")).entry("array").shape == [2, 3])
    #expect(throws: USPError.self) { try Npz.write(scratch.file("b.npz"), everyType()) }
    #expect(scratch.names == ["a.npy", "a.npz"])
}

@Test func failedWritesLeaveNothing() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("a.safetensors")
    try writeFile(path, [1, 2, 3])
    let failing = ArrayOutput("x", .float32, [4]) { (file) throws(USPError) in
        try file.write([1, 2, 3, 4])
        throw USPError(.format, "no more")
    }
    #expect(throws: USPError(.format, "no more")) { try Safetensors.write(path, [failing]) }
    let short = ArrayOutput("x", .float32, [4]) { (file) throws(USPError) in try file.write([1]) }
    #expect(throws: USPError.self) { try TorchArchive.write(path, [short]) }
    let twice = try output("x", [1], [1])
    #expect(throws: USPError.self) { try Safetensors.write(path, [twice, twice]) }
    #expect(try readFile(path) == [1, 2, 3])
    #expect(scratch.names == ["a.safetensors"])
    #expect(throws: USPError.self) { try AtomicFile("/nowhere/at/all") }
    #expect(throws: USPError.self) { try AtomicFile("/dev/null") }
}

@Test func aFileHasNoNameBeforeItIsComplete() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("a.bin")
    for text in ["first", "second"] {
        let before = scratch.names
        let file = try AtomicFile(path)
        try file.write(text)
        #expect(scratch.names == before)
        try file.commit()
        #expect(scratch.names == ["a.bin"])
        #expect(try readFile(path) == Array(text.utf8))
    }
}

@Test func largeCopiesKeepBytesInEveryFormat() throws {
    let scratch = ScratchFolder()
    let values = (0..<3_000_001).map { Float($0) * 0.5 }
    try Safetensors.write(scratch.file("a"), [try output("x", [3_000_001], values)])
    let source = try Archive.open(scratch.file("a"))
    try TorchArchive.write(scratch.file("b.pt"), source.entries.map { ArrayOutput($0) })
    try Npz.write(
        scratch.file("c.npz"),
        try Archive.open(scratch.file("b.pt")).entries.map { ArrayOutput($0) })
    try Safetensors.write(
        scratch.file("d"), try Archive.open(scratch.file("c.npz")).entries.map { ArrayOutput($0) })
    #expect(try readFile(scratch.file("a")) == readFile(scratch.file("d")))
}

/// A file of 5 GiB that takes no disk: only its ends are written.
@Test func offsetsBeyondFourGigabytes() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("big")
    let count = 5 << 30
    let header =
        #"{"a":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]},"#
        + #""b":{"dtype":"U8","shape":[3],"data_offsets":[\#(count),\#(count + 3)]}}"#
    let file = open(path, O_RDWR | O_CREAT, 0o600)
    let start = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8)
    #expect(pwrite(file, start, start.count, 0) == start.count)
    #expect(pwrite(file, [7, 8, 9] as [UInt8], 3, off_t(start.count + count)) == 3)
    close(file)
    let archive = try Archive.open(path)
    #expect(try EntryContent(archive.entry("b")).bytes == [7, 8, 9])
    #expect(try archive.entry("a").count == count)
}

/// A PyTorch archive of 4.8 GB that takes no disk: sizes and places in zip64 fields, a tensor at
/// the end of a storage of 1.2 billion floats.
@Test func archivesBeyondFourGigabytes() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("big.pt")
    var zip = HandmadeZip()
    zip.add(
        "big/data.pkl", tensorPickle(elements: 1_200_000_000, offset: 1_100_000_000, size: 3))
    zip.add("big/data/0", [], hole: 4_800_000_000)
    zip.add("big/version", Array("3\n".utf8))
    zip.finish()
    try zip.write(path)
    let file = open(path, O_WRONLY)
    let place = try #require(zip.contents["big/data/0"]) + 4_400_000_000
    let values: [Float] = [1, -2, 3]
    #expect(pwrite(file, values, 12, off_t(place)) == 12)
    close(file)
    let archive = try Archive.open(path)
    let content = try EntryContent(archive.entry("tensor"))
    #expect(content.shape == [3] && content.bytes == values.withUnsafeBytes { Array($0) })
}

/// Written with checksums, read back, and damaged one bit at a time.
@Test func checksumsOfSafetensors() throws {
    let scratch = ScratchFolder()
    let path = scratch.file("a.safetensors")
    let outputs = [
        try output("a", [3], [1, 2, 3]), try output("none", [0], []), try output("b", [2], [4, 5]),
    ]
    try Safetensors.write(path, outputs, metadata: [(key: "x", value: "y")], checksums: true)
    let bytes = try readFile(path)
    let archive = try Archive.open(path)
    #expect(archive.metadata.map(\.key) == ["x"])
    #expect(try contents(archive).count == 3)
    for bit in 0..<20 * 8 {
        var damaged = bytes
        damaged[bytes.count - 20 + bit / 8] ^= 1 << UInt8(bit % 8)
        let entries = try Archive.read(try ByteBuffer(damaged).view, path: "x").entries
        let failures = entries.filter { entry in (try? entry.bytes()) == nil }
        #expect(failures.map(\.name) == [bit < 12 * 8 ? "a" : "b"])
    }
    // Carried on without them, nothing stale is left.
    try Safetensors.write(
        scratch.file("b"), archive.entries.map { ArrayOutput($0) }, metadata: archive.metadata)
    #expect(!String(decoding: try readFile(scratch.file("b")), as: UTF8.self).contains("crc32"))
}

/// CRC-32C's check value, masked as TFRecord does.
@Test func recordsHaveCastagnolisChecksum() {
    #expect(EventFile.maskedChecksum(Array("123456789".utf8)) == 0xC78A_B0E5)
}
