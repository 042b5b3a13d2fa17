// Files of features, of their statistics, of logits, and of images that these are computed from.

import USPBase
import USPFiles
import USPKit
import USPTensor

/// One side of an evaluation.
struct FeatureFile {
    private let path: String
    private let table: ArchiveTable
    private let featuresName: String
    private let pixels: PixelSource?
    /// What the network has made of the images.
    private var measured: ImageFeatures?

    init(_ path: String, features: String, skipUnreadable: Bool = false) throws(USPError) {
        self.path = path
        featuresName = features
        if FolderListing.isFolder(path) {
            table = try ArchiveTable("", [])
            pixels = try PixelSource(folder: path, skipUnreadable: skipUnreadable)
        } else {
            table = try Checkpoint.open(path).table
            pixels = try PixelSource(path, table)
        }
    }

    var hasImages: Bool { pixels != nil }
    /// Images that the network has seen; nil: none.
    var images: Int? { measured?.count }

    /// Before a network looks at the other side's images for nothing.
    ///
    /// - Throws: `.format` for a file without images, features, statistics and logits, telling what is
    ///   wrong with what may be images
    func expectSomething() throws(USPError) {
        let known = [featuresName, "spatial", "logits", "mu", "mu_s"]
        guard pixels == nil, !known.contains(where: table.contains),
            table["array"]?.dtype.isFloating != true || table["array"]?.shape.rank != 2
        else { return }
        throw USPError(.format, "\(path): \(PixelSource.problem(table))")
    }

    /// Computes the features of the images, if there are some and the file has none. Ranks share the
    /// work, 16 images at a time; rank 0 has them then.
    mutating func measure(
        _ network: Inception, preprocessing: String, over ranks: Ranks
    ) throws(USPError) {
        guard let pixels, table[featuresName] == nil else { return }
        let widths = Inception.widths
        var gathered = try ImageFeatures(
            count: pixels.count, pool: widths.pool, spatial: widths.spatial, logits: widths.logits)
        var progress = Progress("features of \(path)", total: pixels.count, unit: "images")
        let piece = 16
        try ranks.share((pixels.count + piece - 1) / piece) { index, emit throws(USPError) in
            var first = index * piece
            let end = min(first + piece, pixels.count)
            while first < end {
                try Interrupt.check()
                let batch = try pixels.batch(from: first, most: end - first)
                let found = try network.features(batch, preprocessing: preprocessing)
                try emit((found.pool.values + found.spatial.values + found.logits.values).bytes)
                first += batch.shape[0]
            }
        } take: { chunk throws(USPError) in
            var values = [Float](bytes: chunk)[...]
            let rows = values.count / (widths.pool + widths.spatial + widths.logits)
            func next(_ width: Int) throws(USPError) -> Tensor {
                defer { values = values.dropFirst(rows * width) }
                return try Tensor([rows, width], Array(values.prefix(rows * width)))
            }
            let (pool, spatial) = (try next(widths.pool), try next(widths.spatial))
            let logits = try next(widths.logits)
            try locating(path) { () throws(USPError) in
                try gathered.add(pool: pool, spatial: spatial, logits: logits)
            }
            progress.update(gathered.added)
        }
        measured = gathered
    }

    /// `[N, D]` f32; the only array of an npy file has no name of its own.
    func features() throws(USPError) -> Tensor? {
        if let measured { return measured.pool }
        return try matrix(table[featuresName] ?? (hasImages ? nil : table["array"]))
    }

    /// `[N, K]` f32
    func logits() throws(USPError) -> Tensor? {
        try matrix(table["logits"]) ?? measured?.logits
    }

    /// Everything that a later evaluation needs of this side.
    func outputs() throws(USPError) -> [ArrayOutput] {
        var result: [ArrayOutput] = []
        if let features = try features() { result.append(ArrayOutput("features", features)) }
        if let logits = try logits() { result.append(ArrayOutput("logits", logits)) }
        for (ending, found) in [("", try statistics()), ("_s", try spatialStatistics())] {
            guard let found else { continue }
            let width = found.width
            for (name, shape, values) in [
                ("mu", [width] as Shape, found.mean), ("sigma", [width, width], found.covariance),
            ] {
                let bytes = try ByteBuffer(values.withUnsafeBytes { Array($0) })
                result.append(ArrayOutput(name + ending, .float64, shape, bytes: bytes.view))
            }
        }
        return result
    }

    /// From mu and sigma if they are there, else from features.
    func statistics() throws(USPError) -> FeatureStatistics? {
        if let stored = try stored("mu", "sigma") { return stored }
        return try computed(try features())
    }

    /// The same of features that know where in the image they are.
    func spatialStatistics() throws(USPError) -> FeatureStatistics? {
        if let stored = try stored("mu_s", "sigma_s") { return stored }
        if let stored = try computed(try matrix(table["spatial"])) { return stored }
        return try measured?.spatialStatistics()
    }

    private func stored(_ mean: String, _ covariance: String) throws(USPError) -> FeatureStatistics?
    {
        guard let mu = table[mean], let sigma = table[covariance] else { return nil }
        return try locating(path) { () throws(USPError) in
            try FeatureStatistics(count: 0, mean: try mu.doubles(), covariance: try sigma.doubles())
        }
    }

    private func computed(_ features: Tensor?) throws(USPError) -> FeatureStatistics? {
        guard let features else { return nil }
        return try locating(path) { () throws(USPError) in
            var accumulator = try FeatureAccumulator(width: features.shape[1])
            try accumulator.add(features)
            return try accumulator.statistics()
        }
    }

    private func matrix(_ entry: ArchiveEntry?) throws(USPError) -> Tensor? {
        guard let entry else { return nil }
        try require(
            entry.shape.rank >= 2 && entry.dtype.isFloating, .shape,
            "\(path): \(entry.name): \(entry.dtype.name) \(entry.shape), expected real [N, D]")
        let rows = entry.shape[0]
        let width = rows == 0 ? 0 : entry.count / rows
        return try entry.tensor(as: .float32).reshaped([rows, width])
    }
}
