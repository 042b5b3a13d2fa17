// The page that a study leaves behind: one self-contained file.

import USPBase
import USPFiles

/// Everything the page shows.
struct StudyPage {
    let results: StudyResults
    let options: StudyOptions
    let folder: String

    /// The whole page.
    func html() throws(USPError) -> String {
        var page =
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width,initial-scale=1'><title>usp: a study</title><style>\(StudyStyle.css)</style></head><body><main>"
        page += try header()
        page += try images()
        page += try pretraining()
        if leadsWithAutoregression { page += try autoregression() }
        if hasGeneration { page += try generation() }
        if !leadsWithAutoregression { page += try autoregression() }
        page += combinations()
        page += try understanding()
        page += observations
        if options.has(.solvers) { page += solvers }
        page += ablations
        page += repeating
        return page + "</main><script>\(StudyScript.js)</script></body></html>\n"
    }

    private static let names = [
        (key: "usp", title: "from USP weights"), (key: "scratch", title: "from scratch"),
        (key: "supervised", title: "from a classifier"),
    ]

    private var hasGeneration: Bool { results[curve: "generation.usp_frechet"] != nil }

    /// What is compared in this study.
    private var starts: [(key: String, title: String)] {
        Self.names.filter { results[curve: "generation.\($0.key)_frechet"] != nil }
    }

    func number(_ name: String, _ places: Int = 2, percent: Bool = false) -> String {
        guard let value = results[number: name] else { return "–" }
        return percent ? decimal(value * 100, places) + " %" : decimal(value, places)
    }

    /// A mean, and lowest and highest over repetitions where there are several.
    private func spread(_ name: String, _ places: Int = 1, percent: Bool = true) -> String {
        let mean = number(name, places, percent: percent)
        guard options.seeds > 1, let low = results[number: name + "_low"],
            let high = results[number: name + "_high"]
        else { return mean }
        let factor = percent ? 100.0 : 1
        return mean + " (\(decimal(low * factor, places)) to \(decimal(high * factor, places)))"
    }

    private func embedded(
        _ file: String, alt: String, _ attributes: String = ""
    ) throws(USPError) -> String {
        let bytes = try ByteView.file(folder + "/" + file).array
        return
            "<img alt='\(escaped(alt))' \(attributes) src='data:image/png;base64,\(base64(bytes))'>"
    }

    func picture(_ file: String, _ title: String) throws(USPError) -> String {
        guard FolderListing.isFile(folder + "/" + file) else { return "" }
        return
            "<figure><figcaption>\(escaped(title))</figcaption>\(try embedded(file, alt: title))</figure>"
    }

    // MARK: header

    private func header() throws(USPError) -> String {
        var text =
            "<header><h1>Pretrain once, start everything from it</h1><p class='lead'>USP (Unified Self-supervised Pretraining, ICCV 2025) on \(number("images.training", 0)) images, on this computer's processor. \(verdicts)</p>"
        if hasGeneration { text += try hero() }
        var facts: [(String, String)] = []
        if hasGeneration {
            facts.append(("speed-up of generation", speedups("generation.speedup")))
        }
        if hasAutoregression {
            facts.append(("speed-up of MAR", speedups("autoregression.speedup_both")))
        }
        for (title, first, second) in [
            ("linear probe, pretrained / random", "probe.usp_top1", "probe.random_top1"),
            (
                "\(options.fewLabels) labels a class, pretrained / scratch", "few_labels.usp_top1",
                "few_labels.scratch_top1"
            ),
        ] where results[number: first] != nil {
            facts.append(
                (title, "\(number(first, 1, percent: true)) / \(number(second, 1, percent: true))"))
        }
        facts.append(("whole run", duration(results[number: "seconds.total"] ?? 0)))
        let list = facts.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd></div>" }.joined()
        return text + "<dl class='facts'>\(list)</dl></header>"
    }

    /// The larger effect first.
    private var verdicts: String {
        let both = [verdict, autoregressionVerdict].filter { !$0.isEmpty }
        return (leadsWithAutoregression ? both.reversed() : both).joined(separator: " ")
    }

    private var verdict: String {
        guard hasGeneration else { return "" }
        guard let speedup = results[number: "generation.speedup"] else {
            return
                "In this run the diffusion transformer that started from pretrained weights did not reach the best quality of the one from scratch."
        }
        return
            "The diffusion transformer that started from pretrained weights reached the best quality of the one from scratch in <b>\(decimal(speedup, 2)) times fewer steps</b>\(speedup < 1 ? ", that is more" : "")."
    }

