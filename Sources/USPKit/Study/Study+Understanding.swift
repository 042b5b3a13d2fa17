// What encoders know: probes and fine-tuned classifiers where there are classes, nearest neighbours
// where there are none; and the paper's observations.

import Glibc
import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

extension Study {
    /// Probes, fine-tunes on all labels, and fine-tunes on few; or looks for neighbours.
    func understand(
        _ encoders: [Encoder], _ images: StudyImages, _ coded: StudyLatents
    ) throws(USPError) {
        guard coded.classes > 1 else { return try retrieve(encoders, images, coded) }
        let few = try keepFew(coded)
        for encoder in encoders { _ = try probed(encoder, coded) }
        for number in 0..<options.seeds {
            for encoder in encoders where encoder.name != "supervised" {
                try fineTune(encoder, number, coded, few)
            }
        }
        if options.has(.observations) {
            try hearThroughNoise(encoders, coded)
            try probeBlocks(coded)
        }
    }

    // MARK: classes

    /// The first `few_labels` latents of each class, in a file.
    private func keepFew(_ coded: StudyLatents) throws(USPError) -> DataSet {
        let file = "latents-few.safetensors"
        try stage("few_latents", of: [coded.key] + said("few_labels"), leaving: [file]) {
            () throws(USPError) in
            var counts = [Int](repeating: 0, count: coded.classes)
            var chosen: [Int] = []
            for (index, label) in (coded.training.labels ?? []).enumerated() {
                counts[label] += 1
                if counts[label] <= options.fewLabels { chosen.append(index) }
            }
            try coded.training.selectedLatents(chosen).save(folder.file(file))
        }
        return try DataSet(folder.file(file))
    }

    /// The accuracy of a probe, made once.
    func probed(_ encoder: Encoder, _ coded: StudyLatents) throws(USPError) -> Double? {
        let name = encoder.name == "scratch" ? "random" : encoder.name
        try stage(
            "probe_\(name)",
            of: [encoder.key, coded.key] + said("probe_steps", "probe_batch", "probe_rate")
        ) { () throws(USPError) in
            folder.results[number: "probe.\(name)_top1"] = try probe(
                "probe_\(name)", encoder, coded)
        }
        return folder.results[number: "probe.\(name)_top1"]
    }

    /// A linear classifier on frozen features by MAE's recipe: the class token, batch norm without
    /// γ and β, LARS.
    private func probe(
        _ name: String, _ encoder: Encoder, _ coded: StudyLatents
    ) throws(USPError) -> Double {
        let batch = min(options.probeBatch, coded.training.count)
        let said: [(name: String, value: String)] = [
            ("batch", "\(batch)"), ("steps", "\(options.probeSteps)"),
            ("blr", "\(options.probeRate)"), ("warmup", "\(options.probeSteps / 10)"),
            ("seed", "\(seed("classifier"))"),
        ]
        let stage = try train(
            name, title("understanding", "probe of \(encoder.title)"), .probe, on: coded.training,
            called: folder.file(StudyLatents.trainingFile), said, from: encoder.files[0],
            curve: "loss." + name, validation: coded.test,
            validationPath: folder.file(StudyLatents.testFile))
        return try stage.measure().first?.value ?? 0
    }

    /// One repetition on all labels, and on few.
    private func fineTune(
        _ encoder: Encoder, _ number: Int, _ coded: StudyLatents, _ few: DataSet
    ) throws(USPError) {
        for (part, steps, data, path) in [
            ("finetune", options.finetuneSteps, coded.training, StudyLatents.trainingFile),
            ("few_labels", options.fewLabelsSteps, few, "latents-few.safetensors"),
        ] {
            let name = name(part, encoder, number)
            try stage(
                name,
                of: [encoder.key, coded.key, "\(steps)", "\(number)"]
                    + said("finetune_batch", "finetune_rate", "few_labels", "dtype"),
                leaving: ["state/\(name)-model.safetensors"]
            ) { () throws(USPError) in
                let stage = try fineTune(
                    name,
                    title(
                        "understanding",
                        "\(part == "finetune" ? "all" : "few") labels from \(encoder.title)"
                            + repetition(number)), encoder.files[number], data, path, steps: steps,
                    seed: seed("classifier", number), coded)
                folder.results[number: "\(part).runs.\(encoder.name).\(number)"] =
                    try stage.measure().first?.value
                try stage.model().save(folder.statePath(name + "-model.safetensors"))
            }
            summarise("\(part).runs.\(encoder.name)", as: "\(part).\(encoder.name)_top1")
        }
    }

