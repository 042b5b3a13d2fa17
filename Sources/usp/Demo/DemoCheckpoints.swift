// The demo's models as files that every other command loads: sizes that shapes do not tell are kept
// beside the tensors.

import USPBase
import USPKit

extension DemoFolder {
    func save(_ name: String, _ model: any Model) throws(USPError) { try model.save(file(name)) }
}
