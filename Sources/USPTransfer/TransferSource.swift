// The model in the source's file, as far as a transfer cares.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// A transformer of any family, by names and shapes only.
struct TransferSource {
    let archive: Archive
    private(set) var file: FileModel
    let configuration: any TransformerConfiguration
    /// Fields that nothing tells and copying does not need: `heads`, `decoder_heads`.
    let untold: [String]

    init(_ archive: Archive, _ options: TransferOptions) throws(USPError) {
        self.archive = archive
        file = try FileModel(archive, table: options.table, ignoring: options.ignore)
        try file.expectReadable()
        // An encoder that goes on as a masked autoencoder has its decoder's sizes.
        let isMasked = file.kind == .visionTransformer
        let family = try isMasked ? Family.named("MAE") : Family.of(file)
        guard family.defaults is any TransformerConfiguration else {
            throw USPError(
                .unsupported,
                "\(archive.path): an \(file.kind.title); a transfer starts from a transformer")
        }
        var reading = options.source
        reading.needsHeads = options.relativePositions
        guard
            let configuration = try family.configuration(file, reading)
                as? any TransformerConfiguration
        else { throw USPError(.internal, "\(archive.path): a transformer of no sizes") }
        self.configuration = configuration
        file = file.without(configuration.encoderPrefix)
        untold = file.untoldHeads(configuration, reading)
        try require(sizes.depth > 0, .format, "\(archive.path): no blocks in it")
        try expectShapes()
    }

    /// What a plan does rests on the source's own sizes.
    ///
    /// - Throws: `.shape` naming every array whose shape is not what those say
    private func expectShapes() throws(USPError) {
        let wrong = try configuration.specs().compactMap { spec -> String? in
            let name = plain(spec.name, configuration)
            guard let found = file.sources[name], !found.fits(spec.shape) else { return nil }
            return "\(name) is \(found.shape), expected \(spec.shape)"
        }
        try require(
            wrong.isEmpty, .shape, "\(archive.path): \(wrong.joined(separator: "; "))")
    }

    /// Factors of layer scale become those of the rows before them.
    mutating func foldLayerScale() throws(USPError) { file = try file.foldingLayerScale() }

    var sizes: TransformerSizes { configuration.transformer }
    var isModulated: Bool { configuration.isModulated }
}
