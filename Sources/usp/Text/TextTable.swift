// Tables of text: columns aligned, numbers to the right.

/// Rows of cells under a heading.
struct TextTable {
    enum Alignment { case left, right }

    private let headings: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    init(_ columns: [(heading: String, alignment: Alignment)]) {
        headings = columns.map(\.heading)
        alignments = columns.map(\.alignment)
    }

    /// - cells: one for each column
    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// The lines, two spaces between columns.
    var text: String {
        let lines = headings.allSatisfy(\.isEmpty) ? rows : [headings] + rows
        let widths = headings.indices.map { column in
            lines.map { $0[column].count }.max() ?? 0
        }
        return lines.map { line in
            let cells = line.indices.map { padded(line[$0], widths[$0], alignments[$0]) }
            return trimmed(cells.joined(separator: "  "))
        }.joined(separator: "\n")
    }

    private func padded(_ cell: String, _ width: Int, _ alignment: Alignment) -> String {
        let space = String(repeating: " ", count: width - cell.count)
        return alignment == .left ? cell + space : space + cell
    }

    private func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }
}

/// A count with a comma between thousands: `12,345`.
func grouped(_ count: Int) -> String {
    let digits = Array(String(count.magnitude))
    var result = ""
    for (position, digit) in digits.enumerated() {
        if position > 0 && (digits.count - position) % 3 == 0 { result += "," }
        result.append(digit)
    }
    return count < 0 ? "-" + result : result
}

/// A number of bytes for people: `512 B`, `1.5 MB` (powers of 1000).
func byteText(_ count: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"]
    var value = Double(count)
    var unit = 0
    while value >= 999.95 && unit < units.count - 1 {
        value /= 1000
        unit += 1
    }
    return unit == 0 ? "\(count) B" : "\((value * 10).rounded() / 10) \(units[unit])"
}

/// A number with this many decimals.
func fixed(_ value: Double, _ places: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let digits = String(Int((abs(value) * scale).rounded()))
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    let whole = padded.dropLast(places)
    return (value < 0 ? "-" : "") + whole + (places == 0 ? "" : "." + padded.suffix(places))
}
