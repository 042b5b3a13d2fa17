// Names as the model's own modules have them: without what wrappers of modules put in between.

import USPFiles

enum WrappedNames {
    /// Attributes under which PyTorch's and other wrappers keep the module that they wrap; no layer
    /// of a model is called so. DistributedDataParallel and AveragedModel, torch.compile, activation
    /// checkpointing, FullyShardedDataParallel, fairscale, Lightning Fabric, Opacus.
    private static let wrappers: Set<Substring> = [
        "module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_fpw_module",
        "_forward_module", "_module",
    ]

    /// The name without wrappers, and without the chunks in which DINOv2 groups its blocks:
    /// `blocks.0.11.attn` is block 11.
    static func plain(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        var kept = parts.filter { !wrappers.contains($0) }
        if let blocks = kept.firstIndex(of: "blocks"), kept.count > blocks + 3,
            Int(kept[blocks + 1]) != nil, Int(kept[blocks + 2]) != nil
        {
            kept.remove(at: blocks + 1)
        }
        return kept.count == parts.count ? name : kept.joined(separator: ".")
    }

    /// What stands in front of `ending` in a name, wrappers included and without the last dot; nil
    /// if the name without wrappers does not end so.
    static func prefix(of name: String, before ending: [Substring]) -> String? {
        guard let last = ending.last, name.hasSuffix(last) else { return nil }
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
        for wanted in ending.reversed() {
            while let part = parts.last, wrappers.contains(part) { parts.removeLast() }
            guard parts.popLast() == wanted else { return nil }
        }
        return parts.joined(separator: ".")
    }
}
