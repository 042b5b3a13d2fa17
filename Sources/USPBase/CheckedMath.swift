// Arithmetic on sizes that come from files and callers: an overflow is an error, never a trap.

package enum CheckedMath {
    package static func multiply(_ a: Int, _ b: Int, _ what: String) throws(USPError) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        guard !overflow else {
            throw USPError(.argument, "\(what): \(a) x \(b) does not fit in 64 bits")
        }
        return product
    }

    package static func add(_ a: Int, _ b: Int, _ what: String) throws(USPError) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard !overflow else {
            throw USPError(.argument, "\(what): \(a) + \(b) does not fit in 64 bits")
        }
        return sum
    }

    /// The value as `Int`, if it fits.
    package static func int<Source: BinaryInteger>(
        _ value: Source, _ what: String
    ) throws(USPError) -> Int {
        guard let result = Int(exactly: value) else {
            throw USPError(.argument, "\(what): \(value) does not fit in 64 bits")
        }
        return result
    }
}
