// The first stages: images, the autoencoder with its scale, all latents, and the judge of samples.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// Images to train and to measure on.
struct StudyImages {
    let training: ImageSet
    let test: ImageSet
    /// What stands for them.
    let key: String

    /// The classes of samples.
    var labels: LabelQuota { LabelQuota(training.labels, classes: training.classNames.count) }

    /// Whether there is something to tell apart.
    var hasClasses: Bool { training.classNames.count > 1 }

    /// The same images with another side.
    func resized(_ side: Int) throws(USPError) -> StudyImages {
        StudyImages(
            training: try training.resized(side), test: try test.resized(side),
            key: "\(key) \(side)")
    }
}

/// Latents of both sets, normalised.
struct StudyLatents {
    let autoencoder: VAE
    let training: DataSet
    let test: DataSet
    let key: String
    /// Where those to train on lie.
    let trainingPath: String

    static let trainingFile = "latents.safetensors"
    static let testFile = "latents-test.safetensors"

    var classes: Int { training.classes }
    var shape: Shape { training.sampleShape }

    /// All latents to measure on, and their labels.
    func measured(_ range: Range<Int>) throws(USPError) -> (Tensor, [Int]) {
        let batch = try test.samples(range)
        return (batch.inputs, batch.classes ?? [])
    }
}

extension Study {
    /// Cuts the images once; later runs read them from a file.
    func openImages() throws(USPError) -> StudyImages {
        var notes: [String] = []
        let (training, test): (ImageSet, ImageSet)
        switch source {
        case .fashionMNIST(let path):
            (training, test) = (
                try .fashionMNIST(training: true, folder: path),
                try .fashionMNIST(training: false, folder: path)
            )
            notes.append("Fashion-MNIST (Xiao et al. 2017), MIT licence")
        case .folder(let path):
            let listed = try ImageFolder.any(path)
            notes += ImageListing.notes(listed.skipped)
            let photos = listed.files.map { (path: "\(path)/\($0.path)", label: $0.label) }
            (training, test) = try cut(
                photos, listed.classNames, listed.stampFingerprint, &notes)
        case .wallpapers:
            let photos = Wallpapers.installed()
            try require(
                !photos.isEmpty, .io,
                "colour: none of the packages with photographs is installed; \(Wallpapers.advice)")
            var print = Fingerprint()
            for photo in photos { print.add(photo.path) }
            (training, test) = try cut(
                photos.enumerated().map { (path: $1.path, label: $0) }, photos.map(\.name),
                print.text, &notes)
            notes += photos.map { "\($0.name): \($0.package), \($0.licence)" }
        }
        folder.results[text: "images.notes"] = notes.joined(separator: "\n")
        let chosen = (
            try training.spread(options.images), try test.spread(options.testImages)
        )
        folder.results[number: "images.training"] = Double(chosen.0.count)
        folder.results[number: "images.test"] = Double(chosen.1.count)
        folder.results[number: "images.classes"] = Double(training.classNames.count)
        return StudyImages(
            training: chosen.0, test: chosen.1,
            key: chosen.0.fingerprint + " " + chosen.1.fingerprint)
    }

    private func cut(
        _ photos: [(path: String, label: Int)], _ classNames: [String], _ stamp: String,
        _ notes: inout [String]
    ) throws(USPError) -> (ImageSet, ImageSet) {
        let rule = CropRule(
            size: options.size, channels: options.channels, crops: options.crops,
            heldOut: options.heldOut, isStrict: options.strict, seed: options.seed)
        let origin = "\(version) \(stamp) \(photos.count) \(rule)"
        let (first, second) = (
            folder.statePath("images.safetensors"), folder.statePath("images-test.safetensors")
        )
        if let training = try LabelledImages.load(first, origin),
            let test = try LabelledImages.load(second, origin)
        {
            notes += (folder.results[text: "images.unreadable"] ?? "").split(separator: "\n").map(
                String.init)
            return (ImageSet(training), ImageSet(test))
        }
        let sets = try PhotoCrops(
            photos, classNames: classNames.isEmpty ? [DataSet.oneClass] : classNames, rule
        ) { done, all throws(USPError) in
            try report(title("images"), done, all, "photographs")
        }
        try sets.training.save(first, origin)
        try sets.test.save(second, origin)
        folder.results[text: "images.unreadable"] = sets.unreadable.joined(separator: "\n")
        notes += sets.unreadable
        return (ImageSet(sets.training), ImageSet(sets.test))
    }

    // MARK: autoencoder and latents

