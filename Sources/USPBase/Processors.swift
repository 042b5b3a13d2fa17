// How many processors this process may keep busy: its affinity, and what its cgroup is granted.

import Glibc

package enum Processors {
    /// Processors of the process's affinity (`taskset`), or fewer where a cgroup's quota buys less
    /// time than they have (containers); at least 1.
    package static func available() -> Int {
        let quota = quota(root: "/sys/fs/cgroup", groups: content("/proc/self/cgroup") ?? "")
        return max(1, min(affinity(), quota ?? .max))
    }

    /// Of the process, which is its first thread: a host may have pinned the calling one. Where the
    /// system does not tell, every processor.
    private static func affinity() -> Int {
        let label = "Cpus_allowed:"
        let lines = (content("/proc/self/status") ?? "").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix(label) }) else {
            return sysconf(Int32(_SC_NPROCESSORS_ONLN))
        }
        return line.dropFirst(label.count).reduce(0) {
            $0 + ($1.hexDigitValue ?? 0).nonzeroBitCount
        }
    }

    /// Whole processors of the smallest quota from the process's group up to the root, rounded up;
    /// nil if there is none.
    ///
    /// - root: where cgroup v2 is mounted, or the folders of v1's controllers are
    /// - groups: what `/proc/self/cgroup` says, a line `id:controllers:path` a hierarchy
    package static func quota(root: String, groups: String) -> Int? {
        var least: Int?
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].split(separator: ",")
            guard controllers.isEmpty || controllers.contains("cpu") else { continue }
            let base = controllers.isEmpty ? root : "\(root)/\(parts[1])"
            var folders = parts[2].split(separator: "/").map(String.init)
            while true {
                let folder = ([base] + folders).joined(separator: "/")
                if let granted = granted(folder) { least = min(least ?? granted, granted) }
                if folders.popLast() == nil { break }
            }
        }
        return least
    }

    /// The quota of one group: `cpu.max` ("max 100000", "150000 100000") of v2, or v1's two files.
    private static func granted(_ folder: String) -> Int? {
        var numbers = (content("\(folder)/cpu.max") ?? "").split { $0 == " " || $0 == "\n" }
        if numbers.isEmpty, let quota = content("\(folder)/cpu.cfs_quota_us"),
            let period = content("\(folder)/cpu.cfs_period_us")
        {
            numbers = (quota + " " + period).split { $0 == " " || $0 == "\n" }
        }
        guard numbers.count == 2, let quota = Int(numbers[0]), let period = Int(numbers[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period + (quota % period > 0 ? 1 : 0)
    }

    /// The beginning of a small file; nil if it cannot be read.
    private static func content(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 13)
        let count = read(file, &bytes, bytes.count)
        guard count >= 0 else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