    func speedups(_ name: String) -> String {
        guard results[number: name] != nil else { return "not reached" }
        guard options.seeds > 1, results[number: name + "_low"] != nil else {
            return number(name) + "×"
        }
        return "\(number(name))× (\(number(name + "_low")) to \(number(name + "_high")))"
    }

    /// Samples of both sides beside real images; a slider moves through the steps.
    private func hero() throws(USPError) -> String {
        let usp = results[curve: "generation.usp_frechet"] ?? Curve()
        let scratch = results[curve: "generation.scratch_frechet"] ?? Curve()
        let steps = usp.steps.filter { scratch.value(at: $0) != nil }
        let leads = steps.map { (scratch.value(at: $0) ?? 0) / max(usp.value(at: $0) ?? 1, 1e-12) }
        guard let best = leads.indices.max(by: { leads[$0] < leads[$1] }) else { return "" }
        var columns = ""
        for (key, title, curve) in [
            ("scratch", "from scratch", scratch), ("usp", "from USP weights", usp),
        ] {
            var frames = ""
            for (place, step) in steps.enumerated() {
                let file = "samples_\(key)_\(step).png"
                guard FolderListing.isFile(folder + "/" + file) else { continue }
                let told = decimal(curve.value(at: step) ?? 0, 1)
                frames +=
                    "<figcaption data-told='\(place)'\(place == best ? "" : " hidden")>\(title): distance \(told)</figcaption>"
                frames += try embedded(
                    file, alt: "Samples \(title) after \(step) steps, Frechet distance \(told)",
                    "data-step='\(step)' data-place='\(place)'\(place == best ? "" : " hidden")")
            }
            columns += "<figure>\(frames)</figure>"
        }
        columns += try picture("real.png", "real images")
        return
            "<div class='hero'>\(columns)</div><label class='slide'>step <output>\(steps[best])</output><input type='range' min='0' max='\(steps.count - 1)' value='\(best)' aria-label='training step of the samples'></label><p class='tick'>Shown first: the step at which the two differ most. Same noise, same classes.</p>"
    }

    // MARK: sections

    private func images() throws(USPError) -> String {
        let notes = (results[text: "images.notes"] ?? "").split(separator: "\n")
        let list = notes.map { "<li>\(escaped(String($0)))</li>" }.joined()
        let size = "\(options.channels)×\(options.size)×\(options.size)"
        let latents =
            "Mean squared error on the images that nothing was trained on: <b>\(number("vae.test_mse", 5))</b> (pixels in −1…1); Frechet distance of the reconstructions: <b>\(number("vae.frechet"))</b>, which no sampler can beat. Latent scale \(number("vae.scale", 3))."
        return
            "<section><h2>Images to latents</h2><p>\(number("images.training", 0)) images of \(size) to train on, \(number("images.test", 0)) to measure on, \(results[number: "images.classes"] == 1 ? "no classes" : number("images.classes", 0) + " classes"). \(latents)</p><div class='pair'>"
            + (try picture("real.png", "Images to measure on"))
            + (try picture(
                "reconstructions.png", "Images (above) and their reconstructions (below)"))
            + "</div>\(list.isEmpty ? "" : "<details><summary>What was said of the images (\(notes.count))</summary><ul class='plain'>\(list)</ul></details>")</section>"
    }

    private func pretraining() throws(USPError) -> String {
        let curve = results[curve: "pretrain.loss"] ?? Curve()
        let chart = Chart(
            "Loss on the masked patches", x: "step", y: "loss",
            lines: [ChartLine(title: "masked pretraining", style: "usp", points: curve.points)])
        let shown = decimal(100 - Double(options.maskRatio) * 100, 0)
        let passes =
            Double(options.pretrainSteps * options.pretrainBatch)
            / max(results[number: "images.training"] ?? 1, 1)
        return
            "<section><h2>Masked latent modelling</h2><p>The transformer sees \(shown) % of each image's \(options.grid)×\(options.grid) tokens and predicts the others\(options.addNoise ? ", with noise in what it sees, since the diffusion transformer will see such latents" : ""). \(decimal(passes, 1)) passes over the images, without labels. Its weights then start a classifier and a diffusion transformer; the controls start from random numbers and see the same data, in the same order, with the same noise.</p>"
            + (try picture(
                "masked.png",
                "What it sees (above), what it completes, and the whole image (below), of images that it was not trained on; decoded"
            )) + chart.svg + "</section>"
    }

