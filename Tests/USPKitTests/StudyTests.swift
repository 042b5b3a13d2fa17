// Studies: resumable to the same bits, made again only as far as settings concern it, on folders with
// and without classes; and the photographs that Debian's packages bring.

import Foundation
import TestSupport
import Testing
import USPBase
import USPFiles
import USPKit

/// A folder of pictures whose classes differ in colour; none: flat.
private func pictures(_ root: String, classes: Int, each: Int) throws {
    for label in 0..<max(classes, 1) {
        let folder = classes == 0 ? root : "\(root)/class\(label)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        for index in 0..<each {
            let pixels = (0..<18 * 20 * 3).map { place in
                UInt8((place % 3 == label ? 180 : 20) + (place * (index + 3) * 7 + index) % 60)
            }
            try PNG.write(
                "\(folder)/\(index).png",
                PixelImage(width: 18, height: 20, channels: 3, pixels: pixels))
        }
    }
}

/// Seconds, not minutes.
private func small() throws -> StudyOptions {
    try StudyOptions(
        text: """
            seeds=2 size=16 held_out=0.25 factor=4 base_width=8 autoencoder_steps=2 \
            autoencoder_batch=4 judge_steps=2 judge_batch=4 patch=1 width=16 depth=2 heads=2 \
            decoder_width=16 decoder_depth=1 decoder_heads=2 dtype=f32 pretrain_steps=3 \
            pretrain_batch=8 supervised_steps=2 train_steps=4 train_batch=8 evaluate_every=2 \
            samples=66 evaluations=2 probe_steps=3 probe_batch=8 finetune_steps=2 finetune_batch=8 \
            few_labels=2 few_labels_steps=2 solver_samples=66 solver_evaluations=4 ablation_steps=2 \
            mar_steps=3 mar_samples=66 mar_iterations=2 mar_buffer=2 mar_head_width=16 \
            mar_head_depth=1 mar_control_steps=2
            """)
}

/// metrics.json but for times and memory, and what names the folder.
private func numbers(_ folder: String) throws -> [String] {
    let text = try String(contentsOfFile: "\(folder)/metrics.json", encoding: .utf8)
    guard let tree = try JSON(parsing: text).members else { return [] }
    return tree.filter { !["seconds", "peak_rss_mb", "command"].contains($0.key) }.map {
        "\($0.key) \($0.value.compact)"
    }.sorted()
}

@Suite struct StudyTests {
    @Test func anInterruptedStudyGoesOnToTheSameNumbers() throws {
        try inFolder { root in
            try pictures("\(root)/photos", classes: 2, each: 12)
            let source = StudySource.folder("\(root)/photos")
            try Study(source, small(), to: "\(root)/whole").run()
            let whole = try numbers("\(root)/whole")
            #expect(whole.count > 8)
            var told = 0
            for stop in [3, 20, 33, 47, 60, 75, 110, 140] {
                told = 0
                let study = try Study(source, small(), to: "\(root)/parts") {
                    progress throws(USPError) in
                    told += 1
                    if told == stop { throw USPError(.cancelled, "stop") }
                }
                do {
                    try study.run()
                } catch let error as USPError {
                    #expect(error.kind == .cancelled && error.message.contains("goes on"))
                }
            }
            try Study(source, small(), to: "\(root)/parts").run()
            #expect(zip(try numbers("\(root)/parts"), whole).filter { $0 != $1 }.isEmpty)

            // All is there, nothing is made twice, and other settings concern their own part only.
            told = 0
            try Study(source, small(), to: "\(root)/whole") { _ in told += 1 }.run()
            #expect(told == 0)
            let sit = "\(root)/whole/sit_usp.safetensors"
            let before = try FileManager.default.attributesOfItem(atPath: sit)
            var other = try small()
            other.finetuneSteps = 3
            try Study(source, other, to: "\(root)/whole").run()
            let after = try FileManager.default.attributesOfItem(atPath: sit)
            #expect(before[.modificationDate] as? Date == after[.modificationDate] as? Date)
            #expect(try numbers("\(root)/whole") != whole)
        }
    }

