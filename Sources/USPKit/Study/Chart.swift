// Line charts as inline SVG that follow the page's colours.

import Glibc
import USPBase

/// One line of a chart.
struct ChartLine {
    let title: String
    /// A CSS class that gives the colour: `usp`, `scratch`, `supervised` or `encoder`.
    let style: String
    let points: [(x: Double, y: Double)]
    /// Lowest and highest over repetitions, where there are several.
    var band: [(x: Double, low: Double, high: Double)] = []
}

/// A chart with linear x and linear or logarithmic y.
struct Chart {
    let title: String
    let xTitle: String
    let yTitle: String
    let lines: [ChartLine]
    var logarithmic = false
    /// Drawn as a dashed horizontal line with its name.
    var floor: (value: Double, title: String)?
    /// What stands below x of 0, 1, …, where x is no number.
    var marks: [String] = []

    private let width = 640.0
    private let height = 320.0
    private let left = 62.0
    private let right = 18.0
    private let top = 16.0
    private let bottom = 46.0

    init(
        _ title: String, x: String, y: String, lines: [ChartLine], logarithmic: Bool = false,
        floor: (value: Double, title: String)? = nil, marks: [String] = []
    ) {
        (self.title, xTitle, yTitle, self.lines) = (title, x, y, lines)
        (self.logarithmic, self.floor, self.marks) = (logarithmic, floor, marks)
    }

    /// The chart as one `<figure>` element.
    var svg: String {
        let body = body
        guard !body.isEmpty else { return "" }
        return
            "<figure><figcaption>\(title)</figcaption><svg viewBox='0 0 \(Int(width)) \(Int(height))' role='img' aria-label='\(title)'>\(body)</svg>\(legend)</figure>"
    }

    /// Axes and lines.
    private var body: String {
        let edges = lines.flatMap(\.band).flatMap { [($0.x, $0.low), ($0.x, $0.high)] }
        let points = (lines.flatMap(\.points) + edges.map { (x: $0.0, y: $0.1) }).filter {
            $0.y.isFinite && (!logarithmic || $0.y > 0)
        }
        guard let firstX = points.map(\.x).min(), let lastX = points.map(\.x).max(),
            let low = (points.map(\.y) + (floor.map { [$0.value] } ?? [])).min(),
            let high = points.map(\.y).max()
        else { return "" }
        let scale = Scale(
            low: logarithmic ? low : min(low, 0), high: high, logarithmic: logarithmic)
        let x = { (value: Double) in
            left + (value - firstX) / max(lastX - firstX, 1e-9) * (width - left - right)
        }
        let y = { (value: Double) in
            height - bottom - scale.position(value) * (height - top - bottom)
        }
        var body = axes(scale, firstX, lastX, x, y)
        if let floor {
            body +=
                "<line class='floor' x1='\(left)' x2='\(width - right)' y1='\(decimal(y(floor.value), 1))' y2='\(decimal(y(floor.value), 1))'/>"
            body +=
                "<text class='tick' x='\(width - right)' y='\(decimal(y(floor.value) - 5, 1))' text-anchor='end'>\(floor.title)</text>"
        }
        for line in lines { body += draw(line, x, y) }
        return body
    }

    /// The chart as a file of its own, with its title and what its lines are.
    var file: String {
        var keys = ""
        for (place, line) in lines.enumerated() {
            let y = Int(height) + 22 + 18 * place
            keys +=
                "<circle class='dot \(line.style)' cx='\(left + 5)' cy='\(y - 4)' r='4'/><text class='name' x='\(left + 16)' y='\(y)'>\(escaped(line.title))</text>"
        }
        return SVGStyle.document(
            width: Int(width), height: Int(height) + 24 + 18 * lines.count, title: title,
            body: body + keys)
    }

    private var legend: String {
        "<p class='legend'>"
            + lines.map { "<span class='\($0.style)'>\(escaped($0.title))</span>" }.joined()
            + "</p>"
    }

