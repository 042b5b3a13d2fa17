// Names of the Inception network of published FID values: pytorch-fid's and torch-fidelity's files,
// which are alike; torchvision's own network is told apart and refused.

import USPBase
import USPFiles
import USPTensor

extension Dialect {
    static let inception = Dialect(
        name: "pytorch-fid and torch-fidelity", family: .inception,
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

    /// Loads the network.
    ///
    /// - Throws: `.unsupported` for torchvision's own weights; else as `MaskedAutoencoder.load`
    package static func load(
        _ archive: Archive, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: Inception, report: LoadReport) {
        let file = try FileModel(archive, .inception, table: options.inference.table)
        if let shape = file.sources["fc.weight"]?.shape, shape.rank == 2, shape[0] != outputs {
            throw USPError(
                .unsupported, "\(file.path): an Inception with \(shape[0]) outputs; \(whichOne)")
        }
        let loaded = try file.load(specs(), options)
        return try locating(file.path) { () throws(USPError) in
            (try Inception(loaded.parameters), loaded.report)
        }
    }
}
