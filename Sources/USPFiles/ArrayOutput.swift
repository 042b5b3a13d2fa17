// One array on its way into a file: what it is called and a way to get its bytes when their turn
// comes, so that large files are written from little memory.

import USPBase

/// An array to be written.
package struct ArrayOutput {
    package let name: String
    package let dtype: DType
    package let shape: Shape
    private let produce: (AtomicFile) throws(USPError) -> Void

    /// - produce: appends exactly the row-major little-endian bytes to the file; called once.
    package init(
        _ name: String, _ dtype: DType, _ shape: Shape,
        produce: @escaping (AtomicFile) throws(USPError) -> Void
    ) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.produce = produce
    }

    /// Bytes that are there already.
    package init(_ name: String, _ dtype: DType, _ shape: Shape, bytes: ByteView) {
        self.init(name, dtype, shape) { (file) throws(USPError) in try file.write(bytes) }
    }

    /// An entry of another file, as it is.
    package init(_ entry: ArchiveEntry) {
        self.init(entry.name, entry.dtype, entry.shape) { (file) throws(USPError) in
            try file.write(try entry.bytes())
        }
    }

    /// Arrays of one type, one after another: their rows stacked, or one in another shape of as
    /// many elements.
    package init(
        _ name: String, _ shape: Shape, stacking parts: [ArrayOutput]
    ) throws(USPError) {
        let dtype = parts.first?.dtype ?? .float32
        try require(
            parts.allSatisfy { $0.dtype == dtype }
                && parts.reduce(0) { $0 + $1.shape.count } == shape.count, .shape,
            "\(name): \(parts.count) arrays do not make up \(dtype.name) \(shape)")
        self.init(name, dtype, shape) { (file) throws(USPError) in
            for part in parts { try part.produce(file) }
        }
    }

    package var byteCount: Int { shape.count * dtype.size }

    /// The same array under another name.
    package func renamed(_ name: String) -> ArrayOutput {
        ArrayOutput(name, dtype, shape, produce: produce)
    }

    /// Appends the array, and checks that it was as long as its shape says.
    func write(to file: AtomicFile) throws(USPError) {
        let start = file.position
        try produce(file)
        try require(
            file.position - start == byteCount, .internal,
            "\(name): \(file.position - start) bytes written, \(byteCount) announced")
    }
}