    /// Mean, lowest and highest over the repetitions.
    private func summarise(_ runs: String, as name: String) {
        let values = (0..<options.seeds).compactMap { folder.results[number: "\(runs).\($0)"] }
        guard let low = values.min(), let high = values.max() else { return }
        folder.results[number: name] = values.reduce(0, +) / Double(values.count)
        folder.results[number: name + "_low"] = low
        folder.results[number: name + "_high"] = high
    }

    /// The whole network: average of the tokens, layer-wise decay.
    func fineTune(
        _ name: String, _ title: String, _ start: String, _ data: DataSet, _ path: String,
        steps: Int, seed: UInt64, _ coded: StudyLatents
    ) throws(USPError) -> Stage {
        let said: [(name: String, value: String)] = [
            ("batch", "\(min(options.finetuneBatch, data.count))"), ("steps", "\(steps)"),
            ("rate", "\(options.finetuneRate)"), ("warmup", "\(steps / 10)"), ("drop_path", "0"),
            ("dtype", options.dtype.name), ("seed", "\(seed)"),
        ]
        return try train(
            name, title, .finetune, on: data, called: folder.file(path), said, from: start,
            curve: "loss." + name, validation: coded.test,
            validationPath: folder.file(StudyLatents.testFile))
    }

    // MARK: neighbours

    /// For some images that nothing was trained on, the images whose features are nearest.
    private func retrieve(
        _ encoders: [Encoder], _ images: StudyImages, _ coded: StudyLatents
    ) throws(USPError) {
        for encoder in encoders {
            let file = "neighbours_\(encoder.name).png"
            try stage("neighbours_\(encoder.name)", of: [encoder.key, coded.key], leaving: [file]) {
                () throws(USPError) in
                var wanted = TransferOptions()
                (wanted.pool, wanted.classes) = (.avg, 2)
                let start = try TransferPlan(
                    path: folder.file(encoder.files[0]), to: "ViT", wanted)
                let model = try ViT.load(start.apply())
                let count = min(coded.training.count, 5_000)
                let chosen = (0..<count).map { $0 * coded.training.count / count }
                let known = try unitFeatures(model, coded.training.selecting(chosen), encoder.title)
                let queries = min(6, coded.test.count)
                let asked = (0..<queries).map { $0 * coded.test.count / queries }
                let sought = try unitFeatures(model, coded.test.selecting(asked), encoder.title)
                var rows: [Tensor] = []
                for query in 0..<queries {
                    rows.append(try images.test.batch([asked[query]]).images)
                    let near = nearest(known, to: sought, query, 5).map { chosen[$0] }
                    rows.append(try images.training.batch(near).images)
                }
                try folder.savePicture(file, ImageGrid(columns: 6), stacked(rows))
            }
        }
    }

