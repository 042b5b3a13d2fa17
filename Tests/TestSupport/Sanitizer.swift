// Tests under a sanitizer: scripts/sanitize.sh tells which.

import Foundation

package enum Sanitizer {
    /// address, undefined or thread; nil where there is none.
    package static let name = ProcessInfo.processInfo.environment["USP_SANITIZER"]

    /// How many times as long as elsewhere something may take.
    package static var slowness: Int { name == nil ? 1 : 20 }
}
