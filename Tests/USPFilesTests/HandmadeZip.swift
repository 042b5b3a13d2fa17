// Zip files written by hand: with lies about sizes and places, and with holes that take no disk.

import Glibc
import USPBase

func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// A zip64 file as pieces at their offsets; between them are zeros.
struct HandmadeZip {
    private(set) var pieces: [(offset: Int, bytes: [UInt8])] = []
    /// Where each member's content begins.
    private(set) var contents: [String: Int] = [:]
    private var end = 0
    private var count = 0
    private var directory: [UInt8] = []

    /// - hole: zeros after the content
    /// - size: what the directory says it is once unpacked; nil tells the truth
    /// - offset: where the directory says it begins; nil tells the truth
    /// - crc: the checksum that it claims; nil tells the truth of a content without hole
    mutating func add(
        _ name: String, _ content: [UInt8], hole: Int = 0, method: UInt16 = 0, size: Int? = nil,
        offset: Int? = nil, crc: UInt32? = nil
    ) {
        let stored = content.count + hole
        let sizes = little(UInt64(size ?? stored)) + little(UInt64(stored))
        let unknown = little(UInt32.max)
        let kind =
            little(UInt16(45)) + little(UInt16(0)) + little(method) + little(UInt32(0))
            + little(crc ?? checksum(content))
        let length = little(UInt16(name.utf8.count))
        let own =
            little(0x0403_4B50 as UInt32) + kind + unknown + unknown + length
            + little(UInt16(20)) + Array(name.utf8) + little(UInt16(1)) + little(UInt16(16)) + sizes
        directory +=
            little(0x0201_4B50 as UInt32) + little(UInt16(45)) + kind + unknown + unknown
            + length + little(UInt16(28)) + little(UInt16(0)) + little(UInt64(0)) + unknown
            + Array(name.utf8) + little(UInt16(1)) + little(UInt16(24)) + sizes
            + little(UInt64(offset ?? end))
        pieces.append((end, own + content))
        contents[name] = end + own.count
        end += own.count + stored
        count += 1
    }

    mutating func finish() {
        let (files, size) = (little(UInt64(count)), little(UInt64(directory.count)))
        let record =
            little(0x0606_4B50 as UInt32) + little(UInt64(44)) + little(UInt32(0x2D_002D))
            + little(UInt64(0)) + files + files + size + little(UInt64(end))
        let locator =
            little(0x0706_4B50 as UInt32) + little(UInt32(0))
            + little(UInt64(end + directory.count)) + little(UInt32(1))
        let last =
            little(0x0605_4B50 as UInt32) + little(UInt32(0)) + little(UInt32.max)
            + little(UInt64.max) + little(UInt16(0))
        pieces.append((end, directory + record + locator + last))
    }

    /// The whole file, of one without holes.
    var bytes: [UInt8] { pieces.flatMap(\.bytes) }

    func write(_ path: String) throws(USPError) {
        let file = open(path, O_RDWR | O_CREAT, 0o600)
        defer { close(file) }
        for (offset, bytes) in pieces
        where pwrite(file, bytes, bytes.count, off_t(offset)) != bytes.count {
            throw USPError(.io, path)
        }
    }
}

/// The pickle of one tensor of floats over storage 0.
func tensorPickle(elements: Int32, offset: Int32, size: Int32) -> [UInt8] {
    func text(_ value: String) -> [UInt8] {
        Array("X".utf8) + little(UInt32(value.utf8.count)) + Array(value.utf8)
    }
    func integer(_ value: Int32) -> [UInt8] { Array("J".utf8) + little(value) }
    func tuple(_ value: Int32) -> [UInt8] { Array("(".utf8) + integer(value) + Array("t".utf8) }
    return [0x80, 2] + Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
        + Array("ctorch\nFloatStorage\n".utf8) + text("0") + text("cpu") + integer(elements)
        + Array("tQ".utf8) + integer(offset) + tuple(size) + tuple(1) + [0x89, 0x4E]
        + Array("tR.".utf8)
}