    @Test func thePageIsOneFileThatSaysWhatItShows() throws {
        try inFolder { root in
            try pictures("\(root)/photos & <more>", classes: 2, each: 12)
            var options = try small()
            (options.seeds, options.ablate) = (1, ["gates", "layers"])
            options.parts.append("solvers")
            let out = "\(root)/out"
            try Study(.folder("\(root)/photos & <more>"), options, to: out).run()
            let page = try String(contentsOfFile: "\(out)/index.html", encoding: .utf8)
            #expect(!page.contains("http://") && !page.contains("https://"))
            let images = page.components(separatedBy: "<img ").dropFirst()
            #expect(images.count > 6)
            #expect(images.allSatisfy { $0.hasPrefix("alt='") && !$0.hasPrefix("alt=''") })
            #expect(page.contains("photos &amp; &lt;more&gt;") && !page.contains("<more>"))
            for part in ["autoencoder", "latents", "judge", "ablation_gates", "ablation_layers"] {
                let call = "# \(part)\nrm -r "
                #expect(page.contains(call), "\(part)")
            }
            for word in [
                "# samples_usp\nusp sample ", "# samples_mar_both\nusp sample ",
                "# noise\nusp robustness ",
                "# blocks\nusp probe-diffusion ",
                "type='range'", "usp pretrain", "usp study", "Solvers", "gate_bias",
                "Masked autoregression", "autoregression_both-start.safetensors", "--copies 2",
            ] {
                #expect(page.contains(word), "\(word)")
            }
            let metrics = try JSON(
                parsing: String(contentsOfFile: "\(out)/metrics.json", encoding: .utf8))
            let generation = metrics["generation"]
            #expect(generation?["steps"]?.elements?.count == 2)
            #expect(generation?["usp_frechet"]?.elements?.count == 2)
            #expect(generation?["supervised_frechet"]?.elements?.count == 2)
            // A value with a dot is one name; making it took some time.
            for value in ["0", "0.3", "1"] {
                #expect(metrics["ablation"]?["gates"]?[value]?["frechet"] != nil, "\(value)")
                let took = metrics["seconds"]?["ablation_gates_\(value)"]?.compact
                #expect((took.flatMap(Double.init) ?? 0) > 0.01, "\(value): \(took ?? "nil")")
            }
            for (part, name) in [
                ("probe", "random_top1"), ("finetune", "usp_top1"), ("noise", "usp_top1"),
                ("blocks", "2"), ("ablation", "layers"), ("vae", "test_mse"),
                ("command", "study"), ("command", "judge"),
                ("autoregression", "both_accuracy"), ("autoregression", "decoder_frechet_steps"),
            ] {
                #expect(metrics[part]?[name] != nil, "\(part).\(name)")
            }
        }
    }

