// TensorBoard's event files: records as TFRecord frames them, each a protobuf `Event`
// (tensorflow/core/lib/io/record_writer.h, tensorboard/compat/proto/event.proto and summary.proto).

import Glibc
import USPBase

/// A file of scalars and pictures over steps that TensorBoard reads while it grows.
package final class EventFile {
    package let path: String
    private let descriptor: Int32

    /// A new file in a folder, which is made; earlier files of it stay, as TensorBoard joins them.
    ///
    /// - first: the next step; of earlier files what is at it or behind is not shown any more
    /// - Throws: `.io`
    package init(folder: String, first: Int) throws(USPError) {
        try FolderListing.make(folder)
        var host = [CChar](repeating: 0, count: 256)
        if gethostname(&host, host.count - 1) != 0 { host[0] = 0 }
        let name = host.withUnsafeBufferPointer { text in
            text.baseAddress.map { String(cString: $0) } ?? ""
        }
        let stem = "\(folder)/events.out.tfevents.\(Int(EventFile.now)).\(name).\(getpid())"
        (path, descriptor) = try EventFile.create(stem)
        // The version comes first.
        try write(event(step: nil, [.text(3, "brain.Event:2")]))
        // SessionLog.START
        if first > 1 { try write(event(step: first, [.message(7, [.integer(1, 1)])])) }
    }

    deinit { close(descriptor) }

    private static func create(_ stem: String) throws(USPError) -> (String, Int32) {
        for number in 0..<1000 {
            let path = "\(stem).\(number)"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666)
            if descriptor >= 0 { return (path, descriptor) }
            guard errno == EEXIST else { break }
        }
        throw USPError(.io, "\(stem).0: cannot create: \(String(cString: strerror(errno)))")
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// - Throws: `.io`
    package func add(step: Int, _ values: [(tag: String, value: Double)]) throws(USPError) {
        let summary = values.map {
            ProtobufField.message(1, [.text(1, $0.tag), .float(2, Float($0.value))])
        }
        try write(event(step: step, [.message(5, summary)]))
    }

    /// - Throws: `.io`
    package func add(step: Int, _ tag: String, _ picture: PixelImage) throws(USPError) {
        let image: [ProtobufField] = [
            .integer(1, picture.height), .integer(2, picture.width), .integer(3, picture.channels),
            .bytes(4, try PNG.encode(picture)),
        ]
        try write(
            event(step: step, [.message(5, [.message(1, [.text(1, tag), .message(4, image)])])]))
    }

    private func event(step: Int?, _ fields: [ProtobufField]) -> [UInt8] {
        let head: [ProtobufField] =
            [.double(1, EventFile.now)] + (step.map { [.integer(2, $0)] } ?? [])
        return (head + fields).flatMap(\.encoded)
    }

    /// Length, its checksum, the data, their checksum.
    private func write(_ data: [UInt8]) throws(USPError) {
        let length = littleEndian(UInt64(data.count))
        let frame =
            length + littleEndian(EventFile.maskedChecksum(length)) + data
            + littleEndian(EventFile.maskedChecksum(data))
        guard Glibc.write(descriptor, frame, frame.count) == frame.count else {
            throw USPError(.io, "\(path): cannot write: \(String(cString: strerror(errno)))")
        }
    }

    /// CRC-32C, rotated and moved, so that checksums of data with checksums in them are no trap.
    package static func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
        var value = ~UInt32(0)
        for byte in bytes {
            value = table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ value >> 8
        }
        value = ~value
        return (value >> 15 | value << 17) &+ 0xA282_EAD8
    }

    /// Of Castagnoli's polynomial, reversed.
    private static let table: [UInt32] = (0..<256).map { byte in
        var value = UInt32(byte)
        for _ in 0..<8 {
            let isOdd = value & 1 == 1
            value >>= 1
            if isOdd { value ^= 0x82F6_3B78 }
        }
        return value
    }
}

/// A field of a protobuf message, as it is written.
private enum ProtobufField {
    case integer(Int, Int)
    case double(Int, Double)
    case float(Int, Float)
    case text(Int, String)
    case bytes(Int, [UInt8])
    indirect case message(Int, [ProtobufField])

    var encoded: [UInt8] {
        switch self {
        case .integer(let number, let value):
            varint(number << 3) + varint(value)
        case .double(let number, let value):
            varint(number << 3 | 1) + littleEndian(value.bitPattern)
        case .float(let number, let value):
            varint(number << 3 | 5) + littleEndian(value.bitPattern)
        case .text(let number, let value): delimited(number, Array(value.utf8))
        case .bytes(let number, let value): delimited(number, value)
        case .message(let number, let fields): delimited(number, fields.flatMap(\.encoded))
        }
    }

    private func delimited(_ number: Int, _ content: [UInt8]) -> [UInt8] {
        varint(number << 3 | 2) + varint(content.count) + content
    }

    private func varint(_ value: Int) -> [UInt8] {
        var (rest, result) = (UInt64(bitPattern: Int64(value)), [UInt8]())
        while rest >= 0x80 {
            result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return result + [UInt8(rest)]
    }
}
