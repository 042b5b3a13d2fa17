// Pictures of measurements as files of their own.

import USPBase

enum SVGStyle {
    /// Of lines, on white and on dark grounds.
    static let colours = ["#d9480f", "#1f6feb", "#2b8a3e", "#9c36b5", "#e0a800", "#0b7285"]

    /// - body: elements in this box, the title above it
    static func document(width: Int, height: Int, title: String, body: String) -> String {
        let series = colours.enumerated().map { place, colour in
            ".line.series\(place){stroke:\(colour)}.dot.series\(place){fill:\(colour)}"
        }.joined()
        let style =
            "text{font:12px system-ui,sans-serif;fill:#495057}.title{font-size:14px;font-weight:600;fill:#1d2430}.grid{stroke:#dfe2e8}.tick{font-size:11.5px}.line{fill:none;stroke-width:2.4}.cell{font-size:11.5px;text-anchor:middle}"
            + series
        return
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 -28 \(width) \(height + 28)' width='\(width)' height='\(height + 28)'><style>\(style)</style><rect y='-28' width='\(width)' height='\(height + 28)' fill='#fff'/><text class='title' x='12' y='-9'>\(escaped(title))</text>\(body)</svg>\n"
    }
}
