import Glibc
import TestSupport
import Testing
import USPBase

import USPFiles

@Suite struct WeightsTests {
    /// In a checkout the tests' own program lies below `.build`, and share/usp beside that.
    @Test func smallIsFoundAboveTheProgram() throws {
        let path = try #require(try Weights.path("small"))
        #expect(path.hasSuffix("/share/usp/small.safetensors"))
        let other = try Weights.path("small.safetensors")
        #expect(other == nil)
        let entries = try Archive.open("small").entries
        #expect(entries.count > 50)
    }

    @Test func nearestFolderComesFirst() throws {
        try inFolder { root in
            for folder in ["/share", "/share/usp", "/a", "/a/share", "/a/share/usp", "/a/lib"] {
                mkdir(root + folder, 0o755)
            }
            let library = root + "/a/lib/libusp.so"
            #expect(throws: USPError.self) { try Weights.path("tiny", above: library) }
            for folder in [root, root + "/a"] {
                let path = folder + "/share/usp/tiny.safetensors"
                close(open(path, O_CREAT | O_WRONLY, 0o644))
                let found = try Weights.path("tiny", above: library)
                #expect(found == path)
            }
        }
    }

    @Test func notFoundSaysWhere() {
        let error = #expect(throws: USPError.self) {
            try Weights.path("tiny", above: "/x/lib/libusp.so")
        }
        let message = error?.message ?? ""
        for part in ["\"tiny\"", "share/usp/tiny.safetensors", "/x/lib/libusp.so", "path"] {
            #expect(message.contains(part), "\(message)")
        }
    }
}
