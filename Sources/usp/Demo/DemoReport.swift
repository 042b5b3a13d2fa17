// The page that a run leaves behind: one self-contained file.

import USPBase
import USPFiles

/// A picture of the page: its file in the output folder and what it shows.
struct ReportImage: Sendable {
    let file: String
    let title: String
}

/// Everything the page shows.
struct DemoReport {
    let results: DemoResults
    let plan: DemoPlan
    let folder: String

    /// The whole page.
    func html() throws(USPError) -> String {
        var page =
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width,initial-scale=1'><title>usp: the demo</title><style>\(DemoStyle.css)</style></head><body><main>"
        page += header
        page += pipeline
        page += try autoencoder()
        page += try pretraining()
        page += try generation()
        page += classification
        page += solvers
        page += timings
        page += "</main></body></html>\n"
        return page
    }

    private func number(_ name: String, _ places: Int = 2, percent: Bool = false) -> String {
        guard let value = results[number: name] else { return "–" }
        return percent ? decimal(value * 100, places) + " %" : decimal(value, places)
    }

    private func picture(_ file: String, _ title: String) throws(USPError) -> String {
        let bytes = try readBytes(folder + "/" + file)
        return
            "<figure><figcaption>\(title)</figcaption><img alt='\(title)' src='data:image/png;base64,\(base64(bytes))'></figure>"
    }

    private var header: String {
        let verdict: String
        if let speedup = results[number: "generation.speedup"] {
            verdict =
                "The diffusion transformer that started from pretrained weights reached the best quality of the one from scratch in <b>\(decimal(speedup, 2)) times fewer steps</b>."
        } else {
            verdict =
                "In this run the transformer that started from pretrained weights did not reach the best quality of the one from scratch."
        }
        return """
            <header><h1>Pretrain once, start everything from it</h1>
            <p class='lead'>USP (Unified Self-supervised Pretraining, ICCV 2025) on Fashion-MNIST, run by <code>usp demo</code> on this computer's processor. \(verdict)</p>
            <dl class='facts'>
            <div><dt>speed-up of generation</dt><dd>\(number("generation.speedup"))×</dd></div>
            <div><dt>linear probe, pretrained / random</dt><dd>\(number("probe.usp_top1", 1, percent: true)) / \(number("probe.random_top1", 1, percent: true))</dd></div>
            <div><dt>100 labels a class, pretrained / scratch</dt><dd>\(number("few_labels.usp_top1", 1, percent: true)) / \(number("few_labels.scratch_top1", 1, percent: true))</dd></div>
            <div><dt>whole run</dt><dd>\(duration(results[number: "seconds.total"] ?? 0))</dd></div>
            </dl></header>
            """
    }

    private var pipeline: String {
        let boxes = [
            ("pixels", "1×32×32"), ("VAE", "frozen after stage 1"), ("latents", plan.latentText),
            ("masked ViT", "sees \(100 - Int(plan.maskRatio * 100)) %"),
            ("transfer", "β, γ · positions · no class token"),
            ("SiT, classifier", "fine-tuned"),
        ]
        var drawing = ""
        for (index, box) in boxes.enumerated() {
            let x = 8 + index * 164
            drawing +=
                "<rect x='\(x)' y='14' width='136' height='62' rx='9'/><text x='\(x + 68)' y='42' text-anchor='middle' class='box'>\(box.0)</text><text x='\(x + 68)' y='62' text-anchor='middle' class='sub'>\(box.1)</text>"
            if index > 0 { drawing += "<path d='M\(x - 26) 45 h18 m-6 -5 l6 5 l-6 5'/>" }
        }
        return
            "<section><h2>The idea</h2><p>A frozen autoencoder turns images into small latents. A vision transformer learns to predict the latents that it is not shown. Its weights then start a classifier and a diffusion transformer; the controls start from random numbers and see the same data, in the same order, with the same noise.</p><svg class='pipeline' viewBox='0 0 984 90' role='img' aria-label='pipeline'>\(drawing)</svg></section>"
    }

