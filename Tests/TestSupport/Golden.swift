// The golden tensors of Tests/Golden, read without the library's own readers.

import Foundation
import USPBase
import USPTensor

/// One golden case: its tensors by key, and its line of the manifest.
package struct GoldenCase {
    package let floats: [String: (shape: [Int], values: [Float])]
    package let integers: [String: [Int]]
    package let bytes: [String: (shape: [Int], values: [UInt8])]
    package let line: [String: Any]

    /// The case of this name, such as `operations/linear_none`; parameters of its `params` file are
    /// included under `param.`, unless the case has values of its own.
    package init(_ name: String) throws {
        let manifest = try goldenManifest()
        guard let line = manifest[name] as? [String: Any], let file = line["file"] as? String else {
            throw USPError(.io, "no golden case \(name)")
        }
        var (floats, integers, bytes) = try readSafetensors(file)
        if let params = line["params"] as? String {
            let dropped = line["params_without"] as? [String] ?? []
            for (key, value) in try readSafetensors(params).floats
            where floats["param.\(key)"] == nil && !dropped.contains(where: key.contains) {
                floats["param.\(key)"] = value
            }
        }
        self.floats = floats
        self.integers = integers
        self.bytes = bytes
        self.line = line
    }

    /// The file of the case's parameters.
    package func paramsFile() throws -> String {
        guard let file = line["params"] as? String else {
            throw USPError(.io, "the golden case has no parameters")
        }
        return goldenFolder.appending(path: file).path(percentEncoded: false)
    }

    package var config: [String: Any] { line["config"] as? [String: Any] ?? [:] }

    package func tensor(_ key: String) throws -> Tensor {
        guard let found = floats[key] else { throw USPError(.io, "the golden case lacks \(key)") }
        return try Tensor(Shape(found.shape), found.values)
    }

    package func values(_ key: String) throws -> [Float] {
        guard let found = floats[key] else { throw USPError(.io, "the golden case lacks \(key)") }
        return found.values
    }

    package func indices(_ key: String) throws -> [Int] {
        guard let found = integers[key] else { throw USPError(.io, "the golden case lacks \(key)") }
        return found
    }

    /// What the case keeps of a result, `KIND.NAME` or every N-th element as `KIND_everyN.NAME`,
    /// and the same elements of `actual`; nil where it keeps neither.
    package func kept(
        _ actual: [Float], _ kind: String, _ name: String
    ) -> (actual: [Float], expected: [Float])? {
        if let whole = floats["\(kind).\(name)"] { return (actual, whole.values) }
        for step in [13, 61] {
            guard let sample = floats["\(kind)_every\(step).\(name)"] else { continue }
            return (stride(from: 0, to: actual.count, by: step).map { actual[$0] }, sample.values)
        }
        return nil
    }

    /// The relative error of a result against what the case keeps of it.
    package func error(
        _ actual: [Float], _ name: String, kind: String = "out"
    ) throws -> Double {
        guard let (some, expected) = kept(actual, kind, name) else {
            throw USPError(.io, "the golden case lacks \(kind).\(name)")
        }
        return relativeError(some, expected)
    }

    /// Keys after a prefix: `names("param.")`.
    package func names(_ prefix: String) -> [String] {
        floats.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            .sorted()
    }
}

/// Tests/Golden, found from this file.
package let goldenFolder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Golden")

private func goldenManifest() throws -> [String: Any] {
    let data = try Data(contentsOf: goldenFolder.appending(path: "MANIFEST.json"))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
}

private func readSafetensors(
    _ file: String
) throws -> (
    floats: [String: (shape: [Int], values: [Float])], integers: [String: [Int]],
    bytes: [String: (shape: [Int], values: [UInt8])]
) {
    let data = [UInt8](try Data(contentsOf: goldenFolder.appending(path: file)))
    let length = (0..<8).reduce(0) { $0 | Int(data[$1]) << (8 * $1) }
    let header = try JSONSerialization.jsonObject(with: Data(data[8..<8 + length]))
    var floats: [String: (shape: [Int], values: [Float])] = [:]
    var integers: [String: [Int]] = [:]
    var images: [String: (shape: [Int], values: [UInt8])] = [:]
    for (key, value) in header as? [String: Any] ?? [:] {
        guard let entry = value as? [String: Any], let type = entry["dtype"] as? String,
            let shape = entry["shape"] as? [Int], let range = entry["data_offsets"] as? [Int]
        else { continue }
        let bytes = Array(data[8 + length + range[0]..<8 + length + range[1]])
        switch type {
        case "F32": floats[key] = (shape, elements(bytes, Float.self))
        case "F16": floats[key] = (shape, elements(bytes, UInt16.self).map(floatFromHalf))
        case "F64": floats[key] = (shape, elements(bytes, Double.self).map { Float($0) })
        case "I64": integers[key] = elements(bytes, Int64.self).map { Int($0) }
        case "U8": images[key] = (shape, bytes)
        case "I32": integers[key] = elements(bytes, Int32.self).map { Int($0) }
        default: continue
        }
    }
    return (floats, integers, images)
}

private func elements<Element: BitwiseCopyable>(_ bytes: [UInt8], _: Element.Type) -> [Element] {
    bytes.withUnsafeBytes { raw in
        (0..<raw.count / MemoryLayout<Element>.stride).map {
            raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
        }
    }
}

/// IEEE binary16 to f32.
private func floatFromHalf(_ bits: UInt16) -> Float {
    let sign: Float = bits >> 15 == 0 ? 1 : -1
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
        return sign * (1 + fraction / 1024)
            * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
}
