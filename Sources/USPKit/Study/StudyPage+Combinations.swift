// The page's section about what USP is added to.

import USPBase

extension StudyPage {
    func combinations() -> String {
        let shown = Combination.allCases.filter {
            results[curve: "combinations.\($0.rawValue).usp_frechet"] != nil
        }
        guard !shown.isEmpty else { return "" }
        let starts = [
            (name: "usp", title: "from USP weights"), (name: "scratch", title: "from scratch"),
        ]
        let charts = shown.map { combination in
            let name = "combinations.\(combination.rawValue)"
            return Chart(
                "Frechet distance with \(combination.title)", x: "training step",
                y: "distance (log)",
                lines: starts.compactMap { start in
                    results[curve: "\(name).\(start.name)_frechet"].map {
                        ChartLine(
                            title: start.title, style: start.name, points: $0.points,
                            band: band("\(name).runs.\(start.name)"))
                    }
                }, logarithmic: true
            ).svg
        }
        let rows = shown.map { combination in
            let name = "combinations.\(combination.rawValue)"
            let cells = starts.reversed().map { start in
                let last = results[curve: "\(name).\(start.name)_frechet"]?.values.last
                return "<td>\(last.map { decimal($0, 1) } ?? "–")</td>"
            }
            return
                "<tr><td>\(combination.title)</td>\(cells.joined())<td>\(speedups("\(name).speedup"))</td></tr>"
        }
        return
            "<section><h2>With what USP adds up</h2><p>The same comparison with alignment (REPA): projected tokens behind a block are turned towards a teacher's of the clean latents, and the teacher is the encoder that this study pretrained, also for the run from scratch. And with LightningDiT's blocks (RMS norms, SwiGLU, rotary positions), pretrained with them. Same seeds, data order and noise in each pair.</p><div class='pair'>"
            + charts.joined()
            + "</div><div class='wide'><table><tr><th>with</th><th>scratch</th><th>USP</th><th>speed-up</th></tr>"
            + rows.joined() + "</table></div></section>"
    }
}
