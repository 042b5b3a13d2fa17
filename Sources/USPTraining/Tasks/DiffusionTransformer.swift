// DiT: the Gaussian process's loss; SiT: flow matching. Their gradients are known in closed form.

import USPBase
import USPData
import USPDiffusion
import USPModels
import USPTensor

extension DiT: Trainable {
    package var layers: Int { configuration.depth }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> DiT {
        if options.align != 0 { try expectProjectors() }
        let result = try DiT(configuration, parameters, options.arithmetic)
        result.recomputes = options.recompute
        return result
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        configuration.isFlow
            ? try flowing(part, options, context) : try denoising(part, options, context)
    }

    private func denoising(
        _ part: BatchPart, _ options: TrainerOptions, _ context: Context
    ) throws(USPError) -> Loss {
        let process =
            if let given = options.diffusion { given } else { try Diffusion() }
        let noise = try part.normalNoise(part.inputs.shape)
        for time in part.batch.times ?? [] {
            try require(
                time == time.rounded() && abs(time) < 1e9, .argument,
                "times: \(time), expected a whole number, the step")
        }
        let steps =
            part.batch.times.map { $0.map { Int($0) } }
            ?? process.drawSteps(
                part.key.stream("steps"), count: part.count, firstSample: part.first)
        let noised = try process.noised(part.inputs, steps: steps, noise: noise)
        let output = try forward(
            noised, t: process.times(steps), y: labels(part, options), in: context)
        let losses = try process.losses(
            output: output, start: part.inputs, noised: noised, noise: noise, steps: steps)
        return .seeded(value: losses.mean, output: output, gradient: losses.gradient)
    }

    private func flowing(
        _ part: BatchPart, _ options: TrainerOptions, _ context: Context
    ) throws(USPError) -> Loss {
        let given = if let given = options.transport { given } else { try Transport() }
        let transport = try given.facing(configuration.noiseTime)
        let noise = try part.normalNoise(part.inputs.shape)
        let times =
            part.batch.times
            ?? transport.drawTimes(
                part.key.stream("time"), count: part.count, firstSample: part.first)
        let noised = try transport.noised(part.inputs, times: times, noise: noise)
        let labels = try labels(part, options)
        try part.expectFeatures(options)
        let (output, cosines) =
            options.align == 0
            ? (try forward(noised, t: times, y: labels, in: context), [])
            : try aligning(noised, t: times, y: labels, with: part.batch.features, in: context)
        let losses = try transport.losses(
            output: output, data: part.inputs, noise: noise, times: times)
        guard !cosines.isEmpty else {
            return .seeded(value: losses.mean, output: output, gradient: losses.gradient)
        }
        let alignment = DiT.alignment(cosines)
        let mean = alignment.reduce(0.0) { $0 + Double($1) } / Double(alignment.count)
        var slopes = [(of: output, gradient: losses.gradient)]
        for tensor in cosines {
            let slope = -options.align / Float(cosines.count * tensor.count)
            slopes.append((tensor, try Tensor.filled(tensor.shape, slope)))
        }
        return .scalar(
            try context.known(losses.mean + options.align * Float(mean), slopes))
    }

    /// The labels, some of them dropped for the null class.
    private func labels(_ part: BatchPart, _ options: TrainerOptions) throws(USPError) -> [Int] {
        let null = configuration.classes
        guard let labels = part.batch.classes else {
            try require(configuration.hasNullClass, .argument, "labels: are needed")
            return [Int](repeating: null, count: part.count)
        }
        guard options.labelDropout > 0 else { return labels }
        try require(
            configuration.hasNullClass, .argument,
            "label dropout: the model has no null class")
        return zip(labels, try part.uniform("label")).map { $1 < options.labelDropout ? null : $0 }
    }
}
