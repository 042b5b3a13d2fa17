// Whether two models have the same parameters.

import USPBase
import USPTensor

extension Parameters {
    /// A short text that two tables of the same names and values have in common.
    package var fingerprint: String { fingerprint(of: specs.count) }

    /// The same of the first `count` parameters.
    package func fingerprint(of count: Int) -> String {
        var print = Fingerprint()
        for (position, spec) in specs[..<count].enumerated() {
            let tensor = self[position]
            print.add(spec.name)
            withExtendedLifetime(tensor) {
                print.add(UnsafeBufferPointer(start: tensor.floats, count: tensor.count))
            }
        }
        return print.text
    }
}
