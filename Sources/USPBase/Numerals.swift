// Numbers for people.

/// A number with this many decimals.
package func decimal(_ value: Double, _ places: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let rounded = (abs(value) * scale).rounded()
    guard rounded < 9e15 else { return "\(value)" }
    let digits = String(Int(rounded))
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    let sign = value < 0 && rounded > 0 ? "-" : ""
    return places == 0
        ? sign + padded : sign + padded.dropLast(places) + "." + padded.suffix(places)
}

/// "48 s", "3:05 min", "1:12 h".
package func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    if whole < 60 { return seconds < 10 ? "\(decimal(seconds, 1)) s" : "\(whole) s" }
    if whole < 3600 { return "\(whole / 60):\(whole % 60 < 10 ? "0" : "")\(whole % 60) min" }
    return "\(whole / 3600):\(whole / 60 % 60 < 10 ? "0" : "")\(whole / 60 % 60) h"
}
