// Writing PyTorch zip archives that `torch.load(weights_only=True)` opens.

import USPBase

/// The root object of a PyTorch file to be written. Arrays are numbers of outputs, so that several
/// tables can share one array.
package indirect enum TorchObject {
    case array(Int)
    case dictionary([(key: String, value: TorchObject)])
    case integer(Int)
    case number(Double)
    case text(String)
    case bool(Bool)
    case none
}

extension TorchArchive {
    /// The table of all outputs by their names.
    package static func table(_ outputs: [ArrayOutput]) -> TorchObject {
        .dictionary(outputs.enumerated().map { (key: $1.name, value: .array($0)) })
    }

    /// Writes the object and the arrays that it refers to, streaming, atomically.
    ///
    /// - root: nil is a flat state dictionary of all outputs
    /// - metadata: texts for our own reader, in a record of their own that PyTorch does not look at
    /// - Throws: `.io`, `.unsupported` for a description beyond 4 GiB
    package static func write(
        _ path: String, root: TorchObject? = nil, _ outputs: [ArrayOutput],
        metadata: [(key: String, value: String)] = []
    ) throws(USPError) {
        let file = try AtomicFile(path)
        var zip = ZipWriter(file)
        let top = stem(path)
        var pickle = PickleWriter(outputs)
        pickle.write(root ?? table(outputs))
        try zip.add("\(top)/data.pkl", pickle.finished)
        try zip.add("\(top)/byteorder", Array("little".utf8))
        for (index, output) in outputs.enumerated() {
            try zip.add("\(top)/data/\(index)", size: output.byteCount) { (file) throws(USPError) in
                try output.write(to: file)
            }
        }
        try zip.add("\(top)/version", Array("3\n".utf8))
        if !metadata.isEmpty {
            let texts = JSON.object(metadata.map { JSON.Member($0.key, .string($0.value)) })
            try zip.add("\(top)/\(metadataRecord)", Array(texts.compact.utf8))
        }
        try zip.finish()
        try file.commit()
    }

    /// The file's name without folder and ending, as PyTorch names the top folder.
    private static func stem(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? "archive"
        let stem = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
        return stem.isEmpty || stem.utf8.count > 200 ? "archive" : stem
    }
}

/// Protocol 2, without a memo.
private struct PickleWriter {
    private var bytes: [UInt8] = [0x80, 2]
    private let outputs: [ArrayOutput]

    init(_ outputs: [ArrayOutput]) { self.outputs = outputs }

    var finished: [UInt8] { bytes + [UInt8(ascii: ".")] }

    mutating func write(_ object: TorchObject) {
        switch object {
        case .array(let index): write(array: index)
        case .dictionary(let items):
            global("collections", "OrderedDict")
            code(")R(")
            for item in items {
                text(item.key)
                write(item.value)
            }
            code("u")
        case .integer(let value): integer(value)
        case .number(let value):
            code("G")
            bytes += littleEndian(value.bitPattern).reversed()
        case .text(let value): text(value)
        case .bool(let value): bytes.append(value ? 0x88 : 0x89)
        case .none: code("N")
        }
    }

    private mutating func write(array index: Int) {
        let output = outputs[index]
        var strides: [Int] = []
        var step = 1
        for extent in output.shape.extents.reversed() {
            strides.insert(step, at: 0)
            step *= max(extent, 1)
        }
        global("torch._utils", "_rebuild_tensor_v2")
        code("((")
        text("storage")
        global("torch", TorchTypes.storageName(output.dtype))
        text(String(index))
        text("cpu")
        integer(output.shape.count)
        code("tQK")
        bytes.append(0)
        tuple(output.shape.extents)
        tuple(strides)
        bytes.append(0x89)
        global("collections", "OrderedDict")
        code(")RtR")
    }

    private mutating func code(_ text: String) { bytes += Array(text.utf8) }

    private mutating func global(_ module: String, _ name: String) { code("c\(module)\n\(name)\n") }

    private mutating func text(_ value: String) {
        let utf8 = Array(value.utf8)
        code("X")
        bytes += littleEndian(UInt32(truncatingIfNeeded: utf8.count)) + utf8
    }

    private mutating func tuple(_ values: [Int]) {
        code("(")
        for value in values { integer(value) }
        code("t")
    }

    private mutating func integer(_ value: Int) {
        if let short = Int32(exactly: value) {
            code("J")
            bytes += littleEndian(short)
        } else {
            bytes += [0x8A, 8] + littleEndian(Int64(value))
        }
    }
}
