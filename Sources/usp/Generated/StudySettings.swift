// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of StudyOptions that have a part in some run.
struct StudySettings: ParsableArguments {
    @Option(
        name: .customLong("seed"),
        help: "Of everything random. Default: 0.")
    var seed: String?

    @Option(
        name: .customLong("seeds"),
        help: "Runs of each comparison, with other seeds; pretraining is made once. 1 to 100. Default: 3.")
    var seeds: String?

    @Option(
        name: .customLong("parts"),
        help: "What is looked at: generation, autoregression, combinations, understanding, observations, solvers; with commas. Default: generation,autoregression,understanding,observations.")
    var parts: String?

    @Option(
        name: .customLong("ablate"),
        help: "Ablations by name, with commas: mask-ratio, vae, noise, resolution, positions, beta-gamma, norm-pix, layers, gates, pretrain-epochs. Default: none.")
    var ablate: String?

    @Option(
        name: .customLong("size"),
        help: "Side of the squares that images become. 8 to 1024. Default: 64.")
    var size: String?

    @Option(
        name: .customLong("channels"),
        help: "1: grey, 3: colour. 1 to 3. Default: 3.")
    var channels: String?

    @Option(
        name: .customLong("crops"),
        help: "Squares cut out of each photograph; 1: its middle. Those to measure on come out of the right fifth, which no other reaches into. 1 to 100000. Default: 1.")
    var crops: String?

    @Option(
        name: .customLong("held-out"),
        help: "Share of each class's images (or of each photograph's squares) that is kept to measure on. 0 to below 1. Default: 0.1.")
    var heldOut: String?

    @Option(
        name: .customLong("images"),
        help: "Images to train on, at most. 2 to 1000000000. Default: 20000.")
    var images: String?

    @Option(
        name: .customLong("test-images"),
        help: "Images to measure on, at most. 2 to 1000000000. Default: 10000.")
    var testImages: String?

    @Flag(
        name: .customLong("mirror"), inversion: .prefixedNo,
        help: "Half of the latents that are trained on are of mirrored images. Default: yes.")
    var mirror: Bool?

    @Flag(
        name: .customLong("strict"), inversion: .prefixedNo,
        help: "An image that cannot be read is an error; else it is left out and said. Default: no.")
    var strict: Bool?

    @Option(
        name: .customLong("vae"),
        help: "An autoencoder's file, or small, the one that comes along; absent: one is trained.")
    var vae: String?

    @Option(
        name: .customLong("factor"),
        help: "Image pixels to a latent one of the autoencoder that is trained. 1 to 128. Default: 4.")
    var factor: String?

    @Option(
        name: .customLong("latent-channels"),
        help: "Channels of its latents. 1 to 65536. Default: 4.")
    var latentChannels: String?

    @Option(
        name: .customLong("base-width"),
        help: "Its channels at full resolution, a multiple of 8. 1 to 65536. Default: 16.")
    var baseWidth: String?

    @Option(
        name: .customLong("autoencoder-steps"),
        help: "Steps of its training. 1 or more. Default: 400.")
    var autoencoderSteps: String?

    @Option(
        name: .customLong("autoencoder-batch"),
        help: "Images of a step. 1 or more. Default: 64.")
    var autoencoderBatch: String?

    @Option(
        name: .customLong("autoencoder-rate"),
        help: "Peak learning rate. 0 or more. Default: 0.002.")
    var autoencoderRate: String?

    @Option(
        name: .customLong("kl-weight"),
        help: "Weight of the divergence. 0 or more. Default: 1e-05.")
    var klWeight: String?

    @Option(
        name: .customLong("inception"),
        help: "Inception's weights, in whose features samples are judged; absent: a small network that is trained on the same images, as a classifier, or masked where there are no classes.")
    var inception: String?

    @Option(
        name: .customLong("judge-steps"),
        help: "Steps of that network's training. 1 or more. Default: 1000.")
    var judgeSteps: String?

    @Option(
        name: .customLong("judge-batch"),
        help: "Images of a step. 1 or more. Default: 128.")
    var judgeBatch: String?

    @Option(
        name: .customLong("patch"),
        help: "Latent pixels of a token's side. 1 to 65536. Default: 2.")
    var patch: String?

