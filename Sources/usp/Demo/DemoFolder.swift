// The output folder: what is kept there between stages and runs.

import Glibc
import USPBase
import USPFiles
import USPTensor

/// Files of one run, and what was measured so far.
final class DemoFolder {
    let path: String
    var results: DemoResults

    /// Opens the folder of an earlier run with the same plan, or empties its state for a new one.
    init(_ path: String, plan: DemoPlan) throws(USPError) {
        self.path = path
        try DemoFolder.make(path)
        try DemoFolder.make(path + "/state")
        results = DemoResults()
        results[text: "plan"] = plan.summary
        if let bytes = try? readBytes(statePath("results.json")),
            let saved = try? JSON(parsing: String(decoding: bytes, as: UTF8.self)),
            DemoResults(saved: saved)[text: "plan"] == plan.summary
        {
            results = DemoResults(saved: saved)
        } else {
            for name in try FolderListing.names(path + "/state") { unlink(statePath(name)) }
        }
    }

    private static func make(_ path: String) throws(USPError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            partial += (partial.isEmpty || partial == "/" ? "" : "/") + part
            guard mkdir(partial, 0o755) == 0 || errno == EEXIST else {
                throw USPError(
                    .io, "\(partial): cannot make the folder: \(String(cString: strerror(errno)))")
            }
        }
    }

    func file(_ name: String) -> String { path + "/" + name }
    func statePath(_ name: String) -> String { path + "/state/" + name }
    func exists(_ path: String) -> Bool { access(path, R_OK) == 0 }

    func isDone(_ stage: String) -> Bool { results[text: "done." + stage] != nil }

    func finish(_ stage: String) throws(USPError) {
        results[text: "done." + stage] = "yes"
        try saveResults()
    }

    func saveResults() throws(USPError) {
        try write(statePath("results.json"), results.saved.indented)
    }

    func write(_ path: String, _ text: String) throws(USPError) {
        let file = try AtomicFile(path)
        try file.write(text)
        try file.commit()
    }

    /// Adds the time since `start` to a stage, over interruptions.
    func addSeconds(_ stage: String, since start: Double) {
        results[number: "seconds." + stage] =
            (results[number: "seconds." + stage] ?? 0) + seconds() - start
    }

    func savePicture(_ name: String, _ grid: ImageGrid, _ images: Tensor) throws(USPError) {
        try PNG.write(file(name), grid.picture(images))
    }
}

/// The bytes of a file, copied.
func readBytes(_ path: String) throws(USPError) -> [UInt8] {
    let file = try ByteView.file(path)
    return file.array
}
