// Latent caches as files: one safetensors or npz for a set, or the original's npz for each image.

import Glibc
import USPBase
import USPFiles
import USPTensor

extension LatentSet {
    /// Writes `moments`, `moments_flip`, `labels` and what is known of the samples to one
    /// safetensors file.
    package func save(_ path: String) throws(USPError) {
        var outputs = [LatentSet.output("moments", moments)]
        if let mirroredMoments { outputs.append(LatentSet.output("moments_flip", mirroredMoments)) }
        let notes = LatentNotes(
            channels: channels, scale: scale, shift: shift, classNames: classNames, origin: origin,
            labels: labels, teacher: teacher, applied: applied)
        outputs += try (notes.arrays + (record?.arrays ?? [])).map { array throws(USPError) in
            try array.output()
        }
        try Safetensors.write(path, outputs, metadata: notes.metadata)
    }

    private static func output(_ name: String, _ tensor: Tensor) -> ArrayOutput {
        ArrayOutput(name, .float32, tensor.shape) { file throws(USPError) in
            try file.write(UnsafeRawBufferPointer(start: tensor.raw, count: tensor.byteCount))
        }
    }

    /// Reads what `save` wrote or an npz with the same names; or one array `latents` (or the only
    /// array of an npy file), which is normalised, with `labels` beside it if there are some.
    ///
    /// - channels: C; nil takes the file's note, or half of the moments' channels.
    package static func load(_ path: String, channels: Int? = nil) throws(USPError) -> LatentSet {
        let stamp = FileStamp(path)
        let archive = try Archive.open(path)
        return try locating(path) { () throws(USPError) in
            let table = archive.entries
            let find = { (name: String) in table.first { $0.name == name } }
            let labels = try find("labels").map { entry throws(USPError) in try entry.integers() }
            func features(of set: LatentSet) throws(USPError) -> FeatureRows? {
                try find(FeatureRows.name).map { entry throws(USPError) in
                    try FeatureRows(entry, count: set.count)
                }
            }
            if let entry = find("latents") ?? find("array"), find("moments") == nil {
                let latents = try tensor(entry)
                try require(
                    latents.shape.rank == 4, .shape,
                    "\(entry.name): \(latents.shape), expected [N, C, h, w]")
                var set = try LatentSet(
                    moments: latents, labels: labels, channels: latents.shape[1])
                (set.scale, set.stamp) = ([1], stamp)
                set.features = try features(of: set)
                return set
            }
            try require(
                find("noise") == nil || find("moments") != nil, .argument,
                "holds noise, as invert writes it, and no latents")
            let moments = try tensor(try archive.entry("moments"))
            try require(
                moments.shape.rank == 4, .format, "moments: expected 4 axes, got \(moments.shape)")
            let mirrored = try find("moments_flip").map { entry throws(USPError) in
                try tensor(entry)
            }
            let noted = archive.metadataValue("latent_channels").flatMap { Int($0) }
            var set = try LatentSet(
                moments: moments, mirroredMoments: mirrored, labels: labels,
                channels: channels ?? noted ?? moments.shape[1] / 2)
            try set.read(archive)
            (set.stamp, set.record) = (stamp, try SampleRecord(archive))
            set.features = try features(of: set)
            return set
        }
    }

    /// What the file tells beside the arrays.
    private mutating func read(_ archive: Archive) throws(USPError) {
        scale = try numbers(archive, "usp.scale")
        shift = try numbers(archive, "usp.shift") ?? [0]
        if let scale = try numbers(archive, "usp.applied_scale"),
            let shift = try numbers(archive, "usp.applied_shift")
        {
            applied = LatentScale(scale, shift)
        }
        origin = archive.metadataValue("usp.origin") ?? ""
        teacher = archive.metadataValue("usp.teacher")
        guard let text = archive.metadataValue("usp.class_names") else { return }
        classNames = try JSON(parsing: text, "usp.class_names").elements?.compactMap(\.text) ?? []
        try require(
            (labels?.max() ?? -1) < classNames.count, .format,
            "label \(labels?.max() ?? 0): there are \(classNames.count) classes")
    }

