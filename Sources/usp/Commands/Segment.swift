// `usp segment IMAGES MASKS --vae VAE --from mae.safetensors --classes 150 -o segmenter.safetensors`
// and `usp predict-masks SEGMENTER IMAGES -o FOLDER`.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Segment: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a network that gives every pixel a class, from pretrained weights.",
        discussion: """
            IMAGES and MASKS are folders of pairs with one path but for the ending, such as ADE20K's \
            images/training and annotations/training; masks are 8-bit indices of classes, grey or of \
            a palette, 255 for none.

            --head upernet, mmsegmentation's recipe for masked autoencoders: images rescaled by 0.5 \
            to 2, cut, flipped, with other colours, each crop encoded (the mean); UperNet with an \
            auxiliary head; AdamW, rate 1e-4, weight decay 0.05, layer decay 0.65, drop path 0.1, \
            160,000 steps of 16, a line to zero behind a short warm-up. --head linear, DINOv2's: the \
            encoder stays as it is, and a batch norm and a linear layer learn of its maps of the \
            middle of each image, which are made once; rate 1e-3, 40,000 steps of 16.

            mIoU, mAcc and aAcc are measured on --val-images and --val-masks at the end of each epoch, \
            at the files' sizes, over windows.
            """)

    @Argument(help: "A folder of images.")
    var images: String

    @Argument(help: "A folder of their masks.")
    var masks: String

    @Option(help: "The autoencoder that images go through; none for a network of pixels.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments
    @OptionGroup var reading: ReadingArguments

    @Option(help: "Side of the square samples; by default what the start was trained on, else 512.")
    var size: Int?

    @Option(help: "Classes of the masks: labels 0 to one less.")
    var classes: Int

    @Flag(help: "Label 0 is no class and the others move down by one, as in ADE20K.")
    var reduceZeroLabel = false

    @Option(help: "upernet or linear.")
    var head = "upernet"

    @Option(help: "Channels of UperNet's maps; by default the width.")
    var headChannels: Int?

    @Flag(help: "Biases by how far tokens are apart, zero at first, as MAE's transfers have.")
    var relativePositions = false

    @Option(help: "Images to measure on.")
    var valImages: String?

    @Option(help: "Their masks.")
    var valMasks: String?

    @Option(
        help: """
            What pixels become without --vae: half, -1 to 1 (default), or imagenet, by ImageNet's mean \
            and deviation, as encoders of MAE, BEiT and timm have learned to see.
            """)
    var normalization: String?

    @OptionGroup(title: "Run") var training: RunArguments
    @OptionGroup(title: "Model") var start: StartArguments
    @OptionGroup(title: "Training") var settings: SegmentationSettings

    func validate() throws {
        try start.requireOne()
        try training.requireOutput()
        if (valImages == nil) != (valMasks == nil) {
            throw ValidationError("--val-images and --val-masks: one needs the other")
        }
        if head != "upernet" && head != "linear" {
            throw ValidationError("--head: \(head), expected upernet or linear")
        }
        if head == "linear" && headChannels != nil {
            throw ValidationError("--head-channels: has no part in a linear head")
        }
    }

    func run() throws {
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        try Run.checkOutput(training.output, from: start.from)
        let recipe = head == "linear" ? Recipe.segmentLinear : .segment
        let options = try StageOptions(
            recipe, training, start, settings,
            [
                ("classes", String(classes)), ("head_channels", headChannels.map(String.init)),
                ("relative_positions", relativePositions ? "yes" : nil),
            ])
        let encoder = try autoencoder.load(ifAny: vae)
        let data = try pairs(images, masks, encoder, options)
        var val: DataSet?
        if let valImages, let valMasks { val = try pairs(valImages, valMasks, encoder, options) }
        let stage = try Stage(
            recipe, on: data, through: encoder, options, validation: val,
            progress: encodingProgress("encode"))
        let run = try CommandRun(stage, training)
        let scores = try run.train(evaluate: { _ throws(USPError) in
            try stage.measure(isStopped: { Interrupt.isRaised })
        })
        say(
            "\(training.output): \(grouped(stage.steps)) steps"
                + scores.map { ", \($0.phrase)" }.joined())
    }

    private func pairs(
        _ images: String, _ masks: String, _ encoder: VAE?, _ options: StageOptions
    ) throws(USPError) -> DataSet {
        var reading = options.reading
        (reading.masks, reading.reducesZeroLabel) = (masks, reduceZeroLabel)
        if let normalization { reading.normalization = try .named(normalization) }
        self.reading.apply(to: &reading)
        let side = try start.from.map { path throws(USPError) in
            try StageStart.file(path).side(options)
        }
        reading.size = size ?? (side ?? nil).map { $0 * (encoder?.factor ?? 1) } ?? 512
        let data = try DataSet(images, encoder, reading)
        for note in data.leftOut { complain("note: \(images): \(note)") }
        return data
    }
}