    private func generation() throws(USPError) -> String {
        let lines = starts.map { start in
            ChartLine(
                title: start.title, style: start.key,
                points: (results[curve: "generation.\(start.key)_frechet"] ?? Curve()).points,
                band: band("generation.runs.\(start.key)"))
        }
        let frechet = Chart(
            "Frechet distance of \(options.samples) samples to real images", x: "fine-tuning step",
            y: "distance (log)", lines: lines, logarithmic: true,
            floor: results[number: "vae.frechet"].map { ($0, "reconstructions") })
        let loss = Chart(
            "Training loss", x: "fine-tuning step", y: "velocity error",
            lines: starts.map { start in
                ChartLine(
                    title: start.title, style: start.key,
                    points: (results[curve: "generation.\(start.key)_loss"] ?? Curve()).points)
            }, logarithmic: true)
        let gates =
            options.gateBias == 0
            ? ""
            : "In all of them the gates of the blocks start at \(decimal(Double(options.gateBias), 1)), an option of USP's code: from zero, as published, they open so slowly that pretrained blocks would stay silent for much of a run this short. "
        let seeds =
            options.seeds > 1
            ? "Lines are means of \(options.seeds) runs with other seeds, bands reach from the lowest to the highest; the pretraining is the same one. "
            : ""
        var text =
            "<section><h2>Generation</h2><p>All runs sample from the averaged weights with the same noise and labels. \(seeds)\(gates)Distances are measured in the features of \(escaped(results[text: "judge.kind"] ?? "")), to \(escaped(results[text: "judge.reference"] ?? "")): \(options.inception == nil ? "this is <em>not</em> the Inception FID of papers, and compares within this page only" : "few samples make it larger than papers' numbers"). The speed-up counts fine-tuning steps, as the paper's does: those that the other run took to its best distance over those that the run from USP weights took to the same, interpolated; the pretraining is not in it, and near convergence the lead shrinks.</p><div class='pair'>\(frechet.svg)\(loss.svg)</div><div class='wide'><table><tr><th>step</th>"
        text += starts.map { "<th>\($0.title)</th>" }.joined()
        text +=
            "<th>scratch's distance, from USP at step</th></tr>" + rows
            + "</table></div><p>Speed-up against the run from scratch: <b>\(speedups("generation.speedup"))</b>"
        if results[curve: "generation.supervised_frechet"] != nil {
            text +=
                "; against the one from an encoder that learned the classes in \(options.supervisedSteps) steps: <b>\(speedups("generation.speedup_supervised"))</b>"
        }
        return text + ".</p></section>"
    }

    private var rows: String {
        let usp = results[curve: "generation.usp_frechet"] ?? Curve()
        return usp.steps.map { step in
            let cells = starts.map { start in
                let value = results[curve: "generation.\(start.key)_frechet"]?.value(at: step)
                return "<td>\(value.map { decimal($0, 2) } ?? "–")</td>"
            }
            let place = results[curve: "generation.scratch_frechet"]?.value(at: step).map {
                sooner(usp, $0, step)
            }
            return "<tr><td>\(step)</td>\(cells.joined())<td>\(place ?? "–")</td></tr>"
        }.joined()
    }

    func band(_ prefix: String) -> [(x: Double, low: Double, high: Double)] {
        let runs = results.repetitions(prefix, options.seeds)
        guard runs.count > 1 else { return [] }
        return runs[0].steps.compactMap { step in
            let values = runs.compactMap { $0.value(at: step) }
            guard values.count == runs.count, let low = values.min(), let high = values.max() else {
                return nil
            }
            return (Double(step), low, high)
        }
    }

    /// When the run from USP weights came to the distance that the control had at this step.
    private func sooner(_ usp: Curve, _ distance: Double, _ step: Int) -> String {
        guard let reached = usp.step(reaching: distance) else { return "–" }
        if reached == usp.points.first?.x { return "by \(decimal(reached, 0))" }
        return "\(decimal(reached, 0)) (\(decimal(Double(step) / reached, 2))×)"
    }