    /// One number or one a channel.
    private func numbers(_ archive: Archive, _ key: String) throws(USPError) -> [Float]? {
        guard let text = archive.metadataValue(key) else { return nil }
        let values = text.split(separator: ",").compactMap { Float(String($0)) }
        try require(
            (values.count == 1 || values.count == channels) && values.allSatisfy(\.isFinite),
            .format, "\(key): \(text), expected 1 or \(channels) numbers")
        return values
    }

    /// Reads the original's cache: a subfolder for each class, in it one npz for each image with
    /// `moments` `[2C, h, w]` and `moments_flip`.
    package static func load(folder path: String) throws(USPError) -> LatentSet {
        let classes = try FolderListing.names(path).filter {
            FolderListing.isFolder("\(path)/\($0)")
        }
        var files: [(path: String, label: Int)] = []
        for (label, name) in classes.enumerated() {
            for file in try FolderListing.names("\(path)/\(name)") where file.hasSuffix(".npz") {
                files.append(("\(path)/\(name)/\(file)", label))
            }
        }
        guard let first = files.first else {
            throw USPError(.format, "\(path): no npz file in its subfolders")
        }
        let shape = try Archive.open(first.path).entry("moments").shape
        try require(
            shape.rank == 3 && shape[0] % 2 == 0, .format,
            "\(first.path): moments: expected [2C, h, w], got \(shape)")
        let whole = Shape([files.count] + shape.extents)
        let (plain, mirrored) = (try Tensor(whole), try Tensor(whole))
        for (index, file) in files.enumerated() {
            let archive = try Archive.open(file.path)
            for (name, target) in [("moments", plain), ("moments_flip", mirrored)] {
                try locating(file.path) { () throws(USPError) in
                    let values = try tensor(try archive.entry(name))
                    try expect(values, shape, name)
                    let row = try target.detachedRows(index..<index + 1)
                    try row.copy(from: values.reshaped(row.shape))
                }
            }
        }
        var set = try LatentSet(
            moments: plain, mirroredMoments: mirrored, labels: files.map(\.label),
            channels: shape[0] / 2)
        set.classNames = classes
        return set
    }

    /// REPA's folder of posteriors: in subfolders that are no classes one npy for each image, `[2C, h, w]`
    /// of means and deviations as the autoencoder gives them, in the order of their paths; labels as
    /// `dataset.json` tells.
    package static func load(deviations path: String) throws(USPError) -> LatentSet {
        var files: [String] = []
        for name in try FolderListing.names(path) where FolderListing.isFolder("\(path)/\(name)") {
            files += try FolderListing.names("\(path)/\(name)").filter { $0.hasSuffix(".npy") }
                .map { "\(name)/\($0)" }
        }
        guard let first = files.first else {
            throw USPError(.format, "\(path): no npy file in its subfolders")
        }
        let shape = try Archive.open("\(path)/\(first)").entry("array").shape
        try require(
            shape.rank == 3 && shape[0] % 2 == 0 && shape.count > 0, .format,
            "\(path)/\(first): expected means and deviations [2C, h, w], got \(shape)")
        let whole = try Tensor(
            Shape.checked([files.count] + shape.extents, dtype: .float32, "moments"))
        let half = shape.count / 2
        for (index, file) in files.enumerated() {
            try locating("\(path)/\(file)") { () throws(USPError) in
                let values = try tensor(try Archive.open("\(path)/\(file)").entry("array"))
                try expect(values, shape, "array")
                let row = try whole.detachedRows(index..<index + 1)
                try row.copy(from: values.reshaped(row.shape))
                for i in half..<2 * half {
                    try require(
                        row.floats[i] >= 0, .format,
                        "a deviation of \(row.floats[i]), expected 0 or more")
                    // The least log variance of the autoencoder's distributions.
                    row.floats[i] = max(2 * log(row.floats[i]), -30)
                }
            }
        }
        let listed = try ListedLabels(in: path)
        var set = try LatentSet(
            moments: whole, labels: listed?.labels(of: files), channels: shape[0] / 2)
        set.classNames = listed?.classNames ?? []
        return set
    }

