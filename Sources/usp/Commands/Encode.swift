// `usp encode IMAGE... --vae VAE -o latents.safetensors` and `usp decode`: images and latents; of a
// folder a data set.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Images to the latents of an autoencoder.",
        discussion: """
            Writes one array `latents` [B, C, h, w], normalised as the autoencoder's users expect \
            it (posterior mean, times its scale). Images are turned upright by their camera's note \
            of orientation (Exif), cut to a multiple of the factor and must come out equally large.

            Of a folder with one subfolder for each class it writes what --cache of the commands \
            that train does: the posterior's moments of both orientations, cut in the middle as ADM \
            does, the labels, the scale and the names of the classes. With --teacher features of \
            each image stand beside its latent, once, and images are kept in one orientation, as \
            REPA's training sees them.

            With --statistics it writes mean and std of each latent channel instead, of a folder of \
            images or of latents: what VA-VAE's users know as latents_stats.pt. `convert \
            --statistics` puts them into the autoencoder's file.
            """)

    @Argument(help: "Image files, or one folder of them by class.")
    var images: [String]

    @Option(help: "The autoencoder; statistics of latents need none.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments

    @Option(name: [.short, .long], help: "The file to write.")
    var output: String

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    @Flag(
        help: """
            Go on without images that cannot be read: in a folder another one of its class is taken \
            in the place of each. Else they are an error.
            """)
    var skipUnreadable = false

    @Option(help: "Side of the square that a folder's images are cut to.")
    var size: Int?

    @OptionGroup(title: "Features beside the latents (REPA)") var teacher: TeacherArguments

    @Option(help: "Side of a tile in latent pixels, for large images; 0 takes the whole image.")
    var tile = 0

    @Flag(help: "Sum 3x3 convolutions plainly; slower, and the default differs by less than 1e-5.")
    var exact = false

    @Flag(help: "Write mean and std of each latent channel, of a folder of images or of latents.")
    var statistics = false

    func validate() throws { try checkTile(tile) }

    func run() throws {
        try Job.begin()
        if statistics { return try measure() }
        let isFolder = images.count == 1 && FolderListing.isFolder(images[0])
        try require(
            isFolder || size == nil, .argument, "--size has no part in encoding single images")
        try require(
            isFolder || teacher.teacher == nil, .argument,
            "--teacher has no part in encoding single images")
        return isFolder ? try encodeFolder() : try encodeImages()
    }

    private func encodeFolder() throws {
        try require(
            output.hasSuffix(".safetensors"), .argument,
            "\(output): a data set is written as .safetensors")
        try require(tile == 0, .argument, "--tile has no part in encoding a folder")
        var options = DataOptions()
        options.size = size ?? options.size
        (options.asStored, options.skipUnreadable) = (asStored, skipUnreadable)
        try teacher.apply(to: &options)
        options.ranks = Job.ranks
        let data = try DataSet(images[0], model(), options)
        for note in data.leftOut { complain("note: \(images[0]): \(note)") }
        Interrupt.listen()
        try data.writeLatents(output, progress: encodingProgress("encode"))
        var unreadable = UnreadableNotes()
        unreadable.tell(data)
        say(
            "\(output): \(grouped(data.count)) images "
                + (data.classes == 0 ? "without classes" : "of \(data.classes) classes")
                + ", latents \(data.sampleShape)"
                + (data.featureShape.map { ", features \($0)" } ?? ""))
    }

    private func measure() throws {
        try require(
            images.count == 1, .argument, "--statistics: of one folder, or one file of latents")
        try require(
            teacher.teacher == nil, .argument, "--teacher has no part in --statistics")
        var options = DataOptions()
        (options.size, options.asStored) = (size ?? options.size, asStored)
        guard Job.writes else { return }
        Interrupt.listen()
        let isEncoded = try DataSet.holdsLatents(images[0])
        let found = try DataSet.latentStatistics(
            of: images[0], isEncoded ? nil : model(), options,
            progress: encodingProgress("encode"))
        try found.write(output)
        print("\(output): mean and std of \(found.mean.count) channels")
    }

    private func model() throws -> VAE {
        guard let vae else { throw ValidationError("--vae: images need their autoencoder") }
        return try autoencoder.load(vae) { $0.exact = exact }
    }

    private func encodeImages() throws {
        let ranks = Job.ranks ?? .alone
        let writer = try ranks.together { () throws(USPError) -> ArrayWriter? in
            guard ranks.writes else { return nil }
            return try ArrayWriter(output)
        }
        let model = try model()
        var options = VAE.Options()
        options.tile = tile
        options.exact = exact
        Interrupt.listen()
        var progress = Progress("encode", total: images.count, unit: "images")
        var parts: [Tensor] = []
        try ranks.share(images.count) { index, emit throws(USPError) in
            try Interrupt.check()
            guard let image = try read(images[index], model) else { return }
            let latents = try model.encode(image, options).mean
            try emit(([index] + latents.shape.extents).bytes + latents.values.bytes)
        } take: { chunk throws(USPError) in
            let head = [Int](bytes: chunk.prefix(5 * 8))
            let latents = try Tensor(
                Shape(Array(head.dropFirst())), [Float](bytes: chunk.dropFirst(5 * 8)))
            try require(
                parts.isEmpty || parts[0].shape == latents.shape, .shape,
                "\(images[head[0]]): latents \(latents.shape), the first image gave "
                    + "\(parts.first?.shape ?? [])")
            parts.append(latents)
            progress.update(parts.count)
        }
        guard let writer else { return }
        try require(!parts.isEmpty, .format, "\(output): none of the images can be read")
        let shape = Shape([parts.count] + parts[0].shape.extents.dropFirst())
        let all = try Tensor(shape, parts.flatMap(\.values))
        try LatentFile.write(all, of: model, writer)
        say("\(output): latents \(shape)")
    }

    /// nil for one that cannot be read, if the command goes on without it.
    private func read(_ path: String, _ model: VAE) throws(USPError) -> Tensor? {
        do throws(USPError) {
            return try ImageFiles.read(
                path, channels: model.configuration.imageChannels, multipleOf: model.factor,
                asStored: asStored)
        } catch {
            guard skipUnreadable, error.kind != .memory else { throw error }
            complain("note: left out \(error.message)", onEvery: true)
            return nil
        }
    }
}

struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Latents of an autoencoder to images, one PNG each.")

    @Argument(help: "A file with an array `latents` [B, C, h, w], as encode writes it.")
    var latents: String

    @Option(help: "The autoencoder.")
    var vae: String

    @OptionGroup var autoencoder: AutoencoderArguments

    @Option(name: [.short, .long], help: "The PNG to write; several are numbered.")
    var output: String

    @Option(help: "Side of a tile in latent pixels, for large images; 0 takes the whole image.")
    var tile = 0

    @Flag(help: "Sum 3x3 convolutions plainly; slower, and the default differs by less than 1e-5.")
    var exact = false

    func validate() throws { try checkTile(tile) }

    func run() throws {
        try ImageFiles.expectWritable(output)
        let values = try LatentFile.read(latents)
        let model = try autoencoder.load(vae)
        try LatentFile.expectScale(of: model, vae, latents)
        var options = VAE.Options()
        options.tile = tile
        options.exact = exact
        Interrupt.listen()
        let count = values.shape[0]
        var progress = Progress("decode", total: count, unit: "images")
        for index in 0..<count {
            try Interrupt.check()
            let images = try model.decode(values.detachedRows(index..<index + 1), options)
            let shape: Shape = [1, images.shape[2], images.shape[3], images.shape[1]]
            let image = try ImageFiles.image(images.pixels(), 0, shape)
            try PNG.write(count == 1 ? output : ImageFiles.numbered(output, index), image)
            progress.update(index + 1)
        }
        print("\(output): \(grouped(count)) images")
    }
}

private func checkTile(_ tile: Int) throws {
    guard tile >= 0 else { throw ValidationError("--tile: \(tile), expected 0 or more") }
}
