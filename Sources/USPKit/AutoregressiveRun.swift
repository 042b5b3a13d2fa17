// A run of a masked autoregressive model's sampler.

import Glibc
import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// One run: the tokens so far, and which are hidden.
final class AutoregressiveRun {
    private let model: MAR
    private let labels: [Int]
    private let options: MAR.SampleOptions
    private let source: TokenNoise
    private let context: Context
    private var processes: [String: Diffusion] = [:]
    /// `[B, T, E]`
    private let tokens: Tensor
    private let orders: [Int]
    /// Hidden tokens of each sample: the first of its order.
    private var hidden: Int
    private let clock = Stopwatch()

    init(_ model: MAR, _ labels: [Int], _ options: MAR.SampleOptions) throws(USPError) {
        try model.check(options)
        (self.model, self.labels, self.options) = (model, labels, options)
        let (batch, count) = (labels.count, model.tokens)
        context = Context(model.arithmetic)
        hidden = count
        tokens = try Tensor.zeros([batch, count, model.patchSize])
        if let orders = options.orders {
            try checkOrders(orders, batch, count)
            self.orders = orders
        } else {
            let key = RandomKey(seed: options.seed).stream("mar")
            orders = (0..<batch).flatMap {
                MAR.order(key, options.firstSample + $0, tokens: count)
            }
        }
        source = try TokenNoise(model, options, batch: batch)
        let steps = try process(0).steps
        if let noise = options.noise {
            try require(
                noise.shape.rank > 0 && noise.shape[0] >= steps, .shape,
                "noise: shape \(noise.shape), expected \(steps) steps or more")
        }
    }

    func latents() throws(USPError) -> Tensor { try model.latents(tokens, in: context) }

    func iterate(_ iteration: Int, _ monitor: SamplingMonitor) throws(USPError) {
        let (batch, count) = (labels.count, model.tokens)
        // Sizes as the original's doubles have them: all that is left in the last iteration.
        let share = cos(Double.pi / 2 * Double(iteration + 1) / Double(options.iterations))
        let left = max(1, min(hidden - 1, Int((Double(count) * share).rounded(.down))))
        let isLast = iteration == options.iterations - 1
        let places = (0..<batch).flatMap { sample in
            let order = orders[sample * count..<(sample + 1) * count]
            return order.dropFirst(isLast ? 0 : left).prefix(hidden - (isLast ? 0 : left)).sorted()
        }
        let chosen = TokenChoice(positions: places, perSample: places.count / batch)
        let scale: Float? =
            options.scale == 1
            ? nil
            : options.schedule == .constant
                ? options.scale
                : 1 + (options.scale - 1) * Float(count - left) / Float(count)
        let condition = try condition(chosen, isGuided: scale != nil)
        let values = try denoise(chosen, condition, scale, process(iteration))
        try require(
            values.isFinite, .notFinite,
            "sample: iteration \(iteration + 1) of \(options.iterations) gave a value that is not "
                + "finite")
        write(values, at: chosen)
        hidden = isLast ? 0 : left
        try report(iteration + 1, monitor)
    }

    /// What conditions the head at the chosen tokens, `[r·B·R, W]`; of guided passes those without
    /// label behind the others.
    private func condition(_ chosen: TokenChoice, isGuided: Bool) throws(USPError) -> Tensor {
        let (batch, count, times) = (labels.count, model.tokens, isGuided ? 2 : 1)
        let mask = try Tensor.zeros([times * batch, count])
        for pass in 0..<times {
            for sample in 0..<batch {
                for token in orders[sample * count..<sample * count + hidden] {
                    mask.floats[(pass * batch + sample) * count + token] = 1
                }
            }
        }
        var all = labels
        if isGuided { all += [Int](repeating: model.nullClass, count: batch) }
        let repeated = try context.embedding(
            tokens.reshaped([batch, count * model.patchSize]), all.indices.map { $0 % batch })
        let both = TokenChoice(
            positions: (0..<times).flatMap { _ in chosen.positions }, perSample: chosen.perSample)
        let z = try model.condition(
            repeated.reshaped([times * batch, count, model.patchSize]), labels: all,
            masking: Masking(mask: mask), at: both, in: context)
        return try model.head.embed(
            z.reshaped([z.shape[0] * z.shape[1], z.shape[2]]), in: context)
    }