    @Test func withoutClassesNeighboursAreShown() throws {
        try inFolder { root in
            try pictures("\(root)/photos", classes: 0, each: 16)
            try Data("no picture".utf8).write(to: URL(filePath: "\(root)/photos/broken.png"))
            var options = try small()
            options.seeds = 1
            let source = StudySource.folder("\(root)/photos")
            let study = try Study(source, options, to: "\(root)/out")
            try study.run()
            for name in ["usp", "scratch"] {
                #expect(
                    FileManager.default.fileExists(atPath: "\(root)/out/neighbours_\(name).png"))
            }
            #expect(study.metrics.contains("broken.png") && !study.metrics.contains("usp_top1"))
            options.strict = true
            #expect(throws: USPError.self) {
                try Study(source, options, to: "\(root)/strict").run()
            }
        }
    }

    @Test func cropsToMeasureOnShareNoPixelWithOthers() throws {
        try inFolder { root in
            // Its right fifth is white, the rest black.
            try FileManager.default.createDirectory(
                atPath: "\(root)/photos", withIntermediateDirectories: true)
            let pixels = (0..<60 * 100 * 3).map { UInt8($0 / 3 % 100 < 80 ? 0 : 255) }
            try PNG.write(
                "\(root)/photos/a.png",
                PixelImage(width: 100, height: 60, channels: 3, pixels: pixels))
            var options = try small()
            (options.crops, options.parts, options.supervisedSteps) = (30, [], 0)
            try Study(.folder("\(root)/photos"), options, to: "\(root)/out").run()
            for (file, byte) in [("images", UInt8(0)), ("images-test", 255)] {
                let saved = try Archive.open("\(root)/out/state/\(file).safetensors")
                let bytes = try saved.entry("images").bytes().array
                #expect(bytes.count % (16 * 16 * 3) == 0 && bytes.allSatisfy { $0 == byte })
            }
        }
    }

    @Test func namesAndSizesAreCheckedBeforeTheWork() throws {
        try inFolder { root in
            let refused = { (text: String) -> String in
                do {
                    var options = try small()
                    try options.apply(text)
                    _ = try Study(.folder(root), options, to: "\(root)/out")
                    return ""
                } catch { return "\(error)" }
            }
            #expect(refused("ablate=mask-ration").contains("mask-ratio"))
            #expect(refused("ablate=resolutions").contains("resolution"))
            #expect(refused("pretrain_size=18").contains("pretrain_size 18"))
            #expect(refused("parts=generations").contains("generation"))
            #expect(refused("size=20").contains("size"))
            #expect(refused("heads=3").contains("heads"))
            #expect(refused("channels=2").contains("1 (grey) or 3"))
            #expect(refused("pretrain_step=3").contains("pretrain_steps"))
            #expect(throws: USPError.self) { try StudySource.named("\(root)/none") }
        }
    }

    @Test func choicesOfTheTransferAreCompared() throws {
        try inFolder { root in
            try pictures("\(root)/photos", classes: 2, each: 12)
            var options = try small()
            (options.seeds, options.parts) = (1, ["generation"])
            options.ablate = ["resolution", "positions", "beta-gamma"]
            let out = "\(root)/out"
            let study = try Study(.folder("\(root)/photos"), options, to: out)
            try study.run()
            let ablations = try #require(JSON(parsing: study.metrics)["ablation"])
            for (name, values) in [
                ("resolution", ["8", "16"]), ("positions", ["bicubic", "antialias", "fresh"]),
                ("beta-gamma", ["no", "yes"]),
            ] {
                let found = values.compactMap { ablations[name]?[$0]?["frechet"]?.compact }
                #expect(Set(found).count == values.count, "\(name): \(found)")
            }
            // Words have their places on the axis.
            let page = try String(contentsOfFile: "\(out)/index.html", encoding: .utf8)
            for word in ["antialias", "fresh"] {
                #expect(page.contains("text-anchor='middle'>\(word)</text>"), "\(word)")
            }
            // Whatever pretraining saw, what it leaves has the grid of the study's own.
            for variant in ["resolution-8", "positions-fresh"] {
                let file = "\(out)/ablations/\(variant)/pretrained.safetensors"
                let sizes = try MaskedAutoencoder.load(file).configuration.transformer
                #expect(sizes.grid == Grid(4, 4), "\(variant): \(sizes.grid)")
            }
        }
    }

    @Test func photographsOfPackagesTellTheirLicences() throws {
        try inFolder { root in
            let folders = [
                "/var/lib/dpkg/info", "/usr/share/doc/lomiri-wallpapers-20.04",
                "/usr/share/backgrounds",
            ]
            for folder in folders {
                try FileManager.default.createDirectory(
                    atPath: root + folder, withIntermediateDirectories: true)
            }
            let write = { (path: String, text: String) in
                try Data(text.utf8).write(to: URL(filePath: root + path))
            }
            try write(
                "/var/lib/dpkg/info/lomiri-wallpapers-20.04.list",
                "/.\n/usr/share/backgrounds/Sea_by_A.jpg\n/usr/share/backgrounds/Gone.jpg\n"
                    + "/usr/share/backgrounds/Bird.jpg\n/usr/share/backgrounds/warty-final.png\n")
            try write(
                "/usr/share/doc/lomiri-wallpapers-20.04/copyright",
                "Files: *\nCopyright: x\nLicense: GPL-2+\n\nFiles: 20.04/Bird.jpg\n 20.04/Sea_by_A.jpg"
                    + "\nCopyright: y\nLicense: CC-BY-SA-3.0\n text of it\n\nFiles: debian/*\nLicense: Expat\n"
            )
            for name in ["Sea_by_A.jpg", "Bird.jpg", "warty-final.png"] {
                try write("/usr/share/backgrounds/" + name, "")
            }
            let found = Wallpapers.installed(root: root)
            #expect(found.map(\.name) == ["Bird", "Sea by A"])
            #expect(found.allSatisfy { $0.licence == "CC-BY-SA-3.0" })
            #expect(Wallpapers.installed(root: root + "/none").isEmpty)
            #expect(Wallpapers.advice.contains("mate-backgrounds"))
        }
    }
}
