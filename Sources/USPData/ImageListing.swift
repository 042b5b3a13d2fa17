// The images in a folder and below it, and what else is there.

import Glibc
import USPBase
import USPFiles

/// Something in a folder that is no image of the data set, and why.
public struct SkippedFile: Sendable, Equatable {
    /// Below the folder that was listed.
    package let path: String
    package let reason: String
}

/// Files of images by their names' endings, in byte order of their paths.
public struct ImageListing: Sendable {
    /// Below the root.
    package private(set) var files: [String] = []
    package private(set) var skipped: [SkippedFile] = []
    private let root: String
    private let realRoot: String
    /// The part of the data set that is listed; links may not lead out of it to another part.
    private let realPart: String
    private var seen: Set<Identity> = []

    private struct Identity: Hashable {
        let device: dev_t
        let inode: ino_t
    }

    /// Lists a folder, or a subfolder of it; opens no image.
    ///
    /// - Throws: `.io`; `.unsupported` where images are of a format whose library is not installed
    package init(_ root: String, below folder: String? = nil) throws(USPError) {
        self.root = root
        realRoot = ImageListing.realPath(root)
        realPart = ImageListing.realPath(folder.map { "\(root)/\($0)" } ?? root)
        var pending: [String?] = [folder]
        if let identity = ImageListing.identity(realPart) { seen.insert(identity) }
        while let next = pending.popLast() {
            pending += try list(next)
        }
        leaveOutComposed()
        files.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        try expectReadable()
    }

    /// Folders that systems and archives leave behind, whatever they hold.
    package static func isSystemFolder(_ name: String) -> Bool {
        [
            "__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information",
            "#recycle", "@Recycle", "@Recently-Snapshot", "#snapshot", "__pycache__", "RECYCLER",
        ].contains(name) || name.hasPrefix("@tmp")
    }

    /// One line for each kind of what was left out, for people.
    package static func notes(_ skipped: [SkippedFile]) -> [String] {
        var kinds: [(reason: String, paths: [String])] = []
        var positions: [String: Int] = [:]
        for item in skipped {
            if let position = positions[item.reason] {
                kinds[position].paths.append(item.path)
            } else {
                positions[item.reason] = kinds.count
                kinds.append((item.reason, [item.path]))
            }
        }
        return kinds.map { kind in
            let shown = kind.paths.prefix(3).joined(separator: ", ")
            let more = kind.paths.count > 3 ? ", ..." : ""
            return "left out \(kind.paths.count) (\(shown)\(more)): \(kind.reason)"
        }
    }

    /// Adds the files of one folder, and returns the folders in it.
    private mutating func list(_ folder: String?) throws(USPError) -> [String] {
        var folders: [String] = []
        for name in try FolderListing.names(folder.map { "\(root)/\($0)" } ?? root) {
            let path = folder.map { "\($0)/\(name)" } ?? name
            if FolderListing.isFolder("\(root)/\(path)") {
                if let reason = reasonToPass(path, name) {
                    skipped.append(SkippedFile(path: path, reason: reason))
                } else {
                    folders.append(path)
                }
            } else if ImageFormat.named(name) == nil {
                skipped.append(SkippedFile(path: path, reason: ImageListing.kind(name)))
            } else if FolderListing.isFile("\(root)/\(path)") {
                files.append(path)
            } else {
                skipped.append(SkippedFile(path: path, reason: "no file (a link to nothing?)"))
            }
        }
        return folders
    }

    /// What a file is that is no image that can be read.
    private static func kind(_ name: String) -> String {
        let name = name.lowercased()
        if let ending = ImageFormat.unreadEndings.first(where: name.hasSuffix) {
            return "\(ending) images are not read"
        }
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return "no image" }
        return "\(name[dot...]) is no image"
    }

    /// Why a folder is not entered; nil if it is.
    private mutating func reasonToPass(_ path: String, _ name: String) -> String? {
        if ImageListing.isSystemFolder(name) { return "a folder of the system's, not of images" }
        let full = "\(root)/\(path)"
        if ImageListing.isLink(full) {
            let target = ImageListing.realPath(full)
            if ImageListing.lies(realRoot, in: target) || ImageListing.lies(realPart, in: target) {
                return "a link that leads up"
            }
            if ImageListing.lies(target, in: realRoot) && !ImageListing.lies(target, in: realPart) {
                return "a link into another folder of the data set"
            }
        }
        guard let identity = ImageListing.identity(full) else { return "cannot be inspected" }
        return seen.insert(identity).inserted ? nil : "a folder that is listed already"
    }

    /// Grids and previews that `sample` wrote beside its images. Opens only what has the name of
    /// one: `x.png` beside `x-0000.png`.
    private mutating func leaveOutComposed() {
        let all = Set(files)
        let composed = Set(
            files.filter { file in
                guard file.hasSuffix(".png") else { return false }
                let stem = file.dropLast(4)
                let isNamed = stem.hasSuffix("-preview") || all.contains("\(stem)-0000.png")
                return isNamed && PNG.isComposed("\(root)/\(file)")
            })
        files.removeAll { composed.contains($0) }
        for file in composed.sorted() {
            skipped.append(SkippedFile(path: file, reason: "a grid or preview of other images"))
        }
    }

    private func expectReadable() throws(USPError) {
        for format in ImageFormat.allCases where !format.isReadable {
            let files = files.filter { ImageFormat.named($0) == format }
            guard let first = files.first else { continue }
            try locating("\(root)/\(first) (1 of \(files.count))") { () throws(USPError) in
                try format.expectReadable()
            }
        }
    }

    // MARK: the file system

    private static func lies(_ path: String, in folder: String) -> Bool {
        path == folder || path.hasPrefix(folder == "/" ? folder : folder + "/")
    }

    package static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    private static func identity(_ path: String) -> Identity? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Identity(device: status.st_dev, inode: status.st_ino)
    }
}
