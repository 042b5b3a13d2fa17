// A masked autoregressive model from parts of the same pretraining: unlike a diffusion transformer it
// has a use for the decoder.

import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTraining
import USPTransfer

/// What of the pretrained weights a masked autoregressive model starts from.
enum AutoregressiveStart: String, CaseIterable {
    case random, encoder, decoder, both

    var title: String {
        switch self {
        case .random: "from scratch"
        case .encoder: "encoder"
        case .decoder: "decoder"
        case .both: "encoder and decoder"
        }
    }

    /// Whether this parameter is pretrained.
    func takes(_ parameter: String) -> Bool {
        let isDecoder = parameter.hasPrefix("decoder_") || parameter == "mask_token"
        let isEncoder = parameter.hasPrefix("encoder_") || parameter.hasPrefix("z_proj.")
        return switch self {
        case .random: false
        case .encoder: isEncoder
        case .decoder: isDecoder
        case .both: isEncoder || isDecoder
        }
    }
}

extension Study {
    /// Trains a masked autoregressive model from each start, with the same seeds, data order, masks
    /// and noise, and compares them.
    func autoregress(
        _ encoder: Encoder, _ judging: Judging, _ coded: StudyLatents
    ) throws(USPError) {
        for number in 0..<options.seeds {
            for start in AutoregressiveStart.allCases {
                try autoregress(start, number, encoder, judging, coded)
                compareStarts()
            }
        }
    }

    private func autoregress(
        _ start: AutoregressiveStart, _ number: Int, _ encoder: Encoder, _ judging: Judging,
        _ coded: StudyLatents
    ) throws(USPError) {
        let ending = start.rawValue + (number == 0 ? "" : "_\(number)")
        let (name, file) = ("autoregression_" + ending, "mar_\(ending).safetensors")
        try stage(
            name,
            of: [encoder.key, judging.key, coded.key, "\(number)"]
                + said(
                    "mar_steps", "mar_rate", "mar_samples", "mar_iterations", "mar_copies",
                    "mar_buffer", "mar_head_width", "mar_head_depth", "train_batch",
                    "average_decay", "dtype", "mar_control_steps", "pretrain_steps",
                    "pretrain_batch"),
            leaving: [file]
        ) { () throws(USPError) in
            let marks = marks(start)
            let said: [(name: String, value: String)] = [
                ("batch", "\(min(options.trainBatch, coded.training.count))"),
                ("steps", "\(marks.last ?? options.marSteps)"), ("rate", "\(options.marRate)"),
                ("warmup", "0"), ("copies", "\(options.marCopies)"), ("dropout", "0"),
                ("average_decay", "\(options.averageDecay)"), ("dtype", options.dtype.name),
                ("seed", "\(seed("autoregression", number))"),
            ]
            let curves = ["runs", "accuracy"].map {
                "autoregression.\($0).\(start.rawValue).\(number)"
            }
            let stage = try train(
                name, title("autoregression", "MAR \(start.phrase)" + repetition(number)),
                .autoregress, on: coded.training,
                called: coded.trainingPath, said,
                from: begin(start, name, number, encoder, coded),
                curve: "autoregression.\(start.rawValue)_loss\(number == 0 ? "" : "_\(number)")"
            ) { step, stage throws(USPError) in
                guard step > 0 else {
                    for curve in curves { folder.results[curve: curve] = nil }
                    return
                }
                guard marks.contains(step), folder.results[curve: curves[0]]?.steps.last != step
                else { return }
                guard let model = try stage.model() as? MAR else {
                    throw USPError(.internal, "autoregression made something else")
                }
                let picture = "mar_\(start.rawValue)_\(step).png"
                let found = try judged(
                    judging, coded, samples: options.marSamples,
                    picture: number == 0 ? picture : nil
                ) { _, labels, first throws(USPError) in
                    try draw(model, labels, first)
                }
                for (curve, value) in zip(curves, [found.distance, found.accuracy]) {
                    guard let value else { continue }
                    var values = (folder.results[curve: curve] ?? Curve()).upTo(step - 1)
                    values.append(step, value)
                    folder.results[curve: curve] = values
                }
                try folder.saveResults()
            }
            try stage.model().save(folder.file(file))
        }
    }

    private func draw(_ model: MAR, _ labels: [Int], _ first: Int) throws(USPError) -> Tensor {
        var sampling = MAR.SampleOptions.early
        sampling.iterations = min(options.marIterations, model.tokens)
        (sampling.seed, sampling.firstSample) = (seed("sampling noise"), first)
        return try model.sample(labels: labels, sampling, interruptible)
    }

    /// When samples are judged. The control from scratch goes on for as many steps as the pretraining
    /// took computing.
    private func marks(_ start: AutoregressiveStart) -> [Int] {
        let steps = options.marSteps
        var marks = [1, 2, 3, 4, 6, 8].map { max(1, steps * $0 / 8) }
        let more = options.marControlSteps ?? options.pretrainingInMARSteps
        if start == .random { marks += [1, 2, 3, 4].map { steps + more * $0 / 4 } }
        return marks
    }

