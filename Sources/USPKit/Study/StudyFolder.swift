// The output folder: what is kept there between stages and runs.

import Glibc
import USPBase
import USPFiles
import USPTensor

/// Files of one study, and what was measured so far.
final class StudyFolder {
    let path: String
    var results = StudyResults()

    /// Opens the folder of an earlier run, or makes one.
    init(_ path: String) throws(USPError) {
        self.path = path
        try FolderListing.make(path + "/state")
        guard let bytes = try? ByteView.file(statePath("results.json")).array,
            let saved = try? JSON(parsing: String(decoding: bytes, as: UTF8.self))
        else { return }
        results = StudyResults(saved: saved)
    }

    func file(_ name: String) -> String { path + "/" + name }
    func statePath(_ name: String) -> String { path + "/state/" + name }

    /// Whether a stage was done with what this key stands for, and its files are still there.
    func isDone(_ stage: String, _ key: String, _ files: [String]) -> Bool {
        results[text: "done." + stage] == key
            && files.allSatisfy { FolderListing.isFile(file($0)) }
    }

    /// Before a stage: what a run with another key, or one whose result is gone, has left is removed.
    func begin(_ stage: String, _ key: String) throws(USPError) {
        guard results[text: "begun." + stage] != key || results[text: "done." + stage] != nil else {
            return
        }
        for name in try FolderListing.names(path + "/state") where Self.isOf(stage, name) {
            unlink(statePath(name))
        }
        results[text: "done." + stage] = nil
        results[number: "seconds." + stage] = nil
        results[text: "begun." + stage] = key
        try saveResults()
    }

    /// Files of a run: `STAGE.safetensors`, `STAGE-state.safetensors`, and so on.
    private static func isOf(_ stage: String, _ name: String) -> Bool {
        name.hasPrefix(stage + ".") || name.hasPrefix(stage + "-")
    }

    /// What only an interrupted run needs goes.
    func finish(_ stage: String, _ key: String) throws(USPError) {
        results[text: "done." + stage] = key
        try saveResults()
        for ending in [".safetensors", "-state.safetensors"] { unlink(statePath(stage + ending)) }
    }

    func saveResults() throws(USPError) {
        try write(statePath("results.json"), results.saved.indented)
    }

    func write(_ path: String, _ text: String) throws(USPError) {
        let file = try AtomicFile(path)
        try file.write(text)
        try file.commit()
    }

    /// Adds the time of a stage, over interruptions.
    func addSeconds(_ stage: String, _ clock: Stopwatch) {
        results[number: "seconds." + stage] =
            (results[number: "seconds." + stage] ?? 0) + clock.seconds
    }

    func savePicture(_ name: String, _ grid: ImageGrid, _ images: Tensor) throws(USPError) {
        try PNG.write(
            file(name), grid.picture(images),
            texts: [(PNG.composedKey, "several images in one picture")])
    }
}