    @Option(
        name: .customLong("width"),
        help: "Width of the transformer. 1 to 65536. Default: 128.")
    var width: String?

    @Option(
        name: .customLong("depth"),
        help: "Its blocks. 1 to 65536. Default: 6.")
    var depth: String?

    @Option(
        name: .customLong("heads"),
        help: "Its attention heads. 1 to 65536. Default: 4.")
    var heads: String?

    @Option(
        name: .customLong("decoder-width"),
        help: "Width of the masked autoencoder's decoder. 1 to 65536. Default: 128.")
    var decoderWidth: String?

    @Option(
        name: .customLong("decoder-depth"),
        help: "Its blocks. 1 to 65536. Default: 3.")
    var decoderDepth: String?

    @Option(
        name: .customLong("decoder-heads"),
        help: "Its heads. 1 to 65536. Default: 4.")
    var decoderHeads: String?

    @Option(
        name: .customLong("dtype"),
        help: "Type of the transformers' products. One of f32, bf16. Default: bf16.")
    var dtype: String?

    @Option(
        name: .customLong("mask-ratio"),
        help: "Share of masked tokens. Of few tokens half is better: a quarter tells too little. 0 to below 1. Default: 0.5.")
    var maskRatio: String?

    @Flag(
        name: .customLong("norm-pix-loss"), inversion: .prefixedNo,
        help: "Pretraining's patches are normalised. Default: yes.")
    var normPixLoss: Bool?

    @Flag(
        name: .customLong("add-noise"), inversion: .prefixedNo,
        help: "Pretraining sees noised latents, as the diffusion transformer will. Default: yes.")
    var addNoise: Bool?

    @Option(
        name: .customLong("pretrain-steps"),
        help: "Steps of pretraining. 1 or more. Default: 8000.")
    var pretrainSteps: String?

    @Option(
        name: .customLong("pretrain-batch"),
        help: "Latents of a step. 1 or more. Default: 64.")
    var pretrainBatch: String?

    @Option(
        name: .customLong("pretrain-rate"),
        help: "Peak learning rate. 0 or more. Default: 0.001.")
    var pretrainRate: String?

    @Option(
        name: .customLong("pretrain-size"),
        help: "Side of the images that pretraining sees; absent: size. Positions are resampled after it. 1 to 65536.")
    var pretrainSize: String?

    @Option(
        name: .customLong("positions"),
        help: "How they are, where pretrain_size is another one; fresh are the grid's own. One of bicubic, antialias, fresh. Default: bicubic.")
    var positions: String?

    @Option(
        name: .customLong("supervised-steps"),
        help: "Steps of the encoder that learns classes, a control; 0: without it. 0 or more. Default: 1000.")
    var supervisedSteps: String?

    @Option(
        name: .customLong("train-steps"),
        help: "Steps of each diffusion transformer. 1 or more. Default: 800.")
    var trainSteps: String?

    @Option(
        name: .customLong("train-batch"),
        help: "Latents of a step. 1 or more. Default: 64.")
    var trainBatch: String?

    @Option(
        name: .customLong("train-rate"),
        help: "Constant learning rate. 0 or more. Default: 0.0005.")
    var trainRate: String?

    @Option(
        name: .customLong("layers"),
        help: "Blocks that are carried over; absent: all. 0 or more.")
    var layers: String?

    @Option(
        name: .customLong("gate-bias"),
        help: "Where the gates of all diffusion transformers start: 0 as published, at which pretrained blocks stay silent for much of a short run. Default: 1.")
    var gateBias: String?

    @Flag(
        name: .customLong("affine"), inversion: .prefixedNo,
        help: "Norms of the diffusion transformer have beta and gamma, which take the encoder's. Default: yes.")
    var affine: Bool?

    @Option(
        name: .customLong("blocks"),
        help: "Blocks of encoder and diffusion transformer: plain, or LightningDiT's (RMS norms, SwiGLU, rotary positions). One of plain, lightning. Default: plain.")
    var blocks: String?

    @Option(
        name: .customLong("align"),
        help: "Weight of the diffusion transformer's alignment with the pretrained encoder's tokens of the clean latents (REPA's 0.5, whose teacher has seen more). 0 or more. Default: 0.")
    var align: String?

