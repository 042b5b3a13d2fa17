// Masked latent modelling, and the encoders that it is compared with.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining
import USPTransfer

/// What everything starts from; numbers and files are called by the name.
struct Encoder {
    let name: String
    /// On the page.
    let title: String
    /// For each repetition, in the folder.
    let files: [String]
    let key: String
}

extension Study {
    var transformerSaid: [(name: String, value: String)] {
        [
            ("patch", "\(options.patch)"), ("width", "\(options.width)"),
            ("depth", "\(options.depth)"), ("heads", "\(options.heads)"),
        ]
    }

    private var sizesSaid: [String] {
        said(
            "patch", "width", "depth", "heads", "decoder_width", "decoder_depth", "decoder_heads",
            "blocks")
    }

    /// All that decides what pretraining makes of latents.
    var pretrainingSaid: [String] {
        sizesSaid
            + said(
                "mask_ratio", "norm_pix_loss", "add_noise", "pretrain_steps", "pretrain_batch",
                "pretrain_rate", "pretrain_size", "positions", "dtype")
    }

    private func maskedSizes(
        _ coded: StudyLatents
    ) throws(USPError) -> MaskedAutoencoder.Configuration {
        var sizes = MaskedAutoencoder.Configuration()
        sizes.transformer = TransformerSizes(
            grid: try tokenGrid(coded.shape, patch: options.patch), channels: coded.shape[0],
            patch: options.patch, width: options.width, depth: options.depth, heads: options.heads)
        (sizes.decoderWidth, sizes.decoderDepth) = (options.decoderWidth, options.decoderDepth)
        sizes.decoderHeads = options.decoderHeads
        if options.blocks == .lightning {
            (sizes.rmsNorm, sizes.swiglu, sizes.rope) = (true, true, true)
        }
        return sizes
    }

    /// Pretrains the masked autoencoder on the latents; beside it stay untrained ones, the controls of
    /// everything that follows, and an encoder that learned the classes.
    func pretrain(_ coded: StudyLatents, _ images: StudyImages) throws(USPError) -> [Encoder] {
        let files = ["pretrained.safetensors", "masked.png"]
        let key = try stage("pretraining", of: [coded.key] + pretrainingSaid, leaving: files) {
            () throws(USPError) in
            let seen = try smaller(coded, images)
            let model = try fitMasked(seen)
            let losses = folder.results[curve: "pretrain.loss"]?.values ?? []
            folder.results[number: "pretrain.loss_first"] = losses.first
            folder.results[number: "pretrain.loss_last"] = losses.last
            try drawMasked(model, seen, files[1])
            try onGrid(of: coded, model).save(folder.file(files[0]))
        }
        let usp = Encoder(
            name: "usp", title: "USP", files: [String](repeating: files[0], count: options.seeds),
            key: key)
        let scratch = try controls(coded)
        guard options.supervisedSteps > 0, coded.classes > 1 else { return [usp, scratch] }
        return [usp, scratch, try supervise(scratch, coded)]
    }

    /// The model with positions for these latents, where it has seen those of smaller images.
    private func onGrid(
        of coded: StudyLatents, _ model: MaskedAutoencoder
    ) throws(USPError) -> Checkpoint {
        let grid = try tokenGrid(coded.shape, patch: options.patch)
        guard model.configuration.transformer.grid != grid else { return try model.checkpoint() }
        var wanted = TransferOptions()
        (wanted.grid, wanted.seed) = (grid, seed("positions"))
        switch options.positions {
        case .bicubic: wanted.resampling = .bicubic
        case .antialias: wanted.resampling = .antialiased
        case .fresh: wanted.ignore = ["pos_embed", "decoder_pos_embed"]
        }
        return try TransferPlan(model.checkpoint(), to: "MAE", wanted).apply()
    }

