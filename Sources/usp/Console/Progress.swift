// Progress of one stage: a bar with rate and time left on a terminal, plain lines elsewhere.

import Glibc
import USPBase

/// Seconds on a clock that only goes forward.
func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Reports how far a stage is. Written to standard error, so that results can be piped.
struct Progress {
    private let title: String
    private let total: Int
    private let unit: String
    private let first: Int
    private let start = seconds()
    private var shownAt = 0.0
    private let isTerminal = isatty(2) == 1

    /// - done: units that were done before this run (after a resume)
    init(_ title: String, total: Int, unit: String = "steps", done: Int = 0) {
        self.title = title
        self.total = total
        self.unit = unit
        first = done
        if !isTerminal {
            write("\(title): \(total) \(unit)\(done > 0 ? ", continuing at \(done)" : "")\n")
        }
    }

    /// Shows the bar again if it has not been shown for a while, or if this is the end.
    ///
    /// - fraction: units' worth of work done beyond `done`, for rate and time left
    mutating func update(_ done: Int, fraction: Double = 0, _ note: String = "") {
        let now = seconds()
        let ends = done >= total
        guard ends || now - shownAt >= (isTerminal ? 0.1 : 15) else { return }
        if !isTerminal && shownAt == 0 && !ends {
            shownAt = now
            return
        }
        shownAt = now
        let worth = Double(done) + fraction
        let rate = (worth - Double(first)) / max(now - start, 1e-9)
        let left = rate > 0 ? (Double(total) - worth) / rate : 0
        let tail =
            "\(done)/\(total) \(unit)  \(decimal(rate, rate < 1 ? 3 : 1))/s  "
            + (ends ? "took \(duration(now - start))" : "\(duration(left)) left")
            + (note.isEmpty ? "" : "  \(note)")
        write(
            isTerminal
                ? "\r\u{1B}[K\(padded) \(bar(done)) \(tail)\(ends ? "\n" : "")"
                : "\(title): \(tail)\n")
    }

    private var padded: String { title + String(repeating: " ", count: max(0, 26 - title.count)) }

    private func bar(_ done: Int) -> String {
        let width = 24
        let filled = total > 0 ? min(width, width * done / total) : width
        return "[" + String(repeating: "━", count: filled)
            + String(repeating: "·", count: width - filled) + "]"
    }

    private func write(_ text: String) {
        guard Job.speaks else { return }
        let bytes = Array(text.utf8)
        _ = Glibc.write(2, bytes, bytes.count)
    }
}
