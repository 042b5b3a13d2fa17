// Photographs that Debian's wallpaper packages install: colour without a download.

import USPBase
import USPFiles

/// Photographs of installed packages, each with the words of its licence.
public enum Wallpapers {
    /// A photograph.
    public struct Photograph: Sendable, Equatable {
        public let path: String
        /// What its class is called.
        public let name: String
        public let package: String
        /// As the package's copyright file says it, such as `CC-BY-SA-4.0`.
        public let licence: String
    }

    /// Packages whose pictures were looked at: where their photographs are, beside drawings that
    /// some have too.
    static let packages = [
        (name: "lomiri-wallpapers-16.04", folder: "/usr/share/backgrounds/"),
        (name: "lomiri-wallpapers-20.04", folder: "/usr/share/backgrounds/"),
        (name: "mate-backgrounds", folder: "/usr/share/backgrounds/mate/nature/"),
    ]

    /// The photographs of the packages that are installed, in the order of their paths.
    ///
    /// - root: of the file system, for tests
    public static func installed(root: String = "") -> [Photograph] {
        var result: [Photograph] = []
        for package in packages {
            guard let files = text("\(root)/var/lib/dpkg/info/\(package.name).list") else {
                continue
            }
            let licences = Licences(
                text("\(root)/usr/share/doc/\(package.name)/copyright") ?? "")
            for path in files.split(whereSeparator: \.isNewline).map({ String($0) }).sorted()
            where path.hasPrefix(package.folder)
                && [".jpg", ".jpeg", ".png", ".webp"].contains(where: { path.hasSuffix($0) })
            {
                guard FolderListing.isFile(root + path) else { continue }
                let file = String(path.split(separator: "/").last ?? "")
                guard !file.hasPrefix("warty-final") else { continue }
                let name = String(file.prefix { $0 != "." }).split(separator: "_").joined(
                    separator: " ")
                result.append(
                    Photograph(
                        path: root + path, name: name, package: package.name,
                        licence: licences.of(path)))
            }
        }
        return result
    }

    /// What to install where there are none.
    public static var advice: String {
        "apt-get install " + packages.map(\.name).joined(separator: " ")
    }

    private static func text(_ path: String) -> String? {
        guard let file = try? ByteView.file(path) else { return nil }
        return try? file.text
    }
}

/// Licences of files, as a machine-readable copyright file tells them.
private struct Licences {
    private var rows: [(pattern: String, licence: String)] = []

    init(_ text: String) {
        var patterns: [String] = []
        var readsFiles = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("Files:") {
                patterns = line.dropFirst(6).split(whereSeparator: \.isWhitespace).map(String.init)
                readsFiles = true
            } else if line.hasPrefix("License:") {
                let licence = line.dropFirst(8).split(whereSeparator: \.isWhitespace).joined(
                    separator: " ")
                for pattern in patterns { rows.append((pattern, licence)) }
                (patterns, readsFiles) = ([], false)
            } else if readsFiles, line.hasPrefix(" ") || line.hasPrefix("\t") {
                patterns += line.split(whereSeparator: \.isWhitespace).map(String.init)
            } else {
                readsFiles = false
            }
        }
    }

    /// The last row that fits counts, as the format says.
    func of(_ path: String) -> String {
        let parts = path.split(separator: "/").map(String.init)
        return rows.last { Self.fits($0.pattern, parts) }?.licence
            ?? "see the package's copyright file"
    }

    /// Whether a pattern is of an installed file: by its name, wherever the source had it; a pattern with
    /// an asterisk also by its folder, which `debian/*` has and no picture.
    private static func fits(_ pattern: String, _ path: [String]) -> Bool {
        let parts = pattern.split(separator: "/").map(String.init)
        guard let last = parts.last, let file = path.last else { return false }
        guard let star = last.firstIndex(of: "*") else { return last == file }
        return file.hasPrefix(String(last[..<star]))
            && file.hasSuffix(String(last[last.index(after: star)...]))
            && parts.dropLast().allSatisfy { path.contains($0) }
    }
}
