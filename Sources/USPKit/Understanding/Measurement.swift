// What a measurement of models has found: numbers as JSON, a table and pictures.

import USPBase
import USPFiles

/// Numbers, a table and pictures of one measurement.
public struct Measurement: Sendable {
    /// A picture as SVG.
    public struct Picture: Sendable {
        /// Of a file, without ending.
        public let name: String
        public let svg: String
    }

    let numbers: JSON
    /// In a few lines.
    public let table: String
    public let pictures: [Picture]

    /// The numbers, indented.
    public var json: String { numbers.indented }

    /// Writes NAME.json and each picture, NAME-PICTURE.svg, into a folder, which is made.
    ///
    /// - Returns: the paths
    public func write(to folder: String, as name: String) throws(USPError) -> [String] {
        try FolderListing.make(folder)
        let files =
            [("\(name).json", json + "\n")] + pictures.map { ("\(name)-\($0.name).svg", $0.svg) }
        var paths: [String] = []
        for (file, text) in files {
            let target = try AtomicFile("\(folder)/\(file)")
            try target.write(text)
            try target.commit()
            paths.append("\(folder)/\(file)")
        }
        return paths
    }
}
