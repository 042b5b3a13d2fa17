// Labels that a folder tells in `dataset.json`, as StyleGAN's, EDM's and REPA's folders do, whose
// subfolders are no classes.

import USPBase
import USPFiles

/// The class of each file of a folder, by its path below the folder.
struct ListedLabels: Sendable {
    static let file = "dataset.json"

    /// nil: `"labels": null`, there are none.
    let labels: [String: Int]?
    let classes: Int
    private let path: String

    /// nil for a folder that has no such file.
    ///
    /// - Throws: `.format` for a file of something else, `.io`
    init?(in folder: String) throws(USPError) {
        let path = "\(folder)/\(Self.file)"
        guard FolderListing.isFile(path) else { return nil }
        let json = try JSON(parsing: ByteView.file(path), path)
        self.path = path
        if case .null? = json["labels"] {
            (labels, classes) = (nil, 0)
            return
        }
        guard let pairs = json["labels"]?.elements else {
            throw USPError(.format, "\(path): labels: expected null, or a list of [path, class]")
        }
        var labels: [String: Int] = [:]
        var classes = 0
        for pair in pairs {
            guard let values = pair.elements, values.count == 2, let name = values[0].text,
                let label = values[1].integer, (0..<Int(Int32.max)).contains(label)
            else {
                throw USPError(
                    .format,
                    "\(path): labels: \(pair.compact), expected [path, class] with a class from 0 on"
                )
            }
            labels[name] = label
            classes = max(classes, label + 1)
        }
        (self.labels, self.classes) = (labels, classes)
    }

    /// Of each of these files; nil where there are no labels.
    ///
    /// - Throws: `.format` naming a file without one
    func labels(of files: [String]) throws(USPError) -> [Int]? {
        guard let labels else { return nil }
        return try files.map { file throws(USPError) in
            guard let label = labels[file] else {
                throw USPError(.format, "\(path): labels: has none of \(file)")
            }
            return label
        }
    }

    /// Classes have no names there but their numbers.
    var classNames: [String] { (0..<classes).map(String.init) }
}
