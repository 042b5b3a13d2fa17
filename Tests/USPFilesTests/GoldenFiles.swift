// Where the tests find files, and how they take archives apart.

import Glibc
import Testing
import USPBase
import USPFiles

/// The folder Tests/Golden, found from this source file.
let goldenFolder: String = {
    let parts = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    return "/\(parts)/Golden"
}()

/// The repository's own folder.
let repositoryFolder: String = {
    "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
}()

/// A folder of real files from the wild, if there is one: `USP_REAL_FILES`, or beside the
/// repository.
let realFolder: String? = {
    let named = getenv("USP_REAL_FILES").map { String(cString: $0) }
    let candidates = [
        named, "\(repositoryFolder)/../shared/real", "\(repositoryFolder)/../../shared/real",
    ]
    return candidates.compactMap { $0 }.first { access($0, R_OK) == 0 }
}()

/// A folder of its own for one test, removed with all that is in it.
final class ScratchFolder {
    let path: String

    init() {
        var template = Array("/tmp/usp-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    var names: [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}

/// Everything of an entry that a comparison needs.
struct EntryContent: Equatable, CustomStringConvertible {
    let dtype: DType
    let shape: Shape
    let bytes: [UInt8]

    init(_ entry: ArchiveEntry) throws {
        dtype = entry.dtype
        shape = entry.shape
        bytes = try entry.bytes().array
    }

    init(_ dtype: DType, _ shape: Shape, _ bytes: [UInt8]) {
        (self.dtype, self.shape, self.bytes) = (dtype, shape, bytes)
    }

    var description: String { "\(dtype.name) \(shape) \(bytes.prefix(16))" }
}

func contents(_ archive: Archive) throws -> [String: EntryContent] {
    var result: [String: EntryContent] = [:]
    for entry in archive.entries { result[entry.name] = try EntryContent(entry) }
    return result
}

/// An output with these f32 values.
func output(_ name: String, _ shape: Shape, _ values: [Float]) throws -> ArrayOutput {
    let bytes = values.withUnsafeBytes { Array($0) }
    return ArrayOutput(name, .float32, shape, bytes: try ByteBuffer(bytes).view)
}

func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(file) }
    guard write(file, bytes, bytes.count) == bytes.count else { throw USPError(.io, path) }
}

func readFile(_ path: String) throws -> [UInt8] { try ByteView.file(path).array }
