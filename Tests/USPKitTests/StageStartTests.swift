// What a stage starts from: whose latents it knows, whose classes, and data that has none.

import Foundation
import TestSupport
import Testing
import USPBase
import USPFiles
import USPKit
import USPTensor

/// The pictures' folder through an autoencoder.
private func data(_ root: String, _ vae: VAE) throws -> DataSet {
    var options = DataOptions()
    (options.batch, options.size) = (4, 16)
    return try DataSet(root, vae, options)
}

private func stage(
    _ recipe: Recipe, _ data: DataSet, _ vae: VAE, _ start: StageStart = .fresh,
    _ more: String = ""
) throws -> Stage {
    var options = recipe.options
    let sizes =
        if case .fresh = start { " width=16 depth=1 heads=2 patch=2" } else { "" }
    let decoder =
        recipe.stage == "pretrain" && !sizes.isEmpty
        ? " decoder_width=16 decoder_depth=1 decoder_heads=2" : ""
    try options.change("batch=4 steps=1" + sizes + decoder + more, in: recipe.stage)
    return try Stage(recipe, on: data, through: vae, options, from: start)
}

/// The model after a step.
private func trained(_ stage: Stage) throws -> any Model {
    try stage.trainer.step(stage.data.batch(atStep: 0))
    return try stage.model()
}

private func autoencoder(seed: UInt64, scale: Float) throws -> VAE {
    var sizes = try pictureAutoencoder().configuration
    sizes.normalization = LatentNormalization(shift: [0], scale: [scale])
    return try VAE(sizes, seed: seed)
}

@Suite struct StageStartTests {
    /// Of another autoencoder, or of the same one with another scale; files of older versions tell no
    /// scale, and are as they were.
    @Test func startsOfOtherLatentsAreTold() throws {
        try withPictures { root in
            let (own, other) = (
                try autoencoder(seed: 5, scale: 2), try autoencoder(seed: 6, scale: 2)
            )
            let scaled = try autoencoder(seed: 5, scale: 0.5)
            #expect(own.fingerprint == scaled.fingerprint && own.fingerprint != other.fingerprint)
            let mae = try trained(stage(.pretrain, data(root, own), own))
            #expect(mae.notes.autoencoder == own.fingerprint)
            #expect(mae.notes.latents == LatentScale([2], [0]))
            try mae.save("\(root)/mae.safetensors")
            let start = StageStart.file("\(root)/mae.safetensors")
            for recipe in [Recipe.pretrain, .finetune, .probe, .train, .autoregress] {
                for (vae, words) in [
                    (own, nil),
                    (
                        other,
                        "the autoencoder \(own.fingerprint), the data's are of \(other.fingerprint)"
                    ),
                    (scaled, "latents of scale 2.0, the data's are of scale 0.5"),
                ] as [(VAE, String?)] {
                    let stage = try stage(recipe, data(root, vae), vae, start)
                    let found = stage.warnings.first ?? ""
                    #expect(stage.warnings.count == (words == nil ? 0 : 1), "\(stage.warnings)")
                    #expect(words.map(found.contains) ?? true, "\(found)")
                    #expect(stage.warnings.allSatisfy(stage.notes.contains))
                    #expect(words == nil || found.hasPrefix("\(root)/mae.safetensors: was trained"))
                }
            }
            // What was trained then knows the new ones.
            let sit = try trained(stage(.train, data(root, scaled), scaled, start))
            #expect(sit.notes.latents == LatentScale([0.5], [0]))
            #expect(sit.otherLatents(than: own)?.contains("scale 0.5") == true)
            #expect(sit.otherLatents(than: scaled) == nil)
            #expect(sit.otherLatents(than: other)?.contains("may be noise") == true)
            // An older file.
            let table = try Checkpoint.open("\(root)/mae.safetensors")
            let older = try Checkpoint(
                entries: table.table.entries,
                metadata: table.metadata.filter { !$0.key.hasPrefix("usp.latent_") })
            let model = try MaskedAutoencoder.load(older)
            #expect(model.notes.autoencoder == own.fingerprint && model.notes.latents == nil)
            #expect(model.otherLatents(than: scaled) == nil)
            #expect(model.otherLatents(than: other) != nil)
        }
    }