    @Option(
        name: .customLong("average-decay"),
        help: "Of the averaged weights that are sampled from. 0 to below 1. Default: 0.999.")
    var averageDecay: String?

    @Option(
        name: .customLong("evaluate-every"),
        help: "Samples are judged every so many steps. 1 or more. Default: 100.")
    var evaluateEvery: String?

    @Option(
        name: .customLong("samples"),
        help: "How many. 66 to 10000000. Default: 2000.")
    var samples: String?

    @Option(
        name: .customLong("evaluations"),
        help: "Model evaluations of a sample. 2 to 10000. Default: 10.")
    var evaluations: String?

    @Option(
        name: .customLong("probe-steps"),
        help: "Steps of a linear probe. 1 or more. Default: 5400.")
    var probeSteps: String?

    @Option(
        name: .customLong("probe-batch"),
        help: "Features of a step. 1 or more. Default: 1000.")
    var probeBatch: String?

    @Option(
        name: .customLong("probe-rate"),
        help: "Learning rate for a batch of 256. 0 or more. Default: 1.")
    var probeRate: String?

    @Option(
        name: .customLong("finetune-steps"),
        help: "Steps of fine-tuning. 1 or more. Default: 300.")
    var finetuneSteps: String?

    @Option(
        name: .customLong("finetune-batch"),
        help: "Latents of a step. 1 or more. Default: 128.")
    var finetuneBatch: String?

    @Option(
        name: .customLong("finetune-rate"),
        help: "Peak learning rate. 0 or more. Default: 0.0005.")
    var finetuneRate: String?

    @Option(
        name: .customLong("few-labels"),
        help: "Labels a class where there are few. 1 or more. Default: 100.")
    var fewLabels: String?

    @Option(
        name: .customLong("few-labels-steps"),
        help: "Steps of fine-tuning on these. 1 or more. Default: 100.")
    var fewLabelsSteps: String?

    @Option(
        name: .customLong("solver-samples"),
        help: "Samples of each solver. 66 to 10000000. Default: 500.")
    var solverSamples: String?

    @Option(
        name: .customLong("solver-evaluations"),
        help: "Evaluations at which solvers are compared, multiples of 4. 4 to 500. Default: 8,16,32.")
    var solverEvaluations: String?

    @Option(
        name: .customLong("ablation-steps"),
        help: "Steps of generation in an ablation. 1 or more. Default: 400.")
    var ablationSteps: String?

    @Option(
        name: .customLong("mar-steps"),
        help: "Steps of each masked autoregressive model. 1 or more. Default: 800.")
    var marSteps: String?

    @Option(
        name: .customLong("mar-rate"),
        help: "Their constant learning rate. 0 or more. Default: 0.001.")
    var marRate: String?

    @Option(
        name: .customLong("mar-samples"),
        help: "Their samples at each point. 66 to 10000000. Default: 500.")
    var marSamples: String?

    @Option(
        name: .customLong("mar-iterations"),
        help: "Iterations of these samples, at most as many as tokens. 1 to 1000000. Default: 8.")
    var marIterations: String?

    @Option(
        name: .customLong("mar-copies"),
        help: "How often a token is denoised a step. 1 to 4096. Default: 2.")
    var marCopies: String?

    @Option(
        name: .customLong("mar-buffer"),
        help: "Rows of the class before the patches. 1 to 65536. Default: 4.")
    var marBuffer: String?

    @Option(
        name: .customLong("mar-head-width"),
        help: "Width of their diffusion heads. 1 to 65536. Default: 192.")
    var marHeadWidth: String?

    @Option(
        name: .customLong("mar-head-depth"),
        help: "Residual blocks of the heads. 1 to 4096. Default: 2.")
    var marHeadDepth: String?

    @Option(
        name: .customLong("mar-control-steps"),
        help: "Steps that the one from scratch goes on for; absent: as many as the pretraining took multiply-adds. 0 or more.")
    var marControlSteps: String?