    private func autoencoder() throws(USPError) -> String {
        "<section><h2>1 · Images to latents</h2><p>Mean squared error on the \(plan.testImages) test images: <b>\(number("vae.test_mse", 5))</b> (pixels in −1…1); Frechet distance of the reconstructions: <b>\(number("vae.frechet"))</b>, which no sampler can beat. Latent scale \(number("vae.scale", 3)).</p>"
            + (try picture(
                "reconstructions.png", "Test images (above) and their reconstructions (below)"))
            + "</section>"
    }

    private func pretraining() throws(USPError) -> String {
        let curve = results[curve: "pretrain.loss"] ?? Curve()
        let chart = Chart(
            "Loss on the masked patches", x: "step", y: "loss",
            lines: [ChartLine(title: "masked pretraining", style: "usp", points: curve.points)])
        let noised =
            plan.noisyPretraining
            ? " Noise is mixed into what it sees, since the diffusion transformer will see such latents."
            : ""
        return
            "<section><h2>2 · Masked latent modelling</h2><p>The transformer sees \(100 - Int(plan.maskRatio * 100)) % of each image's \(plan.grid * plan.grid) tokens and predicts the others.\(noised) \(decimal(plan.pretrainingEpochs, 1)) passes over the training images, without labels.</p><div class='pair'>"
            + (try picture("masked.png", "Visible latents, prediction, whole image (decoded)"))
            + chart.svg + "</div></section>"
    }

    private func generation() throws(USPError) -> String {
        let (usp, scratch) = (
            results[curve: "generation.usp_frechet"] ?? Curve(),
            results[curve: "generation.scratch_frechet"] ?? Curve()
        )
        let frechet = Chart(
            "Frechet distance of \(plan.samples) samples to the test images", x: "fine-tuning step",
            y: "distance (log)",
            lines: [
                ChartLine(title: "from USP weights", style: "usp", points: usp.points),
                ChartLine(title: "from scratch", style: "scratch", points: scratch.points),
            ], logarithmic: true,
            floor: results[number: "vae.frechet"].map { ($0, "reconstructions") })
        let loss = Chart(
            "Training loss", x: "fine-tuning step", y: "velocity error",
            lines: [
                ChartLine(
                    title: "from USP weights", style: "usp",
                    points: (results[curve: "generation.usp_loss"] ?? Curve()).points),
                ChartLine(
                    title: "from scratch", style: "scratch",
                    points: (results[curve: "generation.scratch_loss"] ?? Curve()).points),
            ], logarithmic: true)
        var text =
            "<section><h2>3 · Generation</h2><p>Both runs sample from the averaged weights with the same noise and labels. \(gates)The distance is measured in the features of a small classifier that this run trained on the same images: it is <em>not</em> the Inception FID of papers. The speed-up counts fine-tuning steps, as the paper's does: those that the run from scratch took to its best distance over those that the other took to the same, interpolated. The pretraining is not in it. The paper reports 11.7 times for DiT-XL/2 and 46.6 times for SiT-XL/2 on ImageNet after 1,600 passes; a small model on small pictures after \(decimal(plan.pretrainingEpochs, 1)) has less to gain.</p><div class='pair'>\(frechet.svg)\(loss.svg)</div><table><tr><th>step</th><th>from USP</th><th>from scratch</th><th>scratch's distance, from USP at step</th></tr>"
        for (index, step) in usp.steps.enumerated() {
            let value = index < scratch.values.count ? scratch.values[index] : nil
            let other = value.map { decimal($0, 2) } ?? "–"
            let place = value.map { sooner(usp, $0, step) } ?? "–"
            text +=
                "<tr><td>\(step)</td><td>\(decimal(usp.values[index], 2))</td><td>\(other)</td><td>\(place)</td></tr>"
        }
        text += "</table><div class='samples'>"
        for step in usp.steps {
            text += try picture("samples_usp_\(step).png", "from USP, \(step) steps")
            text += try picture("samples_scratch_\(step).png", "from scratch, \(step) steps")
        }
        return text + "</div></section>"
    }