    private func understanding() throws(USPError) -> String {
        var text = ""
        if results[number: "probe.usp_top1"] != nil {
            let rows = [
                ("linear probe of the frozen encoder", "probe", "random"),
                ("fine-tuned on all labels, \(options.finetuneSteps) steps", "finetune", "scratch"),
                (
                    "fine-tuned on \(options.fewLabels) labels a class, \(options.fewLabelsSteps) steps",
                    "few_labels", "scratch"
                ),
            ].map {
                "<tr><td>\($0.0)</td><td>\(spread("\($0.1).usp_top1"))</td><td>\(spread("\($0.1).\($0.2)_top1"))</td></tr>"
            }.joined()
            text +=
                "<p>Top-1 accuracy on the \(number("images.test", 0)) images to measure on\(options.seeds > 1 ? ", means of \(options.seeds) runs with the lowest and the highest" : "").</p><table><tr><th></th><th>from USP</th><th>random start</th></tr>\(rows)</table>"
            if results[number: "probe.supervised_top1"] != nil {
                text +=
                    "<p>The encoder that learned the classes itself: a probe gets \(number("probe.supervised_top1", 1, percent: true)).</p>"
            }
        }
        let neighbours =
            "Images that nothing was trained on (left) and, to their right, those whose features are nearest"
        text += try picture("neighbours_usp.png", "\(neighbours): the pretrained encoder's")
        text += try picture("neighbours_scratch.png", "\(neighbours): an untrained encoder's")
        return text.isEmpty ? "" : "<section><h2>Understanding</h2>\(text)</section>"
    }

    private var observations: String {
        var text = ""
        let noise = Self.names.compactMap { start in
            results[curve: "noise.\(start.key)_top1"].map {
                ChartLine(
                    title: start.title, style: start.key,
                    points: $0.points.map { ($0.x, $0.y * 100) })
            }
        }
        if !noise.isEmpty {
            text +=
                Chart(
                    "Accuracy (%) of the fine-tuned classifiers on latents that are so much noise",
                    x: "noise (%)", y: "top-1 (%)", lines: noise
                ).svg
        }
        let times = [100, 90, 75, 50, 25]
        let values = (1...max(options.depth, 1)).map { block in
            times.map { results[number: "blocks.\(block).t\($0)"] }
        }
        let known = values.flatMap { $0.compactMap(\.self) }
        if let low = known.min(), let high = known.max() {
            let rows = values.enumerated().map { block, cells in
                let row = cells.map { value in
                    guard let value else { return "<td>–</td>" }
                    let share = decimal(60 * (value - low) / max(high - low, 1e-9), 0)
                    return
                        "<td style='background:color-mix(in srgb,var(--usp) \(share)%,transparent)'>\(decimal(value * 100, 1))</td>"
                }
                return "<tr><th>\(block + 1)</th>\(row.joined())</tr>"
            }
            let heads = times.map { "<th>t \(decimal(Double($0) / 100, 2))</th>" }.joined()
            text +=
                "<p>Linear probes of the diffusion transformer from USP weights: accuracy (%) after each block (rows), at times of its path (t 1: no noise).</p><div class='wide'><table class='heat'><tr><th>block</th>\(heads)</tr>\(rows.joined())</table></div>"
        }
        return text.isEmpty ? "" : "<section><h2>Under noise, and inside</h2>\(text)</section>"
    }

    private var solvers: String {
        let flows = SolverName.flows + [SolverName.stochastic]
        let adaptive = "solvers.flow.\(SolverName.adaptive.key)."
        var last = ""
        for entry in results.numbers where entry.name.hasPrefix(adaptive) {
            last =
                "<tr><td>\(SolverName.adaptive.title)</td><td colspan='\(options.solverEvaluations.count)'>\(decimal(entry.value, 2)) at \(entry.name.dropFirst(adaptive.count)), its own choice</td></tr>"
        }
        return
            "<section><h2>Solvers</h2><p>Frechet distance of \(options.solverSamples) samples from the same noise against the number of times that the network is computed (where blocks are used twice, it is asked as often again): the SiT from USP weights along its own path, and the same network read as DiT's noise prediction in DiT's process (1,000 steps, linear schedule, fixed small variance).</p><div class='pair'>"
            + solverTable("SiT's transport", "flow", flows, last)
            + solverTable("DiT's diffusion", "diffusion", SolverName.denoisers, "")
            + "</div></section>"
    }

    private func solverTable(
        _ title: String, _ process: String, _ names: [SolverName], _ last: String
    ) -> String {
        let heads = options.solverEvaluations.map { "<th>\($0)</th>" }.joined()
        let rows = names.map { name in
            let cells = options.solverEvaluations.map {
                "<td>\(number("solvers.\(process).\(name.key).\($0)"))</td>"
            }
            return "<tr><td>\(name.title)</td>\(cells.joined())</tr>"
        }
        return
            "<div class='wide'><table><tr><th>\(title): evaluations</th>\(heads)</tr>\(rows.joined())\(last)</table></div>"
    }

