// The files of a run: the model, and beside it what an interrupted run needs, and the log.

import Glibc
import USPBase
import USPData
import USPFiles

struct RunFiles {
    let model: String
    let state: String
    let log: String
    private let stem: String

    // What stands in the state beside the arrays.
    private static let prefix = "usp.run."
    private static let window = "usp.window"

    /// How latents are scaled, which older runs do not tell.
    static let latents = "latents"

    /// - Throws: `.argument` for an ending that no model has; `.io` if the folder cannot be written
    init(_ output: String, writes: Bool) throws(USPError) {
        try require(
            ArrayFormat.of(output).keepsTexts, .argument,
            "\(output): a model is written as .safetensors, .pt or .pth")
        stem = String(output[..<(output.lastIndex(of: ".") ?? output.endIndex)])
        (model, state, log) = (output, stem + "-state.safetensors", stem + "-log.jsonl")
        if writes { for path in [model, state, log] { _ = try AtomicFile(path) } }
    }

    /// Keeps other runs from these files as long as it lives.
    ///
    /// - Throws: `.io` naming the process that writes them
    func lock() throws(USPError) -> FileLock { try FileLock(stem + "-run.lock", model) }

    func metadata(
        _ record: [(name: String, value: String)], _ window: LossWindow
    ) -> [(key: String, value: String)] {
        record.map { (key: Self.prefix + $0.name, value: $0.value) }
            + [(key: Self.window, value: window.text)]
    }

    /// Restores an earlier run with the same record.
    ///
    /// - Throws: `.argument` naming the first entry that differs
    func resume(
        _ trainer: Trainer, _ record: [(name: String, value: String)]
    ) throws(USPError) -> LossWindow {
        let saved = try Archive.open(state)
        for (name, value) in record {
            let before = saved.metadataValue(Self.prefix + name)
            guard before != value, before != nil || name != Self.latents else { continue }
            let (then, now) = differing(before ?? "unknown", value)
            throw USPError(
                .argument,
                "\(state): an earlier run with \(name) \(then), now \(now); give the same options, "
                    + "another output, or restart")
        }
        try trainer.restore(state)
        return LossWindow(saved.metadataValue(Self.window) ?? "")
    }
}

/// Losses since the last line of the log.
struct LossWindow {
    private var sum = 0.0
    private var count = 0
    /// An epoch ended here, but an interruption kept it from being evaluated.
    var owesEvaluation = false

    init() {}

    /// From `text`.
    init(_ text: String) {
        let parts = text.split(separator: " ")
        guard parts.count >= 2, let count = Int(parts[0]), let sum = Double(String(parts[1])) else {
            return
        }
        (self.count, self.sum) = (count, sum)
        owesEvaluation = parts.last == "unevaluated"
    }

    var text: String { "\(count) \(sum)" + (owesEvaluation ? " unevaluated" : "") }
    var mean: Double { count > 0 ? sum / Double(count) : 0 }

    mutating func clear() { (sum, count) = (0, 0) }

    mutating func add(_ loss: Double) {
        sum += loss
        count += 1
    }
}

/// The log of a run: one JSON object a line; and the same numbers for TensorBoard, if it is wanted.
struct RunLog {
    private let path: String
    private let events: EventFile?

    /// Begins a log, or goes on with the lines of an earlier run up to a step.
    ///
    /// - heading: the first line of a new log
    /// - events: the folder of event files
    init(_ path: String, upTo step: Int, heading: JSON, events: String?) throws(USPError) {
        self.path = path
        self.events = try events.map { folder throws(USPError) in
            try EventFile(folder: folder, first: step + 1)
        }
        var lines = [heading.compact]
        if step > 0, FolderListing.isFile(path) {
            let file = try ByteView.file(path)
            let text = try file.text
            lines += text.split(separator: "\n").map(String.init).filter { line in
                guard let at = (try? JSON(parsing: line))?["step"]?.integer else { return false }
                return at <= step
            }
        }
        let file = try AtomicFile(path)
        try file.write(lines.joined(separator: "\n") + "\n")
        try file.commit()
    }

    func add(_ members: [JSON.Member]) throws(USPError) {
        if let events, let step = members.first(where: { $0.key == "step" })?.value.integer {
            try events.add(
                step: step,
                members.compactMap { member in
                    switch member.value {
                    case .number(let value): (member.key, value)
                    case .integer(let value) where member.key != "step":
                        (member.key, Double(value))
                    default: nil
                    }
                })
        }
        let bytes = Array((JSON.object(members).compact + "\n").utf8)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, write(descriptor, bytes, bytes.count) == bytes.count else {
            throw USPError(.io, "\(path): cannot write: \(String(cString: strerror(errno)))")
        }
    }

    /// A picture among the events, where there are some.
    func add(_ step: Int, _ preview: Run.Preview) throws(USPError) {
        try events?.add(step: step, preview.name, preview.picture)
    }

    /// A line of what was measured, if anything was.
    func add(_ place: [JSON.Member], _ metrics: [Run.Metric]) throws(USPError) {
        guard !metrics.isEmpty else { return }
        try add(place + metrics.map { .init($0.name, .number($0.value)) })
    }
}

extension JSON {
    /// Of a text of the log: numbers are numbers.
    init(logged text: String) {
        if let number = Int(text) {
            self = .integer(number)
        } else if let number = Double(text), number.isFinite {
            self = .number(number)
        } else {
            self = .string(text)
        }
    }
}