    /// When the run from USP weights came to the distance that the control had at this step.
    private func sooner(_ usp: Curve, _ distance: Double, _ step: Int) -> String {
        guard let reached = usp.step(reaching: distance) else { return "–" }
        if reached == usp.points.first?.x { return "by \(decimal(reached, 0))" }
        return "\(decimal(reached, 0)) (\(decimal(Double(step) / reached, 2))×)"
    }

    private var gates: String {
        plan.gateBias == 0
            ? ""
            : "In both the gates of all blocks start at \(decimal(Double(plan.gateBias), 0)), an option of USP's code: from zero, as published, they open so slowly that pretrained blocks would stay silent for much of a run this short. A run from scratch does somewhat better with gates that are half closed: where this comparison gave 1.7 in trials, one against the best gates for scratch gave 1.4. "
    }

    private var classification: String {
        let rows = [
            ("linear probe, all labels", "probe.usp_top1", "probe.random_top1"),
            ("fine-tuned, all labels", "finetune.usp_top1", "finetune.scratch_top1"),
            ("fine-tuned, 100 labels a class", "few_labels.usp_top1", "few_labels.scratch_top1"),
        ]
        let body = rows.map {
            "<tr><td>\($0.0)</td><td>\(number($0.1, 2, percent: true))</td><td>\(number($0.2, 2, percent: true))</td></tr>"
        }.joined()
        return
            "<section><h2>4 · Classification</h2><p>Top-1 accuracy on the \(plan.testImages) test images. The probe trains a linear layer on the frozen encoder's class token; the others train everything, for \(plan.finetuneSteps) and \(plan.fewLabelsSteps) steps.</p><table><tr><th></th><th>from USP</th><th>random start</th></tr>\(body)</table></section>"
    }

    private var solvers: String {
        let flows = SolverName.flows + [SolverName.stochastic]
        let adaptive = "solvers.flow.\(SolverName.adaptive.key)."
        var last = ""
        for entry in results.numbers where entry.name.hasPrefix(adaptive) {
            last =
                "<tr><td>\(SolverName.adaptive.title)</td><td colspan='\(plan.evaluations.count)'>\(decimal(entry.value, 2)) at \(entry.name.dropFirst(adaptive.count)), its own choice</td></tr>"
        }
        return
            "<section><h2>5 · Solvers</h2><p>Frechet distance of \(plan.solverSamples) samples from the same noise against the number of times that the network is evaluated: the SiT from USP weights along its own path, and the same network read as DiT's noise prediction in DiT's process (1,000 steps, linear schedule, fixed small variance).</p><div class='pair'>"
            + solverTable("SiT's transport", "flow", flows, last)
            + solverTable("DiT's diffusion", "diffusion", SolverName.denoisers, "")
            + "</div></section>"
    }

    private func solverTable(
        _ title: String, _ process: String, _ names: [SolverName], _ last: String
    ) -> String {
        let heads = plan.evaluations.map { "<th>\($0)</th>" }.joined()
        let rows = names.map { name in
            let cells = plan.evaluations.map {
                "<td>\(number("solvers.\(process).\(name.key).\($0)"))</td>"
            }
            return "<tr><td>\(name.title)</td>\(cells.joined())</tr>"
        }
        return
            "<table><tr><th>\(title): evaluations</th>\(heads)</tr>\(rows.joined())\(last)</table>"
    }

    private var timings: String {
        let rows = results.numbers.filter {
            $0.name.hasPrefix("seconds.") && $0.name != "seconds.total"
        }
        .map { "<tr><td>\($0.name.dropFirst(8))</td><td>\(duration($0.value))</td></tr>" }.joined()
        return
            "<section><h2>Time and sizes</h2><div class='pair'><table><tr><th>stage</th><th>time</th></tr>\(rows)<tr><td>peak memory</td><td>\(number("peak_rss_mb", 0)) MB</td></tr></table><pre>\(plan.summary)</pre></div></section>"
    }
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
