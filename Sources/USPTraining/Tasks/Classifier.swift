// ViT: cross entropy of a classifier, or of its head alone.

import USPBase
import USPData
import USPModels
import USPTensor

extension ViT: Trainable {
    package var layers: Int { configuration.depth }

    package func decays(_ spec: ParameterSpec) -> Bool { LayerDecay.decays(spec) }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> ViT {
        var sizes = configuration
        sizes.dropPath = options.dropPath
        let result = try ViT(sizes, parameters, options.arithmetic)
        result.recomputes = options.recompute
        return result
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        let logits: Tensor
        if options.headOnly && part.inputs.shape.rank == 2 {
            try expect(part.inputs, [part.count, configuration.width], "features")
            logits = try self.logits(features: part.inputs, trainsStatistics: true, in: context)
        } else {
            try expect(part.inputs, configuration.imageShape(part.count), "images")
            logits = try self.logits(part.inputs, trainsStatistics: true, in: context)
        }
        switch part.batch.labels {
        case .shares(let targets):
            return .scalar(try context.softmaxCrossEntropy(logits: logits, targets: targets))
        case .classes(let labels):
            return .scalar(
                try context.softmaxCrossEntropy(
                    logits: logits, labels: labels, smoothing: options.labelSmoothing))
        default: throw USPError(.argument, "labels: are needed")
        }
    }
}