    private func fitMasked(_ coded: StudyLatents) throws(USPError) -> MaskedAutoencoder {
        let steps = options.pretrainSteps
        // Sizes by options alone are plain blocks'.
        let start = options.blocks == .plain ? nil : "state/pretraining-start.safetensors"
        if let start {
            try MaskedAutoencoder(maskedSizes(coded), seed: seed("pretraining")).save(
                folder.file(start))
        }
        let sizes =
            start == nil
            ? transformerSaid + [
                ("decoder_width", "\(options.decoderWidth)"),
                ("decoder_depth", "\(options.decoderDepth)"),
                ("decoder_heads", "\(options.decoderHeads)"),
            ] : []
        let said =
            sizes + [
                ("batch", "\(min(options.pretrainBatch, coded.training.count))"),
                ("steps", "\(steps)"), ("rate", "\(options.pretrainRate)"),
                ("warmup", "\(min(100, steps / 10))"), ("mask_ratio", "\(options.maskRatio)"),
                ("norm_pix_loss", options.normPixLoss ? "yes" : "no"),
                ("add_noise", options.addNoise ? "yes" : "no"), ("dtype", options.dtype.name),
                ("seed", "\(seed("pretraining"))"),
            ]
        let stage = try train(
            "pretraining", title("pretraining", "masked pretraining"), .pretrain,
            on: coded.training, called: coded.trainingPath, said, from: start,
            curve: "pretrain.loss")
        guard let model = try stage.model() as? MaskedAutoencoder else {
            throw USPError(.internal, "pretraining made something else")
        }
        return model
    }

    /// Untrained encoders, one a repetition.
    private func controls(_ coded: StudyLatents) throws(USPError) -> Encoder {
        let files = (0..<options.seeds).map { "random\($0 == 0 ? "" : "_\($0)").safetensors" }
        let key = try stage("controls", of: sizesSaid + ["\(coded.shape)"], leaving: files) {
            () throws(USPError) in
            let sizes = try maskedSizes(coded)
            for (number, file) in files.enumerated() {
                try MaskedAutoencoder(sizes, seed: seed("random encoder", number)).save(
                    folder.file(file))
            }
        }
        return Encoder(name: "scratch", title: "scratch", files: files, key: key)
    }

    /// An encoder that learned the classes in place of the images.
    private func supervise(
        _ scratch: Encoder, _ coded: StudyLatents
    ) throws(USPError) -> Encoder {
        let file = "supervised.safetensors"
        let key = try stage(
            "supervised",
            of: [scratch.key, coded.key]
                + said("supervised_steps", "finetune_batch", "finetune_rate", "dtype"),
            leaving: [file]
        ) { () throws(USPError) in
            let stage = try fineTune(
                "supervised", title("pretraining", "classifier as encoder"), scratch.files[0],
                coded.training, StudyLatents.trainingFile, steps: options.supervisedSteps,
                seed: seed("supervised"), coded)
            folder.results[number: "supervised.top1"] = try stage.measure().first?.value
            try stage.model().save(folder.file(file))
        }
        return Encoder(
            name: "supervised", title: "a classifier",
            files: [String](repeating: file, count: options.seeds), key: key)
    }

    /// Visible part, prediction and whole of some test images, decoded.
    private func drawMasked(
        _ model: MaskedAutoencoder, _ coded: StudyLatents, _ file: String
    ) throws(USPError) {
        let count = min(12, coded.test.count)
        let chosen = (0..<count).map { $0 * coded.test.count / count }
        let x = try coded.test.selecting(chosen).samples(0..<count).inputs
        var masking = MaskedAutoencoder.Options()
        (masking.maskRatio, masking.seed) = (Double(options.maskRatio), seed("masked picture"))
        masking.normalizesPatches = options.normPixLoss
        let (completed, mask) = try model.completion(of: x, masking)
        let predicted = try coded.autoencoder.decode(completed)
        let whole = try coded.autoencoder.decode(x)
        try folder.savePicture(
            file, ImageGrid(columns: count),
            stacked([try model.hiding(mask, in: whole), predicted, whole]))
    }
}