    /// Names of what was said.
    var said: [String] {
        [
            seed == nil ? nil : "seed",
            seeds == nil ? nil : "seeds",
            parts == nil ? nil : "parts",
            ablate == nil ? nil : "ablate",
            size == nil ? nil : "size",
            channels == nil ? nil : "channels",
            crops == nil ? nil : "crops",
            heldOut == nil ? nil : "held_out",
            images == nil ? nil : "images",
            testImages == nil ? nil : "test_images",
            mirror == nil ? nil : "mirror",
            strict == nil ? nil : "strict",
            vae == nil ? nil : "vae",
            factor == nil ? nil : "factor",
            latentChannels == nil ? nil : "latent_channels",
            baseWidth == nil ? nil : "base_width",
            autoencoderSteps == nil ? nil : "autoencoder_steps",
            autoencoderBatch == nil ? nil : "autoencoder_batch",
            autoencoderRate == nil ? nil : "autoencoder_rate",
            klWeight == nil ? nil : "kl_weight",
            inception == nil ? nil : "inception",
            judgeSteps == nil ? nil : "judge_steps",
            judgeBatch == nil ? nil : "judge_batch",
            patch == nil ? nil : "patch",
            width == nil ? nil : "width",
            depth == nil ? nil : "depth",
            heads == nil ? nil : "heads",
            decoderWidth == nil ? nil : "decoder_width",
            decoderDepth == nil ? nil : "decoder_depth",
            decoderHeads == nil ? nil : "decoder_heads",
            dtype == nil ? nil : "dtype",
            maskRatio == nil ? nil : "mask_ratio",
            normPixLoss == nil ? nil : "norm_pix_loss",
            addNoise == nil ? nil : "add_noise",
            pretrainSteps == nil ? nil : "pretrain_steps",
            pretrainBatch == nil ? nil : "pretrain_batch",
            pretrainRate == nil ? nil : "pretrain_rate",
            pretrainSize == nil ? nil : "pretrain_size",
            positions == nil ? nil : "positions",
            supervisedSteps == nil ? nil : "supervised_steps",
            trainSteps == nil ? nil : "train_steps",
            trainBatch == nil ? nil : "train_batch",
            trainRate == nil ? nil : "train_rate",
            layers == nil ? nil : "layers",
            gateBias == nil ? nil : "gate_bias",
            affine == nil ? nil : "affine",
            blocks == nil ? nil : "blocks",
            align == nil ? nil : "align",
            averageDecay == nil ? nil : "average_decay",
            evaluateEvery == nil ? nil : "evaluate_every",
            samples == nil ? nil : "samples",
            evaluations == nil ? nil : "evaluations",
            probeSteps == nil ? nil : "probe_steps",
            probeBatch == nil ? nil : "probe_batch",
            probeRate == nil ? nil : "probe_rate",
            finetuneSteps == nil ? nil : "finetune_steps",
            finetuneBatch == nil ? nil : "finetune_batch",
            finetuneRate == nil ? nil : "finetune_rate",
            fewLabels == nil ? nil : "few_labels",
            fewLabelsSteps == nil ? nil : "few_labels_steps",
            solverSamples == nil ? nil : "solver_samples",
            solverEvaluations == nil ? nil : "solver_evaluations",
            ablationSteps == nil ? nil : "ablation_steps",
            marSteps == nil ? nil : "mar_steps",
            marRate == nil ? nil : "mar_rate",
            marSamples == nil ? nil : "mar_samples",
            marIterations == nil ? nil : "mar_iterations",
            marCopies == nil ? nil : "mar_copies",
            marBuffer == nil ? nil : "mar_buffer",
            marHeadWidth == nil ? nil : "mar_head_width",
            marHeadDepth == nil ? nil : "mar_head_depth",
            marControlSteps == nil ? nil : "mar_control_steps",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout StudyOptions) throws(USPError) {
        if let seed { try options.set("seed", seed) }
        if let seeds { try options.set("seeds", seeds) }
        if let parts { try options.set("parts", parts) }
        if let ablate { try options.set("ablate", ablate) }
        if let size { try options.set("size", size) }
        if let channels { try options.set("channels", channels) }
        if let crops { try options.set("crops", crops) }
        if let heldOut { try options.set("held_out", heldOut) }
        if let images { try options.set("images", images) }
        if let testImages { try options.set("test_images", testImages) }
        if let mirror { try options.set("mirror", mirror ? "yes" : "no") }
        if let strict { try options.set("strict", strict ? "yes" : "no") }
        if let vae { try options.set("vae", vae) }
        if let factor { try options.set("factor", factor) }
        if let latentChannels { try options.set("latent_channels", latentChannels) }
        if let baseWidth { try options.set("base_width", baseWidth) }
        if let autoencoderSteps { try options.set("autoencoder_steps", autoencoderSteps) }
        if let autoencoderBatch { try options.set("autoencoder_batch", autoencoderBatch) }
        if let autoencoderRate { try options.set("autoencoder_rate", autoencoderRate) }
        if let klWeight { try options.set("kl_weight", klWeight) }
        if let inception { try options.set("inception", inception) }
        if let judgeSteps { try options.set("judge_steps", judgeSteps) }
        if let judgeBatch { try options.set("judge_batch", judgeBatch) }
        if let patch { try options.set("patch", patch) }
        if let width { try options.set("width", width) }
        if let depth { try options.set("depth", depth) }
        if let heads { try options.set("heads", heads) }
        if let decoderWidth { try options.set("decoder_width", decoderWidth) }
        if let decoderDepth { try options.set("decoder_depth", decoderDepth) }
        if let decoderHeads { try options.set("decoder_heads", decoderHeads) }
        if let dtype { try options.set("dtype", dtype) }
        if let maskRatio { try options.set("mask_ratio", maskRatio) }
        if let normPixLoss { try options.set("norm_pix_loss", normPixLoss ? "yes" : "no") }
        if let addNoise { try options.set("add_noise", addNoise ? "yes" : "no") }
        if let pretrainSteps { try options.set("pretrain_steps", pretrainSteps) }
        if let pretrainBatch { try options.set("pretrain_batch", pretrainBatch) }
        if let pretrainRate { try options.set("pretrain_rate", pretrainRate) }
        if let pretrainSize { try options.set("pretrain_size", pretrainSize) }
        if let positions { try options.set("positions", positions) }
        if let supervisedSteps { try options.set("supervised_steps", supervisedSteps) }
        if let trainSteps { try options.set("train_steps", trainSteps) }
        if let trainBatch { try options.set("train_batch", trainBatch) }
        if let trainRate { try options.set("train_rate", trainRate) }
        if let layers { try options.set("layers", layers) }
        if let gateBias { try options.set("gate_bias", gateBias) }
        if let affine { try options.set("affine", affine ? "yes" : "no") }
        if let blocks { try options.set("blocks", blocks) }
        if let align { try options.set("align", align) }
        if let averageDecay { try options.set("average_decay", averageDecay) }
        if let evaluateEvery { try options.set("evaluate_every", evaluateEvery) }
        if let samples { try options.set("samples", samples) }
        if let evaluations { try options.set("evaluations", evaluations) }
        if let probeSteps { try options.set("probe_steps", probeSteps) }
        if let probeBatch { try options.set("probe_batch", probeBatch) }
        if let probeRate { try options.set("probe_rate", probeRate) }
        if let finetuneSteps { try options.set("finetune_steps", finetuneSteps) }
        if let finetuneBatch { try options.set("finetune_batch", finetuneBatch) }
        if let finetuneRate { try options.set("finetune_rate", finetuneRate) }
        if let fewLabels { try options.set("few_labels", fewLabels) }
        if let fewLabelsSteps { try options.set("few_labels_steps", fewLabelsSteps) }
        if let solverSamples { try options.set("solver_samples", solverSamples) }
        if let solverEvaluations { try options.set("solver_evaluations", solverEvaluations) }
        if let ablationSteps { try options.set("ablation_steps", ablationSteps) }
        if let marSteps { try options.set("mar_steps", marSteps) }
        if let marRate { try options.set("mar_rate", marRate) }
        if let marSamples { try options.set("mar_samples", marSamples) }
        if let marIterations { try options.set("mar_iterations", marIterations) }
        if let marCopies { try options.set("mar_copies", marCopies) }
        if let marBuffer { try options.set("mar_buffer", marBuffer) }
        if let marHeadWidth { try options.set("mar_head_width", marHeadWidth) }
        if let marHeadDepth { try options.set("mar_head_depth", marHeadDepth) }
        if let marControlSteps { try options.set("mar_control_steps", marControlSteps) }
    }
}
