// MAR: each hidden token's diffusion loss.

import USPBase
import USPData
import USPDiffusion
import USPModels
import USPTensor

extension MAR: Trainable {
    package var layers: Int { 0 }

    /// Nothing of the head decays; class rows, mask token and positions do, as in the original.
    package func decays(_ spec: ParameterSpec) -> Bool {
        spec.decays && !spec.name.hasPrefix("diffloss.")
    }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> MAR {
        try require(
            options.attentionDropout == 0, .unsupported,
            "attention_dropout: \(options.attentionDropout): dropping attention's probabilities is "
                + "not built; dropout drops what the projections give")
        let process = if let given = options.diffusion { given } else { try MAR.process() }
        try require(
            process.options.prediction == .epsilon && process.options.variance == .learnedRange,
            .argument,
            "diffusion: a MAR's head predicts the noise and a learned range of variances")
        let result = try MAR(configuration, parameters, options.arithmetic)
        (result.recomputes, result.dropout) = (options.recompute, options.dropout)
        return result
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        let process = if let given = options.diffusion { given } else { try MAR.process() }
        let draws = try draws(
            part.inputs, mask: part.batch.mask, maskRatio: nil, times: part.batch.tokenTimes,
            noise: part.batch.noise, copies: options.copies, process, key: part.key,
            first: part.first)
        return try loss(part.inputs, labels(part, options), draws, process, in: context)
    }

    /// The labels, some of them dropped for no label.
    private func labels(_ part: BatchPart, _ options: TrainerOptions) throws(USPError) -> [Int] {
        let labels = self.labels(part.batch.classes, part.count)
        guard options.labelDropout > 0 else { return labels }
        return zip(labels, try part.uniform("label")).map {
            $1 < options.labelDropout ? nullClass : $0
        }
    }
}