    /// Where in a folder REPA's posteriors lie: in it, or in its `vae-sd`.
    static func deviations(in path: String) throws(USPError) -> String? {
        for folder in ["\(path)/vae-sd", path] where FolderListing.isFolder(folder) {
            let first = try FolderListing.names(folder).first {
                FolderListing.isFolder("\(folder)/\($0)")
            }
            guard let first else { continue }
            let file = try FolderListing.names("\(folder)/\(first)").first
            if file?.hasSuffix(".npy") == true { return folder }
        }
        return nil
    }

    /// An array of floating-point numbers as f32; a view of the file where it can be one.
    static func tensor(_ entry: ArchiveEntry) throws(USPError) -> Tensor {
        if entry.dtype == .float32, let view = try entry.plainBytes, view.isAligned(to: 4) {
            // SAFETY: the storage keeps the view's owner; tensors of a set are only read.
            let storage = Storage(
                base: UnsafeMutableRawPointer(mutating: view.base), byteCount: view.count,
                owner: view.owner, isMapped: view.owner is MappedFile)
            return Tensor(entry.shape, .float32, storage: storage)
        }
        let result = try Tensor(entry.shape)
        let view = try entry.bytes()
        defer { withExtendedLifetime(view) {} }
        let bytes = view.bytes
        let target = result.floats
        for i in 0..<entry.count {
            switch entry.dtype {
            case .float32: target[i] = bytes.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
            case .float64:
                target[i] = Float(bytes.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
            case .float16:
                target[i] = Float(bytes.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self))
            default:
                throw USPError(
                    .dtype, "\(entry.name): expected f16, f32 or f64, got \(entry.dtype.name)")
            }
        }
        return result
    }
}

/// What a file of latents tells beside them.
struct LatentNotes {
    let channels: Int
    let scale: [Float]?
    let shift: [Float]
    let classNames: [String]
    let origin: String
    let labels: [Int]?
    /// Whose features are beside them, in words.
    let teacher: String?
    var applied: LatentScale?

    var arrays: [NumberArray] {
        labels.map { [NumberArray("labels", [$0.count], numbers: $0)] } ?? []
    }

    var metadata: [(key: String, value: String)] {
        let text = { (values: [Float]) in values.map { "\($0)" }.joined(separator: ",") }
        var result = [
            (key: "format", value: "pt"), (key: "latent_channels", value: "\(channels)"),
        ]
        if let scale {
            result.append((key: "usp.scale", value: text(scale)))
            result.append((key: "usp.shift", value: text(shift)))
        }
        if let applied {
            result.append((key: "usp.applied_scale", value: text(applied.scale)))
            result.append((key: "usp.applied_shift", value: text(applied.shift)))
        }
        let names = JSON.array(classNames.map(JSON.string))
        if !classNames.isEmpty { result.append((key: "usp.class_names", value: names.compact)) }
        if !origin.isEmpty { result.append((key: "usp.origin", value: origin)) }
        if let teacher { result.append((key: "usp.teacher", value: teacher)) }
        return result
    }
}

/// A small array on its way into a file.
struct NumberArray {
    let name: String
    let dtype: DType
    let shape: Shape
    let bytes: [UInt8]

    init(_ name: String, _ bytes: [UInt8]) {
        (self.name, dtype, shape, self.bytes) = (name, .uint8, [bytes.count], bytes)
    }

    /// i64
    init(_ name: String, _ shape: Shape, numbers: [Int]) {
        (self.name, dtype, self.shape) = (name, .int64, shape)
        bytes = numbers.withUnsafeBytes { Array($0) }
    }

    func output() throws(USPError) -> ArrayOutput {
        ArrayOutput(name, dtype, shape, bytes: try ByteBuffer(bytes).view)
    }
}

extension ArchiveEntry {
    /// An array of whole numbers.
    func integers() throws(USPError) -> [Int] {
        let view = try bytes()
        defer { withExtendedLifetime(view) {} }
        let bytes = view.bytes
        return try (0..<count).map { i throws(USPError) in
            switch dtype {
            case .int64: Int(bytes.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self))
            case .int32: Int(bytes.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self))
            case .uint8: Int(bytes[i])
            default:
                throw USPError(.dtype, "\(name): expected i64, i32 or u8, got \(dtype.name)")
            }
        }
    }
}