    /// The reverse process of each chosen token: `[B·R, E]`.
    private func denoise(
        _ chosen: TokenChoice, _ condition: Tensor, _ scale: Float?, _ process: Diffusion
    ) throws(USPError) -> Tensor {
        let rows = chosen.positions.count
        let x = try source.start(chosen)
        for (draw, step) in (0..<process.steps).reversed().enumerated() {
            let noise = try source.noise(chosen, draw: draw)
            let given =
                scale == nil ? x : try context.embedding(x, (0..<2 * rows).map { $0 % rows })
            let times = [Float](repeating: Float(process.modelTimes[step]), count: given.shape[0])
            let output = try model.head.forward(
                given, times: times, condition: condition, in: context)
            if let scale { MAR.guide(output, scale: scale) }
            update(x, output, step > 0 ? noise : nil, process.coefficients(step))
        }
        return x
    }

    /// x ← mean + exp(½ log variance)·temperature·noise
    private func update(
        _ x: Tensor, _ output: Tensor, _ noise: Tensor?, _ step: StepCoefficients
    ) {
        let (rows, values, temperature) = (x.shape[0], x.shape[1], options.temperature)
        let (current, predicted, fresh) = (x.floats, output.floats, noise?.floats)
        parallelRanges(rows, grain: 256) { range in
            for row in range {
                let (o, x) = (predicted + 2 * row * values, current + row * values)
                let e = fresh.map { $0 + row * values }
                for i in 0..<values {
                    let start = step.start(o[i], x[i])
                    let mean = step.mean(o[i], start: start, x[i])
                    guard let e else {
                        x[i] = mean
                        continue
                    }
                    let deviation = expf(0.5 * step.logVariance(o[values + i]))
                    x[i] = mean + deviation * e[i] * temperature
                }
            }
        }
    }

    private func write(_ values: Tensor, at chosen: TokenChoice) {
        let size = model.patchSize
        for (row, place) in chosen.positions.enumerated() {
            let sample = row / chosen.perSample
            (tokens.floats + (sample * model.tokens + place) * size).update(
                from: values.floats + row * size, count: size)
        }
    }

    /// The reverse process of an iteration.
    private func process(_ iteration: Int) throws(USPError) -> Diffusion {
        let respacing = try options.respacing(of: iteration)
        if let known = processes[respacing] { return known }
        let process = try Diffusion(options.process(respacing))
        processes[respacing] = process
        return process
    }

    private func report(_ done: Int, _ monitor: SamplingMonitor) throws(USPError) {
        func state(_ latents: Tensor?) -> Progress {
            Progress(
                stage: "sample", step: done, steps: options.iterations, seconds: clock.seconds,
                evaluations: Double(done), latents: latents)
        }
        if let preview = monitor.preview,
            done % options.previewInterval == 0 || done == options.iterations
        {
            try preview(state(latents()))
        }
        try monitor.progress?(state(nil))
    }
}

private func checkOrders(_ orders: [Int], _ batch: Int, _ tokens: Int) throws(USPError) {
    try require(
        orders.count == batch * tokens, .shape,
        "orders: \(orders.count) values, expected \(batch) x \(tokens)")
    for sample in 0..<batch {
        var seen = [Bool](repeating: false, count: tokens)
        for token in orders[sample * tokens..<(sample + 1) * tokens] {
            try require(
                seen.indices.contains(token) && !seen[token], .argument,
                "orders: of sample \(sample) is no permutation of 0 to \(tokens - 1): \(token) is "
                    + (seen.indices.contains(token) ? "in it twice" : "outside"))
            seen[token] = true
        }
    }
}
