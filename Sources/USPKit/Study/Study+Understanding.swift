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
            called: coded.trainingPath, said, from: encoder.files[0],
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
                var settings = Robustness.Options()
                (settings.sigmas, settings.steps) = ([], [])
                settings.shares = levels.dropFirst().map { Float($0) / 100 }
                settings.seed = seed("noise")
                let (found, _) = try Robustness.curves(
                    [(encoder.name, model)], on: coded.test, nil, settings
                ) { done, all throws(USPError) in
                    try report(title("understanding", "accuracy under noise"), done, all)
                }
                var curve = Curve()
                for (level, value) in zip(levels, found[0].accuracy[0]) {
                    curve.append(level, value)
                }
                folder.results[curve: "noise.\(encoder.name)_top1"] = curve
            }
        }
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
            var settings = DiffusionProbe.Options()
            (settings.times, settings.steps) = (times.map { Float($0) / 100 }, 200)
            (settings.rate, settings.seed) = (options.probeRate, seed("classifier"))
            let count = min(coded.training.count, 5_000)
            let chosen = (0..<count).map { $0 * coded.training.count / count }
            let map = try DiffusionProbe.map(
                DiT.load(folder.file(file), loading), coded.training.selecting(chosen), coded.test,
                classes: coded.classes, settings, finalEpochs: 0
            ) { told throws(USPError) in
                try report(
                    title("understanding", "blocks of the SiT, \(told.part)"), told.done, told.all,
                    told.unit)
            }
            for (row, block) in map.blocks.enumerated() {
                for (column, time) in times.enumerated() {
                    folder.results[number: "blocks.\(block).t\(time)"] = map.cells[row][column]
                }
            }
        }
    }
}
