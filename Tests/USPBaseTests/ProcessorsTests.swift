import Foundation
import Testing
import USPBase

/// A folder with these files, by path.
private func withFiles(_ files: [String: String], _ body: (_ root: String) -> Void) throws {
    let root = NSTemporaryDirectory() + "usp-cgroup-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (path, content) in files {
        let url = URL(fileURLWithPath: "\(root)/\(path)")
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try content.write(to: url, atomically: true, encoding: .utf8)
    }
    body(root)
}

@Suite struct ProcessorsTests {
    @Test func thereIsAtLeastOne() {
        #expect((1...sysconf(Int32(_SC_NPROCESSORS_ONLN))).contains(Processors.available()))
    }

    /// Version 2: the smallest quota from the group to the root counts, rounded up.
    @Test func quotasOfVersionTwo() throws {
        try withFiles([
            "a/cpu.max": "350000 100000\n", "a/b/cpu.max": "max 100000\n",
            "c/cpu.max": "150000 100000", "d/cpu.max": "1000 100000\n",
            "e/cpu.max": "nonsense\n", "f/cpu.max": "",
        ]) { root in
            for (group, expected) in [
                ("/a", 4), ("/a/b", 4), ("/c", 2), ("/d", 1), ("/e", nil), ("/f", nil), ("/", nil),
                ("/gone/away", nil),
            ] {
                #expect(Processors.quota(root: root, groups: "0::\(group)\n") == expected)
            }
        }
    }

    /// Version 1: a folder for each controller, whose path inside a container may not be there.
    @Test func quotasOfVersionOne() throws {
        try withFiles([
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n",
            "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
        ]) { root in
            let groups = "5:memory:/box\n4:cpu,cpuacct:/box/inner\n0::/\n"
            #expect(Processors.quota(root: root, groups: groups) == 3)
            #expect(Processors.quota(root: root, groups: "4:cpu,cpuacct:/docker/7f\n") == nil)
            #expect(Processors.quota(root: root, groups: "4:cpuset:/box\nrubbish\n") == nil)
        }
    }
}
