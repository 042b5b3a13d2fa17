// What a family's configuration is: plain values with a table of fields, from which files keep it,
// callers give it as text, and all reports print it.

import USPBase

/// The sizes and switches that make a model's function and its parameter table.
public protocol ModelConfiguration: Described, Equatable {
    /// The name in `Family.all` of the family that a model of this configuration belongs to.
    var family: String { get }
    /// The parameter table: names, shapes and initialisation of the original.
    ///
    /// - Throws: `.argument` for sizes that no model has
    func specs() throws(USPError) -> [ParameterSpec]
    /// - Throws: `.argument` for sizes that do not go together; each is in its range already.
    func checkTogether() throws(USPError)
    /// Texts of its file for readers who do not know ours.
    var plainMetadata: [(key: String, value: String)] { get }
}

extension ModelConfiguration {
    public var plainMetadata: [(key: String, value: String)] { [] }

    /// - Throws: `.argument` for sizes that no model has.
    public func check() throws(USPError) {
        try checkFields()
        try checkTogether()
    }

    /// The configuration of a published name, such as `SiT-B/2`, or the defaults of a family's.
    ///
    /// - Throws: `.argument` for an unknown name, with the nearest known one, and for one of
    ///   another family
    public init(named name: String) throws(USPError) {
        let found = try Family.configuration(named: name)
        guard let own = found as? Self else {
            let families = Family.all.filter { $0.defaults is Self }.map(\.name)
            throw USPError(
                .argument, "model \(name): expected a \(families.joined(separator: " or "))")
        }
        self = own
    }
}
