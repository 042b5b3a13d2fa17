// Learning rates that fall with the distance from the head (ELECTRA; BEiT and MAE fine-tune so).

import USPBase

package enum LayerDecay {
    /// 0 for embeddings and tokens, i + 1 for block i, depth + 1 for everything after.
    package static func layer(of name: String, depth: Int) -> Int {
        let name = name.hasPrefix("backbone.") ? String(name.dropFirst(9)) : name
        let tokens = ["cls_token", "register_tokens", "pos_embed", "mask_token"]
        if tokens.contains(name) || name.hasPrefix("patch_embed.") {
            return 0
        }
        let parts = name.split(separator: ".")
        if parts.count > 1, parts[0] == "blocks", let block = Int(parts[1]) {
            return min(max(block, 0), depth) + 1
        }
        return depth + 1
    }

    /// decay^(depth + 1 − layer): what a parameter's learning rate is multiplied by.
    package static func scale(of name: String, depth: Int, decay: Float) -> Float {
        var scale: Float = 1
        for _ in layer(of: name, depth: depth)..<depth + 1 { scale *= decay }
        return scale
    }

    /// Fine-tuning decays matrices only; the class token and positions are exempt as in MAE.
    package static func decays(_ spec: ParameterSpec) -> Bool {
        spec.decays && spec.name != "cls_token" && spec.name != "pos_embed"
    }
}