    /// The weights of a start, in a file: fresh ones, and the pretrained ones in their places.
    ///
    /// - Returns: the name of the file
    private func begin(
        _ start: AutoregressiveStart, _ name: String, _ number: Int, _ encoder: Encoder,
        _ coded: StudyLatents
    ) throws(USPError) -> String {
        var sizes = MAR.Configuration(
            TransformerSizes(
                grid: try tokenGrid(coded.shape, patch: options.patch), channels: coded.shape[0],
                patch: options.patch, width: options.width, depth: options.depth,
                heads: options.heads),
            buffer: options.marBuffer, classes: coded.classes, headWidth: options.marHeadWidth,
            headDepth: options.marHeadDepth)
        (sizes.decoderWidth, sizes.decoderDepth) = (options.decoderWidth, options.decoderDepth)
        sizes.decoderHeads = options.decoderHeads
        var wanted = TransferOptions(to: .configuration(sizes))
        (wanted.seed, wanted.classes) = (seed("autoregression start", number), coded.classes)
        let plan = try TransferPlan(Archive.open(folder.file(encoder.files[number])), wanted)
        let (made, result) = (try MAR.load(plan.apply()), try MAR(sizes, seed: wanted.seed))
        for name in result.weights.names where start.takes(name) {
            try result.weights[name].copy(from: made.weights[name])
        }
        let file = "state/\(name)-start.safetensors"
        try result.save(folder.file(file))
        return file
    }

    /// Means over the repetitions; how much sooner each start came to what the control reached in as
    /// many steps, and the pretrained one to what it reached in the end.
    private func compareStarts() {
        var runs: [AutoregressiveStart: [Curve]] = [:]
        for start in AutoregressiveStart.allCases {
            let name = start.rawValue
            let found = folder.results.repetitions("autoregression.runs.\(name)", options.seeds)
            guard !found.isEmpty else { continue }
            runs[start] = found
            folder.results[curve: "autoregression.\(name)_frechet"] = Curve.mean(found)
            let right = folder.results.repetitions(
                "autoregression.accuracy.\(name)", options.seeds)
            if !right.isEmpty {
                folder.results[curve: "autoregression.\(name)_accuracy"] = Curve.mean(right)
            }
        }
        guard let control = runs[.random] else { return }
        let short = control.map { $0.upTo(options.marSteps) }
        for start in AutoregressiveStart.allCases where start != .random {
            guard let own = runs[start] else { continue }
            record(own, against: short, "autoregression.speedup_\(start.rawValue)")
            if start == .both {
                record(own, against: control, "autoregression.speedup_both_long")
            }
        }
        folder.results[number: "autoregression.control_steps"] = control[0].steps.last.map(
            Double.init)
    }

    /// How much sooner the means of one side's repetitions came to what the other reached, and the range
    /// over pairs; of a repetition that never came there, there is none.
    func record(_ fast: [Curve], against slow: [Curve], _ name: String) {
        let all = zip(fast, slow).compactMap { speedup(fast: $0, slow: $1) }
        folder.results[number: name] = speedup(fast: .mean(fast), slow: .mean(slow))
        let isWhole = all.count == min(fast.count, slow.count)
        folder.results[number: name + "_low"] = isWhole ? all.min() : nil
        folder.results[number: name + "_high"] = isWhole ? all.max() : nil
    }
}

extension AutoregressiveStart {
    fileprivate var phrase: String { self == .random ? title : "from \(title)" }
}

extension StudyOptions {
    /// Steps of the masked autoregressive model that take as many multiply-adds as the pretraining.
    var pretrainingInMARSteps: Int {
        let tokens = Double(grid * grid)
        func block(_ rows: Double, _ width: Int) -> Double {
            12 * rows * Double(width * width) + 2 * rows * rows * Double(width)
        }
        let seen = tokens * (1 - Double(maskRatio)) + 1
        let pretraining =
            Double(depth) * block(seen, width)
            + Double(decoderDepth) * block(tokens + 1, decoderWidth)
        // The mean of the ratios that masks are drawn with.
        let hidden = 0.867 * tokens
        let (rows, own) = (Double(marBuffer), Double(marHeadWidth))
        let values = Double(latentChannels * patch * patch)
        let head =
            own * (own * Double(5 * marHeadDepth + 3) + 3 * values + 256)
        let training =
            Double(depth) * block(rows + tokens - hidden, width)
            + Double(decoderDepth) * block(rows + tokens, decoderWidth)
            + Double(marCopies) * hidden * head
        return Int(
            Double(pretrainSteps * pretrainBatch) * pretraining / (Double(trainBatch) * training))
    }
}
