// One step backwards: mean, variance and predicted latents of every kind of model.

import Glibc
import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

@Suite struct GaussianReverseTests {
    /// The published p_mean_variance, for 12 kinds of model, clipped and not.
    @Test func distributionsAreTheOriginals() throws {
        let golden = try GoldenCase("diffusion/reverse")
        let (x, output) = (try golden.values("in.x"), try golden.values("in.model_output"))
        let times = try golden.indices("in.t")
        let count = x.count / times.count
        let keys = golden.names("out.")
        #expect(keys.count > 60)
        for key in keys {
            let parts = key.split(separator: ".").map(String.init)
            let process = try gaussian(prediction: parts[0], variance: parts[1])
            let values = x.indices.map { i -> Float in
                let c = process.coefficients(times[i / count])
                // The output has twice the channels; the first half predicts, the second varies.
                let place = i / count * 2 * count + i % count
                let prediction = output[place]
                var start = c.start(prediction, x[i])
                if parts[2] == "clip" { start = min(max(start, -1), 1) }
                let log =
                    process.options.variance.isLearned
                    ? c.logVariance(output[place + count]) : c.fixedLogVariance
                switch parts[3] {
                case "mean": return c.mean(prediction, start: start, x[i])
                case "pred_xstart": return start
                case "log_variance": return log
                default:
                    // The log is clipped at the first step, the fixed small variance is not: 0.
                    return parts[1] == "FIXED_SMALL"
                        ? Float(process.posteriorVariance[times[i / count]]) : expf(log)
                }
            }
            var expected = try golden.values("out.\(key)")
            if expected.count < values.count {
                // Fixed variances are stored as one value a sample.
                let each = values.count / expected.count
                expected = values.indices.map { expected[$0 / each] }
            }
            #expect(relativeError(values, expected) < 1e-5, "\(key)")
        }
    }

    @Test func predictedLatentsMayBeChanged() throws {
        let process = try gaussian(respacing: "5", variance: "FIXED_LARGE")
        let start = try normalTensor([2, 2, 3, 3], seed: 1)
        var calls = 0
        var monitor = SamplingMonitor()
        monitor.adjustStart = { x throws(USPError) in
            calls += 1
            for i in 0..<x.count { x.floats[i] = min(max(x.floats[i], -1), 1) }
        }
        func run(_ monitor: SamplingMonitor, clip: Bool = false) throws -> [[Float]] {
            var values = try ["ddpm", "ddim", "dpm++"].map { method in
                try draw(process, method, echo, start, monitor) { $0.clip = clip }.values
            }
            values.append(
                try draw(process, "ddim", echo, start, for: .invert, monitor) { $0.clip = clip }
                    .values)
            return values
        }
        #expect(try run(SamplingMonitor(), clip: true) == run(monitor))
        #expect(calls == 20)
        monitor.adjustStart = { _ throws(USPError) in throw USPError(.callback, "mine") }
        #expect(throws: USPError(.callback, "mine")) { try run(monitor) }
    }
}
