// Shapes, and the legend of the letters that all documentation uses.
//
//   B batch   C channels   H height   W width   T tokens   D width of a token
//   N heads   K classes    L layers   S kept tokens        P patch side

/// The extents of a row-major tensor, outermost first.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
    public let extents: [Int]

    public init(_ extents: [Int]) { self.extents = extents }
    public init(arrayLiteral elements: Int...) { extents = elements }

    @inlinable public var rank: Int { extents.count }

    /// Product of the extents. Shapes that come from outside pass `checked(_:)` first.
    @inlinable public var count: Int { extents.reduce(1, &*) }

    @inlinable public subscript(axis: Int) -> Int {
        extents[axis < 0 ? extents.count + axis : axis]
    }

    /// All extents but the last, multiplied: the rows of a matrix view.
    @inlinable package var rows: Int { extents.dropLast().reduce(1, &*) }

    public var description: String {
        "[" + extents.map(String.init).joined(separator: ", ") + "]"
    }

    /// The shape, once its extents are known to be non-negative and its byte size to fit.
    package static func checked(
        _ extents: [Int], dtype: DType = .float32, _ what: String = "shape"
    ) throws(USPError) -> Shape {
        var bytes = dtype.size
        for extent in extents {
            guard extent >= 0 else {
                throw USPError(.shape, "\(what): \(Shape(extents)) has a negative extent")
            }
            bytes = try CheckedMath.multiply(bytes, extent, what)
        }
        return Shape(extents)
    }
}
