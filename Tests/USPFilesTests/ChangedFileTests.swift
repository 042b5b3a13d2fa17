// Files that others write to while they are in use: errors, never the end of the process.

import Glibc
import TestSupport
import Testing
import USPBase
import USPFiles

/// A file of one array of zeros, large enough to be mapped, that takes no disk.
private func largeFile(_ path: String, elements: Int = (40 << 20) / 4) throws {
    let header =
        #"{"a":{"dtype":"F32","shape":[\#(elements)],"data_offsets":[0,\#(4 * elements)]}}"#
    let text = Array(header.utf8) + [UInt8](repeating: 0x20, count: (8 - header.utf8.count % 8) % 8)
    try writeFile(path, little(UInt64(text.count)) + text)
    #expect(truncate(path, off_t(8 + text.count + 4 * elements)) == 0)
}

@Suite struct ChangedFileTests {
    private let scratch = ScratchFolder()

    private func expectChanged(_ body: () throws -> Void) {
        let error = #expect(throws: USPError.self) { try body() }
        #expect(error?.kind == .io)
        #expect(error?.message.contains("changed while it was in use") == true, "\(error!)")
    }

    @Test func aFileThatIsCutShort() throws {
        let path = scratch.file("a.safetensors")
        try largeFile(path)
        let entry = try Archive.open(path).entry("a")
        let view = try entry.bytes()
        #expect(view.owner is MappedFile && view.bytes[view.count - 1] == 0)
        let before = MappedFile.damages
        view.release()
        #expect(truncate(path, 4096) == 0)
        // A host that holds a view reads zeros; whoever asks the library again is told.
        #expect(view.bytes[view.count - 1] == 0 && view.bytes[view.count / 2] == 0)
        #expect(MappedFile.damages > before)
        expectChanged { _ = try entry.bytes() }
        expectChanged { try view.expectUnchanged() }
        withExtendedLifetime(view.owner) {}
    }

    @Test func aFileThatIsWrittenTo() throws {
        let path = scratch.file("a.safetensors")
        try largeFile(path)
        let entry = try Archive.open(path).entry("a")
        let file = open(path, O_WRONLY)
        #expect(pwrite(file, [1 as UInt8], 1, 20 << 20) == 1 && close(file) == 0)
        expectChanged { _ = try entry.bytes() }
        let target = try ByteBuffer(count: entry.byteCount)
        expectChanged { try entry.copy(into: target.bytes) }
        expectChanged { try Safetensors.write(scratch.file("b"), [ArrayOutput(entry)]) }
        #expect(!scratch.names.contains("b"))
    }

    @Test func aFileThatIsReplacedOrRemoved() throws {
        let path = scratch.file("a.safetensors")
        try largeFile(path)
        let entry = try Archive.open(path).entry("a")
        try largeFile(scratch.file("b"), elements: (36 << 20) / 4)
        #expect(rename(scratch.file("b"), path) == 0)
        #expect(try entry.bytes().count == 40 << 20)
        #expect(unlink(path) == 0)
        #expect(try entry.bytes().count == 40 << 20)
    }

    /// Small files are copied: nobody can change them any more.
    @Test func smallFilesAreCopied() throws {
        let path = scratch.file("a.safetensors")
        try Safetensors.write(path, [try output("a", [2], [1, 2])])
        let entry = try Archive.open(path).entry("a")
        #expect(truncate(path, 0) == 0)
        #expect(try EntryContent(entry).bytes == [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40])
        #expect(try ByteView.file(path).count == 0)
    }

    /// Faults that are not ours stay with the handler that was there.
    @Test(
        .disabled(if: Sanitizer.name == "thread", "its runtime handles signals itself"))
    func otherFaultsArePassedOn() throws {
        let path = scratch.file("a.safetensors")
        try largeFile(path)
        let archive = try Archive.open(path)
        let other = scratch.file("other")
        try writeFile(other, [1, 2, 3])
        let child = fork()
        if child == 0 {
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
            let file = open(other, O_RDWR)
            let page = mmap(nil, 8192, PROT_READ, MAP_SHARED, file, 0)
            // The second page is behind the end of the file.
            let value = page?.load(fromByteOffset: 5000, as: UInt8.self) ?? 0
            _exit(Int32(value))
        }
        var status: Int32 = 0
        #expect(waitpid(child, &status, 0) == child)
        #expect(status & 0x7F == SIGBUS)
        withExtendedLifetime(archive) {}
    }
}

@Suite struct ReplacedFileTests {
    private let scratch = ScratchFolder()

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test func theModeStays() throws {
        let path = scratch.file("a.npy")
        for mode in [0o600, 0o640, 0o666, 0o755] as [mode_t] {
            try writeFile(path, [1])
            #expect(chmod(path, mode) == 0)
            try Npy.write(path, try output("a", [1], [1]))
            #expect(self.mode(path) == mode)
            #expect(try Archive.open(path).entry("array").shape == [1])
        }
    }

    @Test func linksAreFollowed() throws {
        let (real, link, second) = (
            scratch.file("real.npy"), scratch.file("link.npy"), scratch.file("second.npy")
        )
        #expect(symlink("real.npy", link) == 0 && symlink(link, second) == 0)
        // The link leads to nothing yet.
        try Npy.write(second, try output("a", [1], [1]))
        try Npy.write(link, try output("a", [2], [1, 2]))
        for path in [real, link, second] {
            #expect(try Archive.open(path).entry("array").shape == [2])
        }
        var status = stat()
        #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(scratch.names == ["link.npy", "real.npy", "second.npy"])
        #expect(symlink("loop", scratch.file("loop")) == 0)
        #expect(throws: USPError.self) { try AtomicFile(scratch.file("loop")) }
    }
}
