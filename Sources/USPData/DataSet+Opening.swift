// What a path holds becomes a data set: images as they are needed or from a cache, or latents.

import USPBase
import USPFiles
import USPTensor

extension DataSet {
    /// Images or latents, as the path's content says.
    ///
    /// - path: a folder of PNG and JPEG images, with one subfolder for each class or without any;
    ///   a file of latents: what `cache` and `writeLatents` write, or an array `latents`,
    ///   normalised, with `labels` if there are some; a folder of the original's npz files, of REPA's
    ///   npy files (or the folder that has them as `vae-sd`), or of LightningDiT's shards with raw latents, whose statistics are `latents_stats.pt` beside them,
    ///   else the autoencoder's, else measured and written there
    /// - encoder: images become latents by it, else they stay what they are; latents take from it
    ///   the scale that their file does not tell
    /// - progress: told how many of all encodings of a cache are done; its error ends the call
    /// - Throws: for a folder without images, a size that the autoencoder cannot halve so often, a
    ///   file of something else or of another autoencoder's latents
    package convenience init(
        _ path: String, encoder: LatentEncoder?, _ options: DataOptions,
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) {
        if let masks = options.masks {
            try require(
                options.teacher == nil, .argument, "teacher: has no part in images with masks")
            let folder = try SceneFolder(
                path, masks: masks, reducesZeroLabel: options.reducesZeroLabel,
                asStored: options.asStored)
            try self.init(.scenes(EncodedScenes(folder, encoder, options)), options)
            return
        }
        for (name, isGiven) in [
            ("reduce_zero_label", options.reducesZeroLabel),
            ("normalization", options.normalization != .half),
        ] where isGiven {
            throw USPError(.argument, "\(name): has no part without masks")
        }
        if try DataSet.holdsLatents(path) {
            let set = try DataSet.latents(path, encoder)
            if let teacher = try TeacherFeatures(options) {
                try require(
                    set.features != nil, .argument,
                    "\(path): has no features of a teacher beside its latents; encode the images with "
                        + "it"
                        + (FolderListing.isFolder("\(path)/images") ? " (\(path)/images)" : ""))
                try require(
                    set.teacher.map(teacher.made) ?? true, .argument,
                    "\(path): has features of the \(set.teacher ?? ""), expected of the "
                        + "\(teacher.words)")
            }
            var told: [String] = []
            if let encoder {
                if let note = set.difference(from: encoder) { told.append(note) }
            } else if try LatentSet.deviations(in: path) != nil {
                told.append(
                    "scale 0.18215, REPA's, of the autoencoder's latents; an autoencoder of another "
                        + "tells it, if it is given")
            }
            try self.init(.latents(set), options.untaught, notes: told)
            return
        }
        try options.check(for: DataOptions.images)
        try require(
            options.cache == nil || (options.mirror == nil && options.cropArea.isEmpty), .argument,
            "mirror, crop_area: have no part in a cache, whose images are cut in the middle and kept "
                + "in both orientations")
        if options.cache != nil, let name = options.imagesAlone.first {
            throw USPError(
                .argument,
                "\(name): has no part in a cache, whose images are encoded once; mixup, cutmix and "
                    + "mirror images are what latents can have")
        }
        let images = try EncodedImages(
            ImageFolder.any(path, asStored: options.asStored), encoder, options)
        guard let cache = options.cache else {
            try self.init(.images(images), options)
            return
        }
        var (set, notes) = try images.cached(cache, progress)
        if let encoder {
            // A cache is what the autoencoder gave; how that is scaled is the autoencoder's to say.
            if set.scale == nil { try encoder.expectStatistics(cache) }
            if let own = encoder.latentScale { (set.scale, set.shift) = (own.scale, own.shift) }
        }
        try self.init(.latents(set), options.decoded, notes: images.leftOut + notes)
    }

    private static func latents(
        _ path: String, _ encoder: LatentEncoder?
    ) throws(USPError) -> LatentSet {
        var set = try read(path, measures: encoder?.lacksStatistics != false)
        if let encoder {
            try require(
                set.channels == encoder.latentChannels, .shape,
                "\(path): latents of \(set.channels) channels, the autoencoder's have "
                    + "\(encoder.latentChannels)")
            if set.scale == nil {
                try encoder.expectStatistics(path)
                (set.scale, set.shift) = (encoder.scale, encoder.shift)
            }
        }
        // REPA's code has it for whatever autoencoder.
        if set.scale == nil, set.channels == 4, try LatentSet.deviations(in: path) != nil {
            set.scale = [0.18215]
        }
        try require(
            set.scale != nil, .argument,
            "\(path): does not tell its latents' scale; the autoencoder is needed for that")
        return set
    }

    static func read(_ path: String, measures: Bool) throws(USPError) -> LatentSet {
        guard FolderListing.isFolder(path) else { return try LatentSet.load(path) }
        if let folder = try LatentSet.deviations(in: path) {
            return try LatentSet.load(deviations: folder)
        }
        let shards = try LatentSet.shards(in: path)
        return shards.isEmpty
            ? try LatentSet.load(folder: path)
            : try LatentSet.load(shards: shards, folder: path, measures: measures)
    }

    /// Whether a path is of latents: a file, a folder of safetensors, REPA's, or one with an npz file in the first of
    /// its subfolders that has any file.
    public static func holdsLatents(_ path: String) throws(USPError) -> Bool {
        guard FolderListing.isFolder(path) else { return true }
        if try !LatentSet.shards(in: path).isEmpty { return true }
        if try LatentSet.deviations(in: path) != nil { return true }
        for name in try FolderListing.names(path) where FolderListing.isFolder("\(path)/\(name)") {
            if let file = try FolderListing.names("\(path)/\(name)").first {
                return file.hasSuffix(".npz")
            }
        }
        return false
    }
}
