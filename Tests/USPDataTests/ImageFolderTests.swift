// What counts as an image of a data set, and what does not.

import Glibc
import Testing
import USPBase
import USPData
import USPFiles

/// A tree of files, removed with all that is in it.
private final class Tree {
    let path: String
    private var made: [String] = []

    init() {
        var template = Array("/tmp/usp-tree-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        for item in made.reversed() { remove("\(path)/\(item)") }
        rmdir(path)
    }

    func folder(_ name: String) {
        #expect(mkdir("\(path)/\(name)", 0o700) == 0)
        made.append(name)
    }

    func image(_ name: String) throws {
        let image = try PixelImage(width: 2, height: 1, channels: 1, pixels: [7, 9])
        try PNG.write("\(path)/\(name)", image)
        made.append(name)
    }

    func file(_ name: String, _ bytes: [UInt8] = [1]) throws {
        let file = try AtomicFile("\(path)/\(name)")
        try file.write(bytes)
        try file.commit()
        made.append(name)
    }

    func link(_ name: String, to target: String) {
        #expect(symlink(target, "\(path)/\(name)") == 0)
        made.append(name)
    }

    /// Two classes of one image each.
    func classes() throws {
        for name in ["cat", "dog"] {
            folder(name)
            try image("\(name)/1.png")
        }
    }

    func reasons(_ skipped: [SkippedFile]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: skipped.map { ($0.path, $0.reason) })
    }
}

@Suite struct ImageFolderTests {
    private let tree = Tree()

    @Test(
        arguments: [
            "__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information",
            "#recycle", "__pycache__",
        ])
    func systemFoldersAreNoClasses(_ name: String) throws {
        try tree.classes()
        for place in [name, "cat/\(name)"] {
            tree.folder(place)
            try tree.image("\(place)/thumbnail.png")
        }
        let folder = try ImageFolder(tree.path)
        #expect(folder.classNames == ["cat", "dog"])
        #expect(folder.files.map(\.path) == ["cat/1.png", "dog/1.png"])
        #expect(Set(folder.skipped.map(\.path)) == [name, "cat/\(name)"])
    }

    @Test func linksThatLeadUp() throws {
        try tree.classes()
        tree.link("cat/loop", to: "..")
        tree.link("cat/self", to: ".")
        tree.link("cat/above", to: "../..")
        tree.link("cat/other", to: "../dog")
        tree.link("cat/nothing.png", to: "gone.png")
        tree.link("cat/2.png", to: "../dog/1.png")
        let folder = try ImageFolder(tree.path)
        // A link to a file is how data sets share images, and is followed.
        #expect(folder.files.map(\.path) == ["cat/1.png", "cat/2.png", "dog/1.png"])
        let reasons = tree.reasons(folder.skipped)
        #expect(reasons["cat/loop"] == "a link that leads up")
        #expect(reasons["cat/self"] == "a link that leads up")
        #expect(reasons["cat/above"] == "a link that leads up")
        #expect(reasons["cat/other"] == "a link into another folder of the data set")
        #expect(reasons["cat/nothing.png"] == "no file (a link to nothing?)")
    }

    /// Classes may lie elsewhere, and so may parts of one.
    @Test func linksToOtherPlaces() throws {
        let elsewhere = Tree()
        elsewhere.folder("cat")
        try elsewhere.image("cat/a.png")
        elsewhere.folder("more")
        try elsewhere.image("more/b.png")
        tree.link("cat", to: "\(elsewhere.path)/cat")
        tree.folder("dog")
        tree.link("dog/one", to: "\(elsewhere.path)/more")
        tree.link("dog/two", to: "\(elsewhere.path)/more")
        let folder = try ImageFolder(tree.path)
        #expect(folder.files.map(\.path) == ["cat/a.png", "dog/one/b.png"])
        #expect(tree.reasons(folder.skipped)["dog/two"] == "a folder that is listed already")
    }

    @Test func whatIsLeftOutIsNamed() throws {
        try tree.classes()
        for name in [
            "labels.txt", "cat/a.txt", "cat/b.txt", "cat/c.heic", "dog/d.AVIF", "cat/README",
        ] {
            try tree.file(name)
        }
        let folder = try ImageFolder(tree.path)
        #expect(folder.count == 2)
        #expect(
            ImageListing.notes(folder.skipped) == [
                "left out 1 (labels.txt): beside the folders of the classes",
                "left out 1 (cat/README): no image",
                "left out 2 (cat/a.txt, cat/b.txt): .txt is no image",
                "left out 1 (cat/c.heic): .heic images are not read",
                "left out 1 (dog/d.AVIF): .avif images are not read",
            ])
        let flat = try ImageListing(tree.path)
        #expect(flat.files == ["cat/1.png", "dog/1.png"] && flat.skipped.count == 6)
    }

    @Test func classesWithoutImagesAreErrors() throws {
        try tree.classes()
        tree.folder("emu")
        try tree.file("emu/1.heic")
        let error = #expect(throws: USPError.self) { try ImageFolder(tree.path) }
        #expect(
            error?.message.hasPrefix("\(tree.path)/emu: a class without images, expected PNG, ")
                == true)
        #expect(error?.message.contains(".heic images are not read") == true)
    }

    /// The content decides, whatever the ending says.
    @Test func everyFormatIsListed() throws {
        tree.folder("cat")
        var names: [String] = []
        for format in ImageFormat.allCases where format.isReadable {
            for ending in format.endings {
                names.append("cat/x\(names.count)\(ending)")
                try tree.image(names.last ?? "")
            }
        }
        let folder = try ImageFolder(tree.path)
        #expect(folder.count == names.count && folder.skipped.isEmpty)
        for index in 0..<folder.count { #expect(try folder.image(index).pixels == [7, 9]) }
    }

    @Test func imagesAsStored() throws {
        tree.folder("cat")
        let image = try PixelImage(width: 2, height: 1, channels: 1, pixels: [7, 9])
        let plain = try PNG.encode(image)
        // Exif data whose orientation, a LONG, is 3: upside down. Its checksum is CRC-32's.
        let exif: [UInt8] =
            [0x4D, 0x4D, 0, 0x2A, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 4, 0, 0, 0, 1, 0, 0, 0, 3]
            + [0, 0, 0, 0]
        let covered = Array("eXIf".utf8) + exif
        var register = UInt32.max
        for byte in covered {
            register ^= UInt32(byte)
            for _ in 0..<8 { register = register >> 1 ^ (register & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        let checksum = withUnsafeBytes(of: (~register).bigEndian) { Array($0) }
        let chunk = [0, 0, 0, UInt8(exif.count)] + covered + checksum
        try tree.file("cat/a.png", plain[..<33] + chunk + plain[33...])
        #expect(try ImageFolder(tree.path).image(0).pixels == [9, 7])
        #expect(try ImageFolder(tree.path, asStored: true).image(0).pixels == [7, 9])
    }
}