    /// Trains or loads the autoencoder, measures it, and encodes all images.
    func encode(_ images: StudyImages) throws(USPError) -> StudyLatents {
        let file = "autoencoder.safetensors"
        var names = said("vae")
        if options.vae == nil {
            names += said(
                "factor", "latent_channels", "base_width", "autoencoder_steps", "autoencoder_batch",
                "autoencoder_rate", "kl_weight")
        } else if let path = options.vae, path != "small" {
            let vae = try VAE.load(path)
            names.append("\(FolderListing.isFile(path)) \(vae.fingerprint)")
            let scale = LatentScale(vae.scales, vae.shifts)
            // Older studies have none of it.
            if scale != LatentScale([0.18215], [0]) { names.append(scale.text) }
        }
        let made = try stage("autoencoder", of: [images.key] + names, leaving: [file]) {
            () throws(USPError) in
            let model: VAE
            if let path = options.vae {
                model = try VAE.load(path)
            } else {
                model = try fitAutoencoder(images)
            }
            try require(
                model.configuration.imageChannels == images.training.channels, .argument,
                "\(options.vae ?? "vae"): takes \(model.configuration.imageChannels) channels, the "
                    + "images have \(images.training.channels)")
            try measure(model, images.test)
            try model.save(folder.file(file))
        }
        let model = try VAE.load(folder.file(file))
        return try latents(
            "latents", [StudyLatents.trainingFile, StudyLatents.testFile], of: images, model, made)
    }

    /// The latents that pretraining sees: those of images of another side, if `pretrain_size` says so.
    func smaller(
        _ coded: StudyLatents, _ images: StudyImages
    ) throws(USPError) -> StudyLatents {
        guard let side = options.pretrainSize, side != options.size else { return coded }
        return try latents(
            "latents_pretraining",
            ["latents-pretraining.safetensors", "latents-pretraining-test.safetensors"],
            of: images.resized(side), coded.autoencoder, coded.key)
    }

    /// Encodes both sets of images.
    private func latents(
        _ name: String, _ both: [String], of images: StudyImages, _ model: VAE, _ made: String
    ) throws(USPError) -> StudyLatents {
        let key = try stage(name, of: [made, images.key] + said("mirror"), leaving: both) {
            () throws(USPError) in
            let all = images.training.count + images.test.count
            let name = title("autoencoder", "latents")
            for (set, file, before, mirror) in [
                (images.training, both[0], 0, options.mirror),
                (images.test, both[1], images.training.count, false),
            ] {
                let latents = try set.encoded(model, mirrored: mirror) { done throws(USPError) in
                    try report(name, before + done, all)
                }
                try latents.save(folder.file(file))
            }
        }
        return StudyLatents(
            autoencoder: model, training: try DataSet(folder.file(both[0])),
            test: try DataSet(folder.file(both[1])), key: key,
            trainingPath: folder.file(both[0]))
    }

    private func fitAutoencoder(_ images: StudyImages) throws(USPError) -> VAE {
        let said: [(name: String, value: String)] = [
            ("factor", "\(options.factor)"), ("latent_channels", "\(options.latentChannels)"),
            ("base_width", "\(options.baseWidth)"), ("steps", "\(options.autoencoderSteps)"),
            ("batch", "\(min(options.autoencoderBatch, images.training.count))"),
            ("rate", "\(options.autoencoderRate)"), ("kl_weight", "\(options.klWeight)"),
            ("warmup", "\(min(50, options.autoencoderSteps / 10))"),
            ("reconstruction", "squared"), ("seed", "\(seed("autoencoder"))"),
        ]
        let stage = try train(
            "autoencoder", title("autoencoder"), .autoencoder, on: DataSet(images.training),
            called: "IMAGES", said, curve: "vae.loss", validation: DataSet(images.test))
        folder.results[text: "command.autoencoder"] = nil
        guard let vae = try stage.model() as? VAE else {
            throw USPError(.internal, "an autoencoder's stage made something else")
        }
        return vae
    }

    /// The error of its reconstructions goes to the results.
    private func measure(_ model: VAE, _ test: ImageSet) throws(USPError) {
        var squares = 0.0
        try inBatches(test.count, 100) { (range) throws(USPError) in
            let images = try test.batch(range).images
            let again = try model.decode(model.encode(images).mean)
            for (seen, there) in zip(again.values, images.values) {
                squares += Double((seen - there) * (seen - there))
            }
        }
        let pixels = test.count * test.channels * options.size * options.size
        folder.results[number: "vae.test_mse"] = squares / Double(pixels)
        folder.results[number: "vae.scale"] = Double(model.scales.first ?? 1)
    }

    // MARK: judge

    /// Trains, or loads, what samples are judged by, and looks at real images and reconstructions.
    func judge(_ images: StudyImages, _ coded: StudyLatents) throws(USPError) -> Judging {
        let reference = images.test.count >= 1_000 ? images.test : images.training
        folder.results[text: "judge.reference"] =
            images.test.count >= 1_000
            ? "\(reference.count) images that nothing was trained on"
            : "\(reference.count) images that were trained on, since only \(images.test.count) are kept"
        if let path = options.inception {
            folder.results[text: "judge.kind"] = "Inception (\(path))"
            let judging = try Judging(
                autoencoder: coded.autoencoder, judge: .inception(Inception.load(path)), key: path,
                reference: reference, labels: images.labels)
            try judgeReconstructions(judging, images, coded)
            return judging
        }
        let file = "judge.safetensors"
        let key = try stage(
            "judge", of: [images.key] + said("judge_steps", "judge_batch", "dtype"), leaving: [file]
        ) { () throws(USPError) in
            let model =
                images.hasClasses ? try classifyingJudge(images) : try maskedJudge(images)
            try model.save(folder.file(file))
        }
        folder.results[text: "judge.kind"] =
            images.hasClasses
            ? "a small classifier of the same images, trained here"
            : "a small network that was trained here on the same images by masking pixels; it has "
                + "nothing in common with the encoders that are compared"
        var loading = LoadOptions()
        (loading.compute, loading.heads) = (options.dtype, 4)
        let judging = try Judging(
            autoencoder: coded.autoencoder,
            judge: .network(ViT.load(folder.file(file), loading)), key: key, reference: reference,
            labels: images.labels)
        try judgeReconstructions(judging, images, coded)
        return judging
    }