    /// Features of length 1 after their mean is taken away.
    private func unitFeatures(
        _ model: ViT, _ data: DataSet, _ encoder: String
    ) throws(USPError) -> Tensor {
        let result = try Tensor([data.count, model.width])
        let name = title("understanding", "features of \(encoder)")
        try inBatches(data.count, 100) { (range) throws(USPError) in
            try result.detachedRows(range).copy(from: model.features(data.samples(range).inputs))
            try report(name, range.upperBound, data.count)
        }
        for row in 0..<data.count {
            let values = UnsafeMutableBufferPointer(
                start: result.floats + row * model.width, count: model.width)
            let mean = values.reduce(0, +) / Float(model.width)
            let length = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }.squareRoot()
            for index in values.indices {
                values[index] = (values[index] - mean) / max(length, 1e-12)
            }
        }
        return result
    }

    private func nearest(_ known: Tensor, to sought: Tensor, _ query: Int, _ count: Int) -> [Int] {
        let width = known.shape[1]
        let own = sought.floats + query * width
        let similar = (0..<known.shape[0]).map { row in
            (row, (0..<width).reduce(Float(0)) { $0 + own[$1] * known.floats[row * width + $1] })
        }
        return similar.sorted { $0.1 > $1.1 }.prefix(count).map(\.0)
    }

    // MARK: observations

    /// Accuracy of the fine-tuned classifiers on latents on SiT's path towards noise.
    private func hearThroughNoise(
        _ encoders: [Encoder], _ coded: StudyLatents
    ) throws(USPError) {
        let levels = [0, 10, 20, 30, 40, 50, 60, 70, 80]
        for encoder in encoders where encoder.name != "supervised" {
            let name = self.name("finetune", encoder, 0)
            try stage(
                "noise_\(encoder.name)",
                of: [folder.results[text: "done." + name] ?? "", coded.key]
            ) { () throws(USPError) in
                let model = try ViT.load(folder.statePath(name + "-model.safetensors"))
                var curve = Curve()
                for level in levels {
                    let share = Float(level) / 100
                    var right = 0.0
                    try inBatches(coded.test.count, 250) { (range) throws(USPError) in
                        let (latents, labels) = try coded.measured(range)
                        let mixed = try noised(latents, share, range.lowerBound)
                        right +=
                            try Evaluate.accuracy(model.logits(mixed), labels: labels)
                            * Double(range.count)
                        try report(
                            title("understanding", "accuracy under noise"), range.upperBound,
                            coded.test.count)
                    }
                    curve.append(level, right / Double(coded.test.count))
                }
                folder.results[curve: "noise.\(encoder.name)_top1"] = curve
            }
        }
    }

    /// (1 − share) latents + share noise.
    private func noised(_ latents: Tensor, _ share: Float, _ first: Int) throws(USPError) -> Tensor
    {
        let noise = try Tensor.normal(latents.shape, seed: seed("noise"), firstSample: first)
        for index in 0..<noise.count {
            noise.floats[index] = (1 - share) * latents.floats[index] + share * noise.floats[index]
        }
        return noise
    }

    /// Linear probes of the diffusion transformer after each block and at several times: where in it
    /// the classes are.
    private func probeBlocks(_ coded: StudyLatents) throws(USPError) {
        let file = "sit_usp.safetensors"
        guard options.has(.generation),
            let made = folder.results[text: "done.generation_usp"]
        else { return }
        let times = [100, 90, 75, 50, 25]
        try stage("blocks", of: [made, coded.key] + said("depth")) { () throws(USPError) in
            var loading = LoadOptions()
            (loading.family, loading.compute) = ("SiT", options.dtype)
            let model = try DiT.load(folder.file(file), loading)
            let count = min(coded.training.count, 5_000)
            let chosen = (0..<count).map { $0 * coded.training.count / count }
            let (known, kept) = (
                try coded.training.selecting(chosen).samples(0..<count),
                try coded.measured(0..<coded.test.count)
            )
            var done = 0
            for time in times {
                let own = try features(model, known.inputs, time)
                let other = try features(model, kept.0, time)
                for depth in 1...options.depth {
                    done += 1
                    try report(
                        title("understanding", "blocks of the SiT"), done,
                        times.count * options.depth, "probes")
                    folder.results[number: "blocks.\(depth).t\(time)"] = try linearAccuracy(
                        own[depth - 1], known.classes ?? [], other[depth - 1], kept.1,
                        coded.classes)
                }
            }
        }
    }

    /// Means of the tokens after each block at a time of SiT's path in hundredths; 100: no noise.
    private func features(
        _ model: DiT, _ latents: Tensor, _ time: Int
    ) throws(USPError) -> [Tensor] {
        let result = try (0..<options.depth).map { _ throws(USPError) in
            try Tensor([latents.shape[0], options.width])
        }
        try inBatches(latents.shape[0], 250) { (range) throws(USPError) in
            let mixed = try noised(
                latents.detachedRows(range), 1 - Float(time) / 100, range.lowerBound)
            let times = [Float](repeating: Float(time) / 100, count: range.count)
            for (all, part) in zip(result, try model.featuresOfBlocks(mixed, t: times)) {
                try all.detachedRows(range).copy(from: part)
            }
        }
        return result
    }

    /// A batch norm and a linear layer on features, as a probe's; its accuracy on others.
    private func linearAccuracy(
        _ training: Tensor, _ labels: [Int], _ test: Tensor, _ testLabels: [Int], _ classes: Int
    ) throws(USPError) -> Double {
        var sizes = ViT.Configuration()
        sizes.transformer = TransformerSizes(
            grid: Grid(1, 1), channels: 1, patch: 1, width: training.shape[1], depth: 1, heads: 1)
        (sizes.pool, sizes.classes, sizes.head) = (.token, classes, .probe)
        var settings = TrainerOptions()
        (settings.optimizer, settings.headOnly) = (.lars, true)
        let batch = min(500, labels.count)
        (settings.steps, settings.warmup, settings.seed) = (200, 20, seed("classifier"))
        settings.rate = options.probeRate * Float(batch) / 256
        let trainer = try Trainer(ViT(sizes, seed: seed("classifier")), settings)
        var reading = DataOptions()
        (reading.batch, reading.seed) = (batch, settings.seed)
        let data = try DataSet(features: training, labels: labels, reading)
        for step in 0..<settings.steps { _ = try trainer.step(data.batch(atStep: step)) }
        guard let model = try trainer.model(averaged: false) as? ViT else { return 0 }
        return try Evaluate.accuracy(model.logits(features: test), labels: testLabels)
    }
}
