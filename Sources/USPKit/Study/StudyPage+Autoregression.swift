// The page's section about the masked autoregressive model.

import USPBase

extension StudyPage {
    private static let styles: [AutoregressiveStart: String] = [
        .random: "scratch", .encoder: "encoder", .decoder: "supervised", .both: "usp",
    ]

    var hasAutoregression: Bool { results[curve: "autoregression.both_frechet"] != nil }

    /// Whether pretraining does more for it than for the diffusion transformer.
    var leadsWithAutoregression: Bool {
        guard let own = results[number: "autoregression.speedup_both"] else { return false }
        return own > results[number: "generation.speedup"] ?? 0
    }

    var autoregressionVerdict: String {
        guard hasAutoregression else { return "" }
        guard results[number: "autoregression.speedup_both"] != nil else {
            return
                "The masked autoregressive model that started from pretrained encoder and decoder did not reach the best quality of the one from scratch."
        }
        return
            "A masked autoregressive model that started from pretrained encoder and decoder reached the best quality of the one from scratch in <b>\(number("autoregression.speedup_both")) times fewer steps</b>."
    }

    func autoregression() throws(USPError) -> String {
        guard hasAutoregression else { return "" }
        let starts = AutoregressiveStart.allCases.filter {
            results[curve: "autoregression.\($0.rawValue)_frechet"] != nil
        }
        func chart(_ title: String, _ y: String, _ kind: String, _ runs: String) -> String {
            Chart(
                title, x: "training step", y: y,
                lines: starts.compactMap { start in
                    let own = "autoregression.\(start.rawValue)_\(kind)"
                    guard let curve = results[curve: own] else { return nil }
                    return ChartLine(
                        title: start.title, style: Self.styles[start] ?? "usp",
                        points: curve.upTo(options.marSteps).points,
                        band: band("autoregression.\(runs).\(start.rawValue)").filter {
                            $0.x <= Double(options.marSteps)
                        })
                }, logarithmic: kind == "frechet"
            ).svg
        }
        let steps =
            results[curve: "autoregression.random_frechet"]?.steps
            ?? results[curve: "autoregression.both_frechet"]?.steps ?? []
        let rows = steps.map { step in
            let cells = starts.map { start in
                let name = "autoregression.\(start.rawValue)"
                guard let distance = results[curve: name + "_frechet"]?.value(at: step) else {
                    return "<td>–</td>"
                }
                let right = results[curve: name + "_accuracy"]?.value(at: step)
                let share = right.map { ", \(decimal($0 * 100, 0)) %" } ?? ""
                return "<td>\(decimal(distance, 1))\(share)</td>"
            }
            return "<tr><td>\(step)</td>\(cells.joined())</tr>"
        }
        let speeds = starts.filter { $0 != .random }.map { start in
            "\(start.title) <b>\(speedups("autoregression.speedup_\(start.rawValue)"))</b>"
        }
        let total = results[number: "autoregression.control_steps"] ?? 0
        let long =
            total > Double(options.marSteps)
            ? "The one from scratch goes on to step \(decimal(total, 0))\(options.marControlSteps == nil ? ", for as many multiply-adds as the pretraining took" : ""); what it has reached by its best there, encoder and decoder reach with a speed-up of <b>\(speedups("autoregression.speedup_both_long"))</b>. "
            : ""
        let seeds =
            options.seeds > 1
            ? "Lines are means of \(options.seeds) runs with other seeds, bands reach from the lowest to the highest. "
            : ""
        let last = options.marSteps
        return
            "<section><h2>Masked autoregression</h2><p>MAR predicts hidden tokens a few at a time, each by a small diffusion, with an encoder and a decoder like those of the pretraining: the same weights start either half, and no gate hides them. All runs see the same data, masks and noise, and sample in \(options.marIterations) iterations from the averaged weights; \(options.marSamples) samples a point. \(seeds)\(long)The table has the Frechet distance, and the share of samples that the judge takes for the class that was asked for.</p><div class='pair'>"
            + chart("Frechet distance of samples", "distance (log)", "frechet", "runs")
            + chart("Samples of the right class", "share", "accuracy", "accuracy")
            + "</div><div class='wide'><table><tr><th>step</th>"
            + starts.map { "<th>\($0.title)</th>" }.joined() + "</tr>" + rows.joined()
            + "</table></div><p>Speed-up against the run from scratch of as many steps: "
            + speeds.joined(separator: ", ") + ".</p><div class='pair'>"
            + (try picture("mar_random_\(last).png", "From scratch, step \(last)"))
            + (try picture("mar_both_\(last).png", "From encoder and decoder, step \(last)"))
            + "</div></section>"
    }
}
