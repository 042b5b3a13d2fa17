// How caches and runs that go on find their samples as they left them.

import USPBase
import USPFiles

extension EncodedImages {
    /// The images' latents from a file, which is made if there is none.
    ///
    /// - Returns: what there is to say beside it
    /// - Throws: `.format` naming what differs from the images, size and autoencoder of the file
    func cached(
        _ path: String, _ progress: DataSet.EncodingProgress
    ) throws(USPError) -> (LatentSet, notes: [String]) {
        var notes: [String] = []
        if !FolderListing.isFile(path) {
            // Ranks on one machine share a cache: the first one makes it.
            let lock = try DataSet.lock(path) { () throws(USPError) in
                guard options.ranks != nil else { return false }
                try progress(0, folder.count)
                return true
            }
            if !FolderListing.isFile(path) {
                notes = try write(path, lock: lock, over: .alone, progress)
            }
        }
        let set = try LatentSet.load(path)
        notes += unreadable.map(\.remark)
        return (set, try notes + expect(set, path))
    }

    private func expect(_ set: LatentSet, _ path: String) throws(USPError) -> [String] {
        let remedy = "remove it to encode anew, or give another cache"
        if let record = set.record {
            let difference = try folder.record.difference(from: record) { index throws(USPError) in
                try folder.checksum(index)
            }
            let places = Dictionary(
                zip(record.paths, record.checksums), uniquingKeysWith: { first, _ in first })
            let isAlike =
                difference.changed.isEmpty && difference.new.isEmpty
                && (options.skipUnreadable
                    || difference.gone.allSatisfy { places[$0] == SampleRecord.replaced })
            try require(
                isAlike, .format,
                "\(path): latents of images that were others: in \(folder.path) "
                    + difference.text { folder.files[$0].path } + "; " + remedy)
            let expected = difference.gone.isEmpty ? origin : try with(record.paths).origin
            try require(
                set.origin == expected, .format,
                "\(path): \(mismatch(set.origin, expected)); \(remedy)")
            return difference.gone.isEmpty
                ? [] : [difference.text { folder.files[$0].path } + "; its latents are in \(path)"]
        }
        try require(
            set.origin == origin, .format,
            "\(path): "
                + (set.origin.isEmpty
                    ? "latents of unknown images" : mismatch(set.origin, origin)) + "; \(remedy)")
        return ["\(path): does not tell what its images held; only their names were compared"]
    }

    private func mismatch(_ given: String, _ wanted: String) -> String {
        let (given, wanted) = differing(given, wanted)
        return "latents of \(given), expected \(wanted)"
    }

    private func with(_ paths: [String]) throws(USPError) -> EncodedImages {
        try EncodedImages(folder.listing(paths), encoder, options)
    }

    /// What is left out, one line for each kind of thing.
    var leftOut: [String] { ImageListing.notes(folder.skipped) }

    var unreadable: [UnreadableImage] {
        folder.unreadable.all.map {
            UnreadableImage(path: folder.files[$0.index].path, reason: $0.error.message)
        }
    }
}

/// The parts that differ in two texts of as many parts, with commas between; else the texts.
package func differing(_ before: String, _ now: String) -> (before: String, now: String) {
    let (old, new) = (parts(before), parts(now))
    guard old.count == new.count else { return (before, now) }
    let different = zip(old, new).filter { $0 != $1 }
    return (
        different.map(\.0).joined(separator: ", "), different.map(\.1).joined(separator: ", ")
    )
}

private func parts(_ text: String) -> [String] {
    var result: [String] = []
    for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
        if piece.first == " " {
            result.append(String(piece.dropFirst()))
        } else if let last = result.popLast() {
            result.append(last + "," + piece)
        } else {
            result.append(String(piece))
        }
    }
    return result
}

extension DataSet {
    /// What a run keeps of the samples: what they were, as far as they were read.
    package var arrays: [ArrayOutput] {
        get throws(USPError) {
            try record.arrays.map { array throws(USPError) in try array.output() }
        }
    }

    /// What any rank has read is known to all.
    ///
    /// - known: what was known to all before
    package func shareRecord(over ranks: Ranks, known: inout [Int]) throws(USPError) {
        let checksums: SampleChecksums
        switch source {
        case .images(let images): checksums = images.folder.checksums
        case .latents(let set), .features(let set): checksums = set.checksums
        case .scenes(let scenes): checksums = scenes.folder.checksums
        case .maps(let maps): checksums = maps.folder.checksums
        case .memory: return
        }
        guard ranks.count > 1 else { return }
        let all = checksums.all
        if known.count != all.count { known = [Int](repeating: 0, count: all.count) }
        let fresh = all.indices.filter { all[$0] != known[$0] }.flatMap { [$0, all[$0]] }
        for told in try ranks.gather(fresh.withUnsafeBytes { Array($0) }) {
            let numbers = told.withUnsafeBytes { Array($0.bindMemory(to: Int.self)) }
            for place in stride(from: 0, to: numbers.count - 1, by: 2) {
                checksums.note(numbers[place]) { numbers[place + 1] }
                known[numbers[place]] = numbers[place + 1]
            }
        }
    }

    private var record: SampleRecord {
        switch source {
        case .images(let images): images.folder.record
        case .scenes(let scenes): scenes.folder.record
        case .maps(let maps): maps.folder.record
        case .memory: SampleRecord()
        case .latents(let set), .features(let set): set.samples
        }
    }

    /// The set that an earlier run saw, of whose images some may be gone; what is known of those
    /// that it read is kept.
    ///
    /// - place: the file of the run's state, for errors
    /// - Throws: `.argument` naming images that are others than the earlier run has seen
    package func continuing(_ state: Archive, _ place: String) throws(USPError) -> DataSet {
        guard let earlier = try SampleRecord(state) else { return self }
        switch source {
        case .memory: break
        case .scenes(let scenes):
            let folder = try scenes.folder.continuing(
                earlier, canSkip: options.skipUnreadable, place)
            return try changed(.scenes(EncodedScenes(folder, scenes.encoder, options)), options)
        case .maps(let maps):
            _ = try maps.folder.continuing(earlier, canSkip: false, place)
        case .images(let images):
            let difference = try images.folder.record.difference(from: earlier) {
                index throws(USPError) in try images.folder.checksum(index)
            }
            let isAlike =
                difference.changed.isEmpty && difference.new.isEmpty
                && (difference.gone.isEmpty || options.skipUnreadable)
            let canSkip = difference.changed.isEmpty && difference.new.isEmpty
            try require(
                isAlike, .argument,
                "\(place): an earlier run saw other images: in \(images.folder.path) "
                    + difference.text { images.folder.files[$0].path }
                    + (canSkip
                        ? "; put back what is gone, or go on with skip_unreadable, which takes "
                            + "another image of its class in its place"
                        : "; put them back, give another output, or restart"))
            var folder = images.folder
            if !difference.gone.isEmpty { folder = try folder.listing(earlier.paths) }
            folder.checksums.adopt(earlier.checksums)
            return try changed(.images(EncodedImages(folder, images.encoder, options)), options)
        case .latents(let set), .features(let set):
            let difference = try set.samples.difference(from: earlier) { index throws(USPError) in
                set.checksum(index)
            }
            try require(
                earlier.checksums.count == set.count && difference.isEmpty, .argument,
                "\(place): an earlier run saw other samples: "
                    + (earlier.checksums.count == set.count
                        ? difference.text { "sample \($0)" }
                        : "\(earlier.checksums.count) of them, now \(set.count)")
                    + "; give the same data, another output, or restart")
            set.checksums.adopt(earlier.checksums)
        }
        return self
    }
}
