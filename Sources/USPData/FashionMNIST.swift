// Fashion-MNIST (Xiao et al. 2017), as its idx files are published and as Debian installs them.

import USPBase
import USPFiles

/// 60,000 training and 10,000 test images, 28x28 grey, ten classes.
package enum FashionMNIST {
    /// Where the package `dataset-fashion-mnist` puts the files.
    package static let debianFolder = "/usr/share/datasets/fashion-mnist"

    package static let classNames = [
        "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]

    /// Which of the two sets; the raw value begins the files' names.
    package enum Part: String, Sendable {
        case training = "train"
        case test = "t10k"
    }

    /// Loads one set, plain or gzipped, with a black frame so that both sides measure `side`.
    ///
    /// - Throws: `.io` if a file is missing, `.format` if it is not such a set.
    package static func load(
        _ part: Part, folder: String = debianFolder, side: Int = 32
    ) throws(USPError) -> LabelledImages {
        let images = try array("\(folder)/\(part.rawValue)-images-idx3-ubyte")
        let labels = try array("\(folder)/\(part.rawValue)-labels-idx1-ubyte")
        try require(
            images.shape.rank == 3 && labels.shape.rank == 1 && images.shape[0] == labels.shape[0]
                && images.dtype == .uint8 && labels.dtype == .uint8, .format,
            "\(folder): images \(images.shape) with labels \(labels.shape)")
        let (height, width) = (images.shape[1], images.shape[2])
        try require(
            height <= side && width <= side && side <= 4096, .argument,
            "side: expected \(max(height, width)) or more, got \(side)")
        let labelBytes = try labels.bytes()
        defer { withExtendedLifetime(labelBytes) {} }
        return try LabelledImages(
            channels: 1, height: side, width: side,
            pixels: framed(try images.bytes(), images.shape, side),
            labels: Array(labelBytes.bytes), classNames: classNames)
    }

    /// The one array of an idx file, whose name may end in .gz.
    private static func array(_ path: String) throws(USPError) -> ArchiveEntry {
        let archive: Archive
        do {
            archive = try Archive.open(path + ".gz")
        } catch let error where error.kind == .io {
            archive = try Archive.open(path)
        }
        guard let entry = archive.tables.first?.entries.first else {
            throw USPError(.format, "\(path): no array in it")
        }
        return entry
    }

    private static func framed(_ bytes: ByteView, _ shape: Shape, _ side: Int) -> [UInt8] {
        let (count, height, width) = (shape[0], shape[1], shape[2])
        let (top, left) = ((side - height) / 2, (side - width) / 2)
        let source = bytes.bytes
        var result = [UInt8](repeating: 0, count: count * side * side)
        for image in 0..<count {
            for y in 0..<height {
                let from = (image * height + y) * width
                let to = (image * side + top + y) * side + left
                for x in 0..<width { result[to + x] = source[from + x] }
            }
        }
        return result
    }
}
