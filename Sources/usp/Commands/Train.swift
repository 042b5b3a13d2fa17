// `usp train DATA --from init.safetensors -o sit.safetensors`: a DiT or SiT.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a DiT, SiT or MAR from transferred weights, or from scratch.",
        discussion: """
            The recipe of DiT, SiT and USP, where no option says otherwise: latents drawn from the \
            posterior of 256x256 images, cut in the middle as ADM does, and of their mirror images; \
            AdamW (0.9, 0.999) at a constant rate of 1e-4, no weight decay, batch 256, 1400 epochs, \
            a tenth of the labels dropped, a moving average of decay 0.9999, which warms up \
            (the originals' does not: --no-ema-warmup). A SiT learns the \
            velocity on the straight path at uniform times, a DiT the noise and its variance over \
            1000 linear steps. Images are cut to what a model of --from takes. With --cache the \
            latents are the same, but each image is encoded only once.

            Data without classes, such as a folder without subfolders, is one class: sample it as class 0.

            --family MAR, or a MAR of --from, trains a masked autoregressive model by its own recipe: \
            batch 2048, 400 epochs, a rate of 8e-4 after 100 epochs of warm-up, AdamW (0.9, 0.95) with a decay of \
            0.02 outside of the head, gradients clipped to 3, dropout 0.1, each token denoised \
            --copies (4) times a step. A masked autoencoder of --from gives its decoder too, where that \
            has the encoder's sizes, as pretrain --model MAE-B/1-MAR makes it; what does not fit is said.

            --align 0.5 --teacher dinov2_vitb14.pth is REPA's training (with --batch 256 --clip-norm 1): \
            projectors are added where the start has none, behind block 4 of 12 or 8 of more. A \
            --cache, or a file of encode --teacher, has the teacher's features; else they are computed \
            anew in each step.

            OUT has the averaged weights, which are the ones to sample from. Beside it stand \
            OUT-state.safetensors, with the weights as trained, and OUT-log.jsonl. An interrupted \
            run has saved both; the same command goes on to the same bits, with --steps or --epochs \
            for longer.
            """)

    @OptionGroup var data: DataArguments
    @OptionGroup(title: "Run") var training: RunArguments
    @OptionGroup(title: "Model") var start: StartArguments

    @Option(help: "DiT, SiT or MAR, where the file does not tell.")
    var family: String?

    @OptionGroup(title: "Training") var settings: DiffusionSettings
    @OptionGroup(title: "MAR") var autoregression: AutoregressionArguments
    @OptionGroup(title: "Alignment with a teacher (REPA)") var teacher: TeacherArguments

    @Option(help: "DiT's noise schedule: linear (default), cosine.")
    var noiseSchedule: String?

    @Option(help: "SiT's path: Linear (default), GVP, VP.")
    var path: String?

    @Option(
        help: "What is learned: DiT epsilon (default), x0; SiT velocity (default), score, noise.")
    var prediction: String?

    @Option(help: "Weight of SiT's loss over time: none (default), velocity, likelihood.")
    var lossWeight: String?

    @Option(help: "How SiT's times are drawn: uniform (default), lognormal as LightningDiT's.")
    var times: String?

    @Flag(help: "SiT's loss has the cosine between velocities beside it, as LightningDiT's.")
    var cosineLoss = false

    @Option(help: "Images (or latents) of the same classes: the loss on them is logged each epoch.")
    var val: String?

    @Option(
        help: """
            A picture of 32 samples every so many steps, OUT-samples-STEP.png; from the averaged weights, \
            of the same noise and labels each time.
            """)
    var sampleEvery: Int?

    @Option(
        help: """
            Log the Frechet distance of samples every so many steps, in the features of --judge, to \
            --val or else to what is trained on, through the same autoencoder.
            """)
    var frechetEvery: Int?

    @Option(help: "Samples of a distance; 2,000 by default.")
    var frechetSamples: Int?

    @Option(help: "Points of time of the samples' solver, of a MAR iterations; 20 by default.")
    var sampleSteps: Int?

    @Option(
        help: "A classifier of latents or of images, as finetune makes, or Inception's weights.")
    var judge: String?

    func validate() throws {
        try start.requireOne()
        try training.requireOutput()
    }

    func run() throws {
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        try Run.checkOutput(training.output, from: start.from)
        var of = family.map { [(name: "family", value: $0)] } ?? []
        let from = start.from.map(StageStart.file) ?? .fresh
        let recipe = Recipe.train.serving(from, table: start.table, &of)
        let options = try StageOptions(
            recipe, training, start, settings,
            of.map { ($0.name, $0.value) } + autoregression.said + [
                ("noise_schedule", noiseSchedule),
                ("path", path),
                ("prediction", prediction), ("loss_weight", lossWeight), ("times", times),
                ("cosine_loss", cosineLoss ? "yes" : nil),
                ("sample_every", sampleEvery.map(String.init)),
                ("frechet_every", frechetEvery.map(String.init)),
                ("frechet_samples", frechetSamples.map(String.init)),
                ("sample_steps", sampleSteps.map(String.init)), ("judge", judge),
            ])
        let side = try start.from.map { path throws(USPError) in
            try StageStart.file(path).side(options)
        }
        let source = try data.source(settings.dtype())
        let size = { (factor: Int) in (side ?? nil).map { $0 * factor } ?? 256 }
        var reading = options.reading
        try teacher.apply(to: &reading)
        let images = try source.open(reading, training, size: size)
        let other = try val.map { path throws(USPError) in
            try source.open(path, options.reading, cache: data.validationCache, size: size)
        }
        let stage = try Stage(
            recipe, on: images, through: source.vae, options, validation: other,
            progress: encodingProgress("encode"))
        let numbers = try CommandRun(stage, training).train(evaluate: { _ throws(USPError) in
            try stage.measure(isStopped: { Interrupt.isRaised })
        })
        say(
            "\(training.output): \(stage.trainer.family), \(grouped(stage.parameters)) "
                + "parameters, \(grouped(stage.steps)) steps"
                + numbers.map { ", \($0.phrase)" }.joined())
    }
}
