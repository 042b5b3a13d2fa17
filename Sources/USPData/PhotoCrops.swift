// Photographs as sets of small squares in memory: what a study trains and measures on.

import USPBase
import USPFiles

/// Which squares are cut out of photographs.
package struct CropRule: Sendable {
    /// Side of a square.
    package var size: Int
    /// 1 makes images grey.
    package var channels: Int
    /// Squares of a photograph; 1: its middle, as ADM crops it.
    package var crops: Int
    /// Share that is kept to measure on.
    package var heldOut: Double
    /// Images that cannot be read are errors; else they are left out.
    package var isStrict: Bool
    package var seed: UInt64

    package init(
        size: Int, channels: Int, crops: Int, heldOut: Double, isStrict: Bool, seed: UInt64
    ) {
        (self.size, self.channels, self.crops) = (size, channels, crops)
        (self.heldOut, self.isStrict, self.seed) = (heldOut, isStrict, seed)
    }

    /// Share of a photograph's width, at its right, out of which come the squares to measure on:
    /// no square to train on reaches into it.
    static let strip = 0.2
}

/// Squares to train and to measure on.
package struct PhotoCrops: Sendable {
    package let training: LabelledImages
    package let test: LabelledImages
    /// Why photographs were left out, one line each.
    package let unreadable: [String]

    /// Reads each photograph once. The same rule and files give the same squares.
    ///
    /// - photos: files in the order of their classes
    /// - progress: told how many photographs are done; its error ends the call
    /// - Throws: `.argument` where too few are left to train and to measure on
    package init(
        _ photos: [(path: String, label: Int)], classNames: [String], _ rule: CropRule,
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void
    ) throws(USPError) {
        try require(
            classNames.count <= 256, .unsupported,
            "\(classNames.count) classes, expected at most 256")
        try SystemMemory.expect(
            photos.count * rule.crops * rule.channels * rule.size * rule.size, of: UInt8.self)
        var (training, test) = (PixelStore(), PixelStore())
        var notes: [String] = []
        var met = [Int](repeating: 0, count: max(classNames.count, 1))
        for (index, photo) in photos.enumerated() {
            try progress(index, photos.count)
            do throws(USPError) {
                let image = try Self.opened(photo.path, rule.channels)
                if rule.crops == 1 {
                    let place = met[photo.label]
                    met[photo.label] += 1
                    // Evenly over each class.
                    let isHeld =
                        Int(Double(place + 1) * rule.heldOut) > Int(Double(place) * rule.heldOut)
                    let square = try image.centreCropADM(rule.size)
                    if isHeld {
                        test.add(square, photo.label)
                    } else {
                        training.add(square, photo.label)
                    }
                } else {
                    let key = RandomKey(seed: rule.seed).stream("crops").stream(index)
                    try Self.cut(image, photo.label, rule, key, &training, &test)
                }
            } catch {
                guard !rule.isStrict, error.kind != .memory else { throw error }
                notes.append(error.message)
            }
        }
        try progress(photos.count, photos.count)
        for (store, name) in [(training, "train"), (test, "measure")] {
            try require(
                store.labels.count >= 2, .argument,
                "\(store.labels.count) images to \(name) on, of \(photos.count) photographs"
                    + (notes.isEmpty ? "" : ", \(notes.count) of which cannot be read")
                    + "; more crops or another held_out may help")
        }
        self.training = try training.images(rule, classNames)
        self.test = try test.images(rule, classNames)
        unreadable = notes
    }

    private static func opened(_ path: String, _ channels: Int) throws(USPError) -> PixelImage {
        let image = try PixelImage.open(path)
        return try channels == 1 ? image.grey() : image.rgb()
    }

    /// Squares of random sides and places, left of the strip and in it.
    private static func cut(
        _ image: PixelImage, _ label: Int, _ rule: CropRule, _ key: RandomKey,
        _ training: inout PixelStore, _ test: inout PixelStore
    ) throws(USPError) {
        let edge = Int(Double(image.width) * (1 - CropRule.strip))
        let largest = min(image.width - edge, image.height)
        let held = max(1, Int((Double(rule.crops) * rule.heldOut).rounded()))
        for number in 0..<rule.crops {
            var stream = RandomStream(key.stream(number))
            let isHeld = number < held
            let share = 0.35 + 0.65 * Double(stream.uniform())
            let side = min(max(Int(Double(largest) * share), min(rule.size, largest)), largest)
            let (first, last) = isHeld ? (edge, image.width) : (0, edge)
            let square = try image.cropped(
                left: first + stream.below(last - first - side + 1),
                top: stream.below(image.height - side + 1), width: side, height: side
            ).resized(width: rule.size, height: rule.size, .bicubic)
            if isHeld { test.add(square, label) } else { training.add(square, label) }
        }
    }
}

/// Images one after another, planes apart.
private struct PixelStore {
    private(set) var pixels: [UInt8] = []
    private(set) var labels: [UInt8] = []

    mutating func add(_ image: PixelImage, _ label: Int) {
        let plane = image.width * image.height
        for channel in 0..<image.channels {
            for pixel in 0..<plane {
                pixels.append(image.pixels[pixel * image.channels + channel])
            }
        }
        labels.append(UInt8(label))
    }

    func images(_ rule: CropRule, _ classNames: [String]) throws(USPError) -> LabelledImages {
        try LabelledImages(
            channels: rule.channels, height: rule.size, width: rule.size, pixels: pixels,
            labels: labels, classNames: classNames)
    }
}

extension ImageFolder {
    /// Of paths, sizes and times: what changes when a file does.
    package var stampFingerprint: String {
        var print = Fingerprint()
        for (file, stamp) in zip(files, stamps) {
            print.add(file.path)
            print.add(file.label)
            print.add(stamp.size)
            print.add(stamp.time)
        }
        return print.text
    }
}

extension LabelledImages {
    /// Writes pixels and labels beside a text that says what they are made of.
    package func save(_ path: String, _ origin: String) throws(USPError) {
        let names = JSON.array(classNames.map(JSON.string)).compact
        try Safetensors.write(
            path,
            [
                ArrayOutput(
                    "images", .uint8, [count, channels, height, width],
                    bytes: ByteBuffer(pixels).view),
                ArrayOutput(
                    "labels", .uint8, [count],
                    bytes: ByteBuffer((0..<count).map { UInt8(label($0)) }).view),
            ],
            metadata: [(key: "usp.class_names", value: names), (key: "usp.origin", value: origin)])
    }

    /// Reads what `save` wrote; nil for a file of another origin, and where there is none.
    package static func load(_ path: String, _ origin: String) throws(USPError) -> LabelledImages? {
        guard FolderListing.isFile(path) else { return nil }
        let archive = try Archive.open(path)
        guard archive.metadataValue("usp.origin") == origin,
            let names = archive.metadataValue("usp.class_names")
        else { return nil }
        let (images, labels) = (try archive.entry("images"), try archive.entry("labels"))
        let shape = images.shape
        try require(
            shape.rank == 4 && images.dtype == .uint8 && labels.dtype == .uint8, .format,
            "\(path): images \(shape)")
        let (pixels, numbers) = (try images.bytes(), try labels.bytes())
        return try LabelledImages(
            channels: shape[1], height: shape[2], width: shape[3], pixels: pixels.array,
            labels: numbers.array,
            classNames: JSON(parsing: names, path).elements?.compactMap(\.text) ?? [])
    }
}
