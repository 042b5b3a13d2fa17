// What diffusers writes beside a model's weights.

import USPBase
import USPFiles

/// The keys of a folder's `config.json` that decide what a model computes.
struct FolderConfiguration: Sendable {
    let heads: Int?
    let sampleSize: Int?
    let groups: Int?
    let epsilon: Float?
    let normalization: LatentNormalization?

    /// nil without such a file, or where it belongs to something else.
    ///
    /// - Throws: `.format` naming it, if it is damaged or a value is none that it can be
    init?(beside path: String) throws(USPError) {
        guard let json = try ModelFolder.configuration(beside: path), json["_class_name"] != nil
        else { return nil }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let place = folder + "config.json"
        func number(_ key: String) throws(USPError) -> Float? {
            switch json[key] {
            case .number(let value)?: return Float(value)
            case .integer(let value)?: return Float(value)
            case .null?, nil: return nil
            case let other?:
                throw USPError(.format, "\(place): \(key) is \(other.compact), expected a number")
            }
        }
        func integer(_ key: String) throws(USPError) -> Int? {
            guard let value = try number(key) else { return nil }
            try require(
                json[key]?.integer.map { $0 > 0 } == true, .format,
                "\(place): \(key) is \(value), expected a whole number above 0")
            return json[key]?.integer
        }
        heads = try integer("num_attention_heads")
        sampleSize = try integer("sample_size")
        groups = try integer("norm_num_groups")
        epsilon = try number("norm_eps")
        normalization = try number("scaling_factor").map { scale throws(USPError) in
            LatentNormalization(shift: [try number("shift_factor") ?? 0], scale: [scale])
        }
    }
}
