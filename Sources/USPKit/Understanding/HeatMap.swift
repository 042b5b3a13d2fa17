// A table of numbers as a picture, warmer the higher.

import USPBase

/// Rows and columns of numbers with their names.
struct HeatMap {
    let title: String
    let rows: [String]
    let columns: [String]
    /// A row each.
    let values: [[Double]]
    /// Below the table.
    let note: String

    private let side = 58
    private let left = 82
    private let height = 30

    var file: String {
        let all = values.flatMap(\.self)
        let (low, high) = (all.min() ?? 0, all.max() ?? 0)
        var body = ""
        for (place, name) in columns.enumerated() {
            body +=
                "<text class='cell' x='\(left + place * side + side / 2)' y='16'>\(escaped(name))</text>"
        }
        for (row, name) in rows.enumerated() {
            let y = 24 + row * height
            body +=
                "<text class='tick' x='\(left - 8)' y='\(y + 19)' text-anchor='end'>\(escaped(name))</text>"
            for (column, value) in values[row].enumerated() {
                let x = left + column * side
                let share = (value - low) / max(high - low, 1e-9)
                body +=
                    "<rect x='\(x)' y='\(y)' width='\(side - 2)' height='\(height - 2)' rx='3' fill='\(colour(share))'/>"
                    + "<text class='cell' x='\(x + side / 2 - 1)' y='\(y + 18)' style='fill:\(share > 0.6 ? "#fff" : "#1d2430")'>\(decimal(value, 1))</text>"
            }
        }
        let bottom = 24 + rows.count * height
        body += "<text class='tick' x='12' y='\(bottom + 20)'>\(escaped(note))</text>"
        let width = max(left + columns.count * side + 12, 7 * note.count + 24)
        return SVGStyle.document(width: width, height: bottom + 32, title: title, body: body)
    }

    /// From nearly white over orange to dark red.
    private func colour(_ share: Double) -> String {
        let stops: [[Double]] = [[255, 244, 230], [253, 141, 60], [128, 0, 38]]
        let place = min(max(share, 0), 1) * 2
        let first = min(Int(place), 1)
        let channels = (0..<3).map { channel in
            let (a, b) = (stops[first][channel], stops[first + 1][channel])
            return "\(Int((a + (b - a) * (place - Double(first))).rounded()))"
        }
        return "rgb(\(channels.joined(separator: ",")))"
    }
}