struct PredictMasks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict-masks", abstract: "Give every pixel of images a class.",
        discussion: """
            For IMAGE.jpg FOLDER/IMAGE.png holds the classes as indices, of the image's size, with a \
            palette; FOLDER/IMAGE-overlay.png shows them over the image. The shorter side is rescaled \
            to --size, and the network looks through windows of that size every two thirds of it.
            """)

    @Argument(help: "The network, such as segment writes; mmsegmentation's and BEiT's files too.")
    var model: String

    @OptionGroup var seen: SeenArguments

    @Option(name: [.short, .long], help: "The folder to write into; it is made.")
    var output: String

    @Option(help: "Shorter side and windows; by default what the network was trained on.")
    var size: Int?

    @Option(help: "Attention heads, where the file does not tell.")
    var heads: Int?

    @Option(
        help: """
            What pixels become without --vae: half, -1 to 1, or imagenet, by ImageNet's mean and \
            deviation; by default as the network's file says, imagenet for other programs' files.
            """)
    var normalization: String?

    @Flag(help: "Masks alone.")
    var noOverlay = false

    func run() throws {
        Interrupt.listen()
        let network = try Segmenter.load(model, seen.loading(heads: heads)).told()
        let vae = try seen.images(for: network, model).vae
        let side = size ?? network.inputShape(batch: 1)[2] * (vae?.factor ?? 1)
        let paths = try Images.paths(seen.images)
        try FolderListing.make(output)
        let seenAs = try normalization.map { name throws(USPError) in
            try PixelNormalization.named(name)
        }
        let normalized = seenAs ?? network.normalization
        if vae == nil, normalized != .half { complain("note: pixels become \(normalized.words)") }
        let read = Set(paths.map(ImageListing.realPath))
        var progress = Progress("masks", total: paths.count, unit: "images")
        var (written, count): (Set<String>, Int) = ([], 0)
        for (index, path) in paths.enumerated() {
            let name = ImageFiles.withoutEnding(
                path.split(separator: "/").last.map(String.init) ?? path)
            try require(
                written.insert(name).inserted, .argument,
                "\(path): another image is called \(name) too; give their folders one by one")
            let outputs = ["\(output)/\(name).png", "\(output)/\(name)-overlay.png"]
            for path in outputs.prefix(noOverlay ? 1 : 2) {
                try require(
                    !read.contains(ImageListing.realPath(path)), .argument,
                    "\(path): is one of the images to read; write into another folder")
            }
            progress.update(index)
            let image = try seen.reading { () throws(USPError) in
                try Images.read(path, asStored: seen.asStored)
            }
            guard let image else { continue }
            try network.writeMask(
                of: image, vae: vae, side: side, to: outputs[0],
                overlay: noOverlay ? nil : outputs[1], seenAs)
            count += 1
        }
        progress.update(paths.count)
        print("\(output): \(count) masks")
    }
}