    private var ablations: String {
        var text = ""
        for name in options.ablate {
            guard let ablation = try? Ablation.named(name) else { continue }
            let values = ablation.values(options)
            let found = values.compactMap { value in
                results[number: "ablation.\(name).\(value).frechet"].map {
                    (value, $0, results[number: "ablation.\(name).\(value).probe"])
                }
            }
            guard let best = found.min(by: { $0.1 < $1.1 }),
                let worst = found.max(by: { $0.1 < $1.1 })
            else { continue }
            let rows = found.map { value, distance, probe in
                "<tr><td>\(value)</td><td>\(decimal(distance, 2))</td><td>\(probe.map { decimal($0 * 100, 1) + " %" } ?? "–")</td></tr>"
            }.joined()
            // What is no number has its place.
            let isNumber = found.allSatisfy { Double($0.0) != nil }
            let points = found.enumerated().map { place, found in
                (x: isNumber ? Double(found.0) ?? 0 : Double(place), y: found.1)
            }
            let chart = Chart(
                name, x: ablation.option, y: "distance",
                lines: [ChartLine(title: "Frechet distance", style: "usp", points: points)],
                marks: isNumber ? [] : found.map(\.0)
            ).svg
            text +=
                "<h3>\(name)</h3><p>\(ablation.sentence) After \(options.ablationSteps) steps \(escaped(ablation.option)) \(best.0) comes nearest to real images (\(decimal(best.1, 1))), \(worst.0) stays furthest (\(decimal(worst.1, 1))); one run each, so small differences say nothing.</p><div class='pair'>\(chart)<table><tr><th>\(ablation.option)</th><th>distance</th><th>probe</th></tr>\(rows)</table></div>"
        }
        return text.isEmpty ? "" : "<section><h2>One choice at a time</h2>\(text)</section>"
    }

    /// Timings, settings, commands and files.
    private var repeating: String {
        let rows = results.numbers.filter {
            $0.name.hasPrefix("seconds.") && $0.name != "seconds.total"
        }
        .map { "<tr><td>\($0.name.dropFirst(8))</td><td>\(duration($0.value))</td></tr>" }.joined()
        let told = results.texts.filter { $0.name.hasPrefix("command.") }
            .map { (name: String($0.name.dropFirst(8)), call: $0.value) }
        let first = ["autoencoder", "latents", "judge"]
        let commands =
            (first.flatMap { name in told.filter { $0.name == name } }
            + told.filter { !first.contains($0.name) })
            .map { escaped("# \($0.name)\n\($0.call)") }.joined(separator: "\n\n")
        let settings = (results[text: "settings"] ?? "").split(separator: " ").joined(
            separator: "\n")
        let files = [
            "metrics.json", "autoencoder.safetensors", StudyLatents.trainingFile,
            StudyLatents.testFile, "judge.safetensors", "pretrained.safetensors",
            "supervised.safetensors", "sit_usp.safetensors", "sit_scratch.safetensors",
            "mar_both.safetensors", "mar_random.safetensors",
        ].filter { $0 == "metrics.json" || FolderListing.isFile(folder + "/" + $0) }
            .map { "<a href='\($0)'>\($0)</a>" }.joined(separator: ", ")
        return
            "<section><h2>Again, and how long it took</h2><p>The whole study, to the same bits:</p><pre>\(escaped(results[text: "command"] ?? ""))</pre><p>Its parts, each from the files of the others:</p><pre>\(commands)</pre><p>Files: \(files).</p><div class='pair'><table><tr><th>stage</th><th>time</th></tr>\(rows)<tr><td>peak memory</td><td>\(number("peak_rss_mb", 0)) MB</td></tr></table><details><summary>All settings</summary><pre>\(escaped(settings))</pre></details></div></section>"
    }
}

/// A text as HTML.
func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "'": result += "&#39;"
        default: result.append(character)
        }
    }
    return result
}

/// Standard base64 (RFC 4648).
func base64(_ bytes: [UInt8]) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    result.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
        let left = bytes.count - index
        let word =
            UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
            | (left > 2 ? UInt32(bytes[index + 2]) : 0)
        for part in 0..<4 {
            result.append(
                part <= left ? letters[Int(word >> UInt32(18 - 6 * part) & 63)] : UInt8(ascii: "="))
        }
        index += 3
    }
    return String(decoding: result, as: UTF8.self)
}