    /// A cache is what the autoencoder gave, a file of latents has a scale of its own.
    @Test func cachesTakeTheAutoencodersScale() throws {
        try withPictures { root in
            let (own, scaled) = (
                try autoencoder(seed: 5, scale: 2), try autoencoder(seed: 5, scale: 0.5)
            )
            var options = DataOptions()
            (options.batch, options.size, options.cache) = (4, 16, "\(root)/cache.safetensors")
            let first = try DataSet(root, own, options)
            let second = try DataSet(root, scaled, options)
            let (a, b) = (
                try first.samples(0..<4).inputs.values, try second.samples(0..<4).inputs.values
            )
            #expect(zip(a, b).allSatisfy { abs($0 - 4 * $1) <= 1e-5 * max(1, abs($0)) })
            #expect(second.latentScale == LatentScale([0.5], [0]))
            let file = try DataSet("\(root)/cache.safetensors", scaled)
            #expect(file.latentScale == LatentScale([2], [0]))
            #expect(
                file.leftOut.contains { $0.contains("of scale 2.0") && $0.contains("scale 0.5") })
        }
    }

    /// In another order labels are counted anew; of other names, or another number, the head is fresh.
    @Test func classifiersGoOnWithTheirOwnClasses() throws {
        try withPictures { root in
            let vae = try autoencoder(seed: 5, scale: 2)
            let first = try trained(
                stage(.finetune, data(root, vae), vae, .fresh, " rate=0.1 model=ViT-B/2"))
            #expect(first.notes.classNames == ["a", "b"])
            let move = { (from: String, to: String) in
                try FileManager.default.moveItem(atPath: "\(root)/\(from)", toPath: "\(root)/\(to)")
            }
            // b, the smaller one, comes first now.
            try first.save("/tmp/usp-start-\(getpid()).safetensors")
            defer { unlink("/tmp/usp-start-\(getpid()).safetensors") }
            let start = StageStart.file("/tmp/usp-start-\(getpid()).safetensors")
            let names = try stage(.finetune, data(root, vae), vae, start)
            #expect(names.notes.allSatisfy { !$0.contains("head") && !$0.contains("numbered") })

            let swapped = try Checkpoint.open("/tmp/usp-start-\(getpid()).safetensors")
            var texts = swapped.metadata
            for index in texts.indices where texts[index].key == "usp.class_names" {
                texts[index].value = "[\"b\",\"a\"]"
            }
            let other = try ViT.load(Checkpoint(entries: swapped.table.entries, metadata: texts))
            #expect(other.notes.classNames == ["b", "a"])
            let ordered = try stage(.finetune, data(root, vae), vae, .model(other))
            #expect(ordered.notes.contains("the data's classes are numbered as the model's"))
            #expect(ordered.data.classNames == ["b", "a"])
            #expect(try ordered.data.samples(0..<6).classes == [1, 1, 1, 1, 0, 0])
            let head = try other.weights["head.weight"].values
            #expect(try ordered.model().weights["head.weight"].values == head)

            try move("b", "c")
            let renamed = try stage(.finetune, data(root, vae), vae, start)
            #expect(
                renamed.notes.contains {
                    $0.contains("the head starts afresh") && $0.contains("(a, b)")
                        && $0.contains("(a, c)")
                }, "\(renamed.notes)")
            #expect(try renamed.model().weights["head.weight"].values != head)
            #expect(renamed.data.classNames == ["a", "c"])

            mkdir("\(root)/d", 0o755)
            try FileManager.default.copyItem(atPath: "\(root)/a/0.png", toPath: "\(root)/d/0.png")
            let more = try stage(.finetune, data(root, vae), vae, start)
            #expect(
                more.notes.contains { $0.contains("2 classes (a, b), the data has 3 (a, c, d)") })

            // A file that tells no names.
            texts.removeAll { $0.key == "usp.class_names" }
            try FileManager.default.removeItem(atPath: "\(root)/d")
            let nameless = try ViT.load(Checkpoint(entries: swapped.table.entries, metadata: texts))
            let unknown = try stage(.finetune, data(root, vae), vae, .model(nameless))
            #expect(
                unknown.notes.contains { $0.contains("tells no names") && $0.contains("(a, c)") })
        }
    }

    /// Images without classes are of one.
    @Test func whatHasNoClassesTrainsAsOne() throws {
        try withPictures { root in
            for (index, path) in ["a/0", "a/1", "a/2", "a/3", "b/4", "b/5"].enumerated() {
                try FileManager.default.moveItem(
                    atPath: "\(root)/\(path).png", toPath: "\(root)/\(index).png")
            }
            for name in ["a", "b"] { rmdir("\(root)/\(name)") }
            let vae = try autoencoder(seed: 5, scale: 2)
            for recipe in [Recipe.train, .autoregress] {
                let stage = try stage(recipe, data(root, vae), vae, .fresh, " label_dropout=0.5")
                #expect(
                    stage.notes.contains {
                        $0.contains("no classes") && $0.contains("called image")
                    })
                #expect(stage.data.classes == 1 && stage.data.classNames == ["image"])
                #expect(try stage.data.samples(0..<6).classes == [Int](repeating: 0, count: 6))
                #expect(try stage.data.batch(atStep: 0).classes == [0, 0, 0, 0])
                let model = try trained(stage)
                #expect(model.notes.classNames == ["image"] && model.notes.null == nil)
            }
            #expect(throws: USPError.self) { try stage(.finetune, data(root, vae), vae) }
        }
    }
}
