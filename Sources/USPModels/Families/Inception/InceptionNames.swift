// Names of the Inception network of published FID values: pytorch-fid's and torch-fidelity's files,
// which are alike; torchvision's own network is told apart and refused.

import USPBase
import USPFiles
import USPTensor

extension ModelKind {
    package static let inception = ModelKind("Inception network", [.inception])
}

extension Dialect {
    static let inception = Dialect(
        name: "pytorch-fid and torch-fidelity", anchors: ["Conv2d_1a_3x3.conv.weight"],
        matches: {
            $0.contains("Conv2d_1a_3x3.conv.weight")
                && $0.contains("Mixed_5b.branch1x1.conv.weight")
        },
        meaning: { name, _ in
            let parts = components(name)
            if parts[0] == "AuxLogits" {
                return .unsupported("torchvision's own Inception v3 (\(Inception.whichOne))")
            }
            if parts.last == "num_batches_tracked" { return .ignored("a counter of batches") }
            return ["Conv2d", "Mixed", "fc"].contains { parts[0].hasPrefix($0) }
                ? .parameter(name) : .unknown
        })
}

extension Inception {
    static let whichOne =
        "published FID values need the network of 2015-12-05 with 1008 outputs, "
        + "as in pt_inception-2015-12-05-6726825d.pth"
}