    private func judgeTraining(_ images: StudyImages, _ rate: Float) -> (
        TrainerOptions, DataOptions
    ) {
        var trainer = TrainerOptions()
        (trainer.rate, trainer.steps) = (rate, options.judgeSteps)
        trainer.warmup = min(50, options.judgeSteps / 10)
        (trainer.weightDecay, trainer.dtype, trainer.seed) = (0.01, options.dtype, seed("judge"))
        var data = DataOptions()
        (data.batch, data.seed) = (min(options.judgeBatch, images.training.count), trainer.seed)
        return (trainer, data)
    }

    private func fitJudge(
        _ model: any Model, _ images: StudyImages, _ rate: Float
    ) throws(USPError) -> Trainer {
        let (settings, reading) = judgeTraining(images, rate)
        let trainer = try Trainer(model, settings)
        try train(
            "judge", title("judge", "judge of samples"), curve: "judge.loss",
            steps: options.judgeSteps
        ) { output, run throws(USPError) in
            try Run(trainer, on: DataSet(images.training, reading), to: output, run)
        }
        return trainer
    }

    private func classifyingJudge(_ images: StudyImages) throws(USPError) -> ViT {
        var sizes = ViT.Configuration()
        sizes.transformer = Judge.sizes(options)
        (sizes.pool, sizes.classes) = (.avg, images.training.classNames.count)
        let fresh = try ViT(sizes, seed: seed("fresh judge"))
        let model = try fitJudge(fresh, images, 1e-3).model(averaged: false)
        guard let model = model as? ViT else {
            throw USPError(.internal, "the judge's training made something else")
        }
        var right = 0.0
        try inBatches(images.test.count, 500) { (range) throws(USPError) in
            let (pixels, labels) = try images.test.batch(range)
            let share = try Evaluate.accuracy(model.logits(pixels), labels: labels)
            right += share * Double(range.count)
        }
        folder.results[number: "judge.top1"] = right / Double(images.test.count)
        return model
    }

    private func maskedJudge(_ images: StudyImages) throws(USPError) -> ViT {
        var sizes = MaskedAutoencoder.Configuration()
        sizes.transformer = Judge.sizes(options)
        (sizes.decoderWidth, sizes.decoderDepth, sizes.decoderHeads) = (32, 1, 4)
        let fresh = try MaskedAutoencoder(sizes, seed: seed("fresh judge"))
        let trained = try fitJudge(fresh, images, 1e-3).model(averaged: false)
        var wanted = TransferOptions()
        (wanted.pool, wanted.classes, wanted.heads) = (.avg, 2, 4)
        var loading = LoadOptions()
        (loading.family, loading.heads) = ("ViT", 4)
        return try ViT.load(
            TransferPlan(trained.checkpoint(), to: "ViT", wanted).apply(), loading)
    }

    /// How near the test images' reconstructions come to them, which no sampler can beat.
    private func judgeReconstructions(
        _ judging: Judging, _ images: StudyImages, _ coded: StudyLatents
    ) throws(USPError) {
        let pictures = ["reconstructions.png", "real.png"]
        try stage("reconstructions", of: [judging.key, coded.key], leaving: pictures) {
            () throws(USPError) in
            let decoded = try Tensor([images.test.count, judging.width])
            try inBatches(images.test.count, 100) { (range) throws(USPError) in
                let again = try coded.autoencoder.decode(coded.measured(range).0)
                try decoded.detachedRows(range).copy(from: judging.judge.features(again))
            }
            folder.results[number: "vae.frechet"] = try Evaluate.frechetDistance(
                decoded, judging.real)
            let columns = min(16, images.test.count)
            let shown = try images.test.spread(columns)
            let (pixels, _) = try shown.batch(0..<columns)
            let again = try coded.autoencoder.decode(coded.autoencoder.encode(pixels).mean)
            try folder.savePicture(
                pictures[0], ImageGrid(columns: columns), stacked([pixels, again]))
            let several = try images.test.spread(40)
            try folder.savePicture(
                pictures[1], ImageGrid(columns: 10), several.batch(0..<several.count).images)
        }
    }
}

/// Tensors `[N, …]` one after another.
func stacked(_ parts: [Tensor]) throws(USPError) -> Tensor {
    let rows = parts.reduce(0) { $0 + $1.shape[0] }
    let result = try Tensor(Shape([rows] + parts[0].shape.extents.dropFirst()))
    var first = 0
    for part in parts {
        try result.detachedRows(first..<first + part.shape[0]).copy(from: part)
        first += part.shape[0]
    }
    return result
}