    private func draw(
        _ line: ChartLine, _ x: (Double) -> Double, _ y: (Double) -> Double
    ) -> String {
        let points = line.points.filter { $0.y.isFinite && (!logarithmic || $0.y > 0) }
        let path = points.map { "\(decimal(x($0.x), 1)),\(decimal(y($0.y), 1))" }.joined(
            separator: " ")
        let edges = line.band.map { ($0.x, $0.high) } + line.band.reversed().map { ($0.x, $0.low) }
        let area = edges.filter { $0.1.isFinite && (!logarithmic || $0.1 > 0) }.map {
            "\(decimal(x($0.0), 1)),\(decimal(y($0.1), 1))"
        }.joined(separator: " ")
        var text = area.isEmpty ? "" : "<polygon class='band \(line.style)' points='\(area)'/>"
        text += "<polyline class='line \(line.style)' points='\(path)'/>"
        if points.count <= 40 {
            for point in points {
                text +=
                    "<circle class='dot \(line.style)' cx='\(decimal(x(point.x), 1))' cy='\(decimal(y(point.y), 1))' r='3.5'><title>\(escaped(line.title)): \(decimal(point.y, 3)) at \(place(point.x))</title></circle>"
            }
        }
        return text
    }

    private func axes(
        _ scale: Scale, _ firstX: Double, _ lastX: Double, _ x: (Double) -> Double,
        _ y: (Double) -> Double
    ) -> String {
        var text = ""
        for value in scale.ticks {
            let at = decimal(y(value), 1)
            text += "<line class='grid' x1='\(left)' x2='\(width - right)' y1='\(at)' y2='\(at)'/>"
            text +=
                "<text class='tick' x='\(left - 8)' y='\(decimal(y(value) + 4, 1))' text-anchor='end'>\(label(value))</text>"
        }
        let ticks =
            marks.isEmpty
            ? Scale(low: firstX, high: lastX, logarithmic: false).ticks.map { ($0, label($0)) }
            : marks.enumerated().map { (Double($0), escaped($1)) }
        for (value, name) in ticks where value >= firstX && value <= lastX {
            text +=
                "<text class='tick' x='\(decimal(x(value), 1))' y='\(height - bottom + 18)' text-anchor='middle'>\(name)</text>"
        }
        text +=
            "<text class='name' x='\((left + width - right) / 2)' y='\(height - 8)' text-anchor='middle'>\(xTitle)</text>"
        text +=
            "<text class='name' transform='translate(14 \((height - bottom + top) / 2)) rotate(-90)' text-anchor='middle'>\(yTitle)</text>"
        return text
    }

    private func place(_ x: Double) -> String {
        marks.isEmpty ? levelText(x) : escaped(marks[min(max(Int(x), 0), marks.count - 1)])
    }

    private func label(_ value: Double) -> String {
        value == value.rounded()
            ? decimal(value, 0) : decimal(value, abs(value) < 0.1 ? 3 : abs(value) < 1 ? 2 : 1)
    }
}

/// Where values lie between 0 and 1, and at which values lines are drawn.
private struct Scale {
    let low: Double
    let high: Double
    let logarithmic: Bool

    func position(_ value: Double) -> Double {
        if logarithmic {
            let (a, b) = (log10(low) - 0.03, log10(max(high, low * 1.001)) + 0.03)
            return (log10(max(value, 1e-30)) - a) / (b - a)
        }
        return (value - low) / max(high - low, 1e-12) / 1.05
    }

    var ticks: [Double] { logarithmic ? logarithmicTicks : linearTicks }

    private var linearTicks: [Double] {
        let raw = max(high - low, 1e-12) / 5
        let magnitude = pow(10, floor(log10(raw)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * magnitude }.first { $0 >= raw } ?? raw
        var result: [Double] = []
        var value = (low / step).rounded(.up) * step
        while value <= high * 1.0001, result.count < 12 {
            result.append(value)
            value += step
        }
        return result
    }

    private var logarithmicTicks: [Double] {
        var result: [Double] = []
        for exponent in Int(floor(log10(low)))...Int(ceil(log10(high))) {
            for factor in [1.0, 2, 5] {
                let value = factor * pow(10, Double(exponent))
                if value >= low * 0.95 && value <= high * 1.05 { result.append(value) }
            }
        }
        return result
    }
}
