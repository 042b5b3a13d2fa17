// Runs that use blocks' results and guidance's null half again: the rule worked out by hand, and how
// much of the evaluations is computed.

import TestSupport
import Testing
import USPBase
import USPKit
import USPModels
import USPTensor

@Suite struct ReuseTests {
    private let labels = [1, 2, 4]
    private let model: DiT
    private let noise: Tensor

    /// Two blocks of random weights with registers in front.
    init() throws {
        var sizes = DiT.Configuration()
        sizes.returnsSigma = false
        (sizes.grid, sizes.width, sizes.depth, sizes.heads) = (Grid(4, 4), 32, 2, 2)
        (sizes.classes, sizes.registers) = (5, 2)
        model = try DiT(sizes, seed: 1)
        for name in model.weights.names where name != "pos_embed" {
            let weight = try model.weights[name]
            try weight.copy(from: randomTensor(weight.shape, name, scale: 0.1))
        }
        noise = try normalTensor([3, 4, 8, 8], seed: 1)
    }

    /// Steps of Euler's rule from 0 to 1, and the evaluations that were computed.
    private func euler(
        _ steps: Int, cfg: Float = 1, _ reuse: (inout Reuse) -> Void = { _ in }
    ) throws -> (latents: Tensor, computed: Double) {
        var options = SampleOptions()
        (options.method, options.steps) = ("euler", steps + 1)
        reuse(&options.reuse)
        var computed = 0.0
        let result = try Sampler(.flow(Transport()), options).run(
            model.denoiser.guided(Guidance(cfg)), from: noise, labels: labels,
            SamplingMonitor { computed = $0.evaluations })
        return (result, computed)
    }

    /// The tokens that the blocks get, and what they add to them.
    private func blocks(_ x: Tensor, _ time: Float) throws -> (before: Tensor, added: [Float]) {
        let context = Context(model.arithmetic)
        let conditioning = try model.conditioning(
            t: labels.map { _ in time }, y: labels, in: context)
        let before = try model.embed(x, conditioning, in: context).copied()
        let after = try model.run(
            model.blocks.indices, before.copied(), conditioning, in: context)
        return (before, zip(after.values, before.values).map { $0 - $1 })
    }

    /// The velocity if the blocks add this.
    private func velocity(_ x: Tensor, _ time: Float, adding added: [Float]) throws -> [Float] {
        let context = Context(model.arithmetic)
        let conditioning = try model.conditioning(
            t: labels.map { _ in time }, y: labels, in: context)
        let tokens = try model.embed(x, conditioning, in: context)
        for (place, value) in added.enumerated() { tokens.floats[place] += value }
        return try model.prediction(model.patches(tokens, in: context), conditioning, in: context)
            .values
    }

    /// Four steps by hand; blocks are computed at those that `computed` names.
    private func byHand(computed: Set<Int>, order: Int) throws -> [Float] {
        let x = try noise.copied()
        var kept: [(time: Float, added: [Float])] = []
        for step in 0..<4 {
            let time = Float(step) / 4
            if computed.contains(step) { kept.insert((time, try blocks(x, time).added), at: 0) }
            var added = kept[0].added
            if order == 1, kept.count > 1 {
                let part = (time - kept[0].time) / (kept[0].time - kept[1].time)
                for i in added.indices { added[i] += part * (added[i] - kept[1].added[i]) }
            }
            let change = try velocity(x, time, adding: added)
            for i in 0..<x.count { x.floats[i] += change[i] / 4 }
        }
        return x.values
    }

    @Test(arguments: [0, 1]) func blocksAreComputedAtIntervals(_ order: Int) throws {
        let found = try euler(4) { ($0.interval, $0.order) = (2, order) }
        #expect(found.computed == 2)
        let expected = try byHand(computed: [0, 2], order: order)
        #expect(relativeError(found.latents.values, expected) < 1e-5)
        #expect(relativeError(found.latents.values, try euler(4).latents.values) > 1e-4)
    }

    /// The change of the first block's input, worked out with the means that the rule says.
    @Test func blocksAreComputedWhenTheirInputHasChanged() throws {
        let every = try euler(4)
        let never = try euler(4) { $0.threshold = 1e9 }
        let always = try euler(4) { $0.threshold = 0 }
        #expect(always.latents.values == every.latents.values && always.computed == 4)
        #expect(never.computed == 1)
        let expected = try byHand(computed: [0], order: 0)
        #expect(relativeError(never.latents.values, expected) < 1e-5)

        // Of two steps, between whose beginnings its input changes by this much.
        let (first, second) = (try input(noise, 0), try input(halfway(), 0.5))
        let difference = zip(first, second).reduce(0) { $0 + abs($1.1 - $1.0) }
        let edge = difference / first.reduce(0) { $0 + abs($1) }
        #expect(edge > 0.01)
        #expect(try euler(2) { $0.threshold = edge * 0.999 }.computed == 2)
        #expect(try euler(2) { $0.threshold = edge * 1.001 }.computed == 1)
    }

    private func halfway() throws -> Tensor {
        let x = try noise.copied()
        let change = try model.forward(x, t: labels.map { _ in 0 }, y: labels)
        for i in 0..<x.count { x.floats[i] += change.floats[i] / 2 }
        return x
    }

    /// What the first block's attention gets: the normed tokens, scaled and shifted.
    private func input(_ x: Tensor, _ time: Float) throws -> [Float] {
        let context = Context(model.arithmetic)
        let conditioning = try model.conditioning(
            t: labels.map { _ in time }, y: labels, in: context)
        let tokens = try model.embed(x, conditioning, in: context)
        let modulation = try conditioning.blocks[0].value()
        let width = model.configuration.width
        let (rows, perSample) = (tokens.count / width, tokens.shape[1])
        var result: [Float] = []
        for row in 0..<rows {
            let values = (0..<width).map { tokens.floats[row * width + $0] }
            let mean = values.reduce(0, +) / Float(width)
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(width)
            let own = modulation.floats + row / perSample * modulation.shape[1]
            for (place, value) in values.enumerated() {
                let normed = (value - mean) / (variance + 1e-6).squareRoot()
                result.append(normed * (1 + own[width + place]) + own[place])
            }
        }
        return result
    }

    /// labelled + (scale − 1) · (labelled − null) with the difference of two steps before, for a model
    /// and for a function alike; a half is half an evaluation.
    @Test func theNullHalfIsComputedAtIntervals() throws {
        let found = try euler(4, cfg: 2.5) { $0.nullInterval = 3 }
        #expect(found.computed == 3)
        let x = try noise.copied()
        var difference: [Float] = []
        var asked: [Int] = []
        for step in 0..<4 {
            let times = labels.map { _ in Float(step) / 4 }
            let labelled = try model.forward(x, t: times, y: labels).values
            if step % 3 == 0 {
                let null = try model.forward(x, t: times, y: nil).values
                difference = zip(labelled, null).map { $0 - $1 }
            }
            let perSample = x.count / 3
            for i in 0..<x.count {
                // The published rule guides three channels.
                let isMoved = i % perSample < 3 * 64
                x.floats[i] += (labelled[i] + (isMoved ? 1.5 * difference[i] : 0)) / 4
            }
        }
        #expect(relativeError(found.latents.values, x.values) < 1e-5)
        var options = SampleOptions()
        (options.method, options.steps, options.reuse.nullInterval) = ("euler", 5, 3)
        let function = Denoiser(nullClass: 5) { [model] x, times, labels throws(USPError) in
            asked.append(x.shape[0])
            return try model.forward(x, t: times, y: labels)
        }
        let other = try Sampler(.flow(Transport()), options).run(
            function.guided(Guidance(2.5)), from: noise, labels: labels)
        #expect(asked == [6, 3, 3, 6])
        #expect(relativeError(other.values, x.values) < 1e-5)
    }

    /// Blocks that were computed without the null half do for labelled samples alone.
    @Test func bothGoTogether() throws {
        let found = try euler(6, cfg: 2) { ($0.interval, $0.nullInterval) = (2, 3) }
        // 0: both halves; 1: used again; 2: labelled; 3: both, whose null half is not there; 4: used
        // again; 5: labelled.
        #expect(found.computed == 3)
        #expect(found.latents.values.allSatisfy { $0.isFinite })
    }

    /// A sample is the same alone and among others, but where a threshold chooses for all.
    @Test func samplesDoNotDependOnTheirBatch() throws {
        var options = SampleOptions()
        (options.method, options.steps) = ("adams-bashforth", 9)
        (options.reuse.interval, options.reuse.order, options.reuse.nullInterval) = (3, 1, 2)
        let sampler = try Sampler(.flow(Transport()), options)
        let denoiser = try model.denoiser.guided(Guidance(3))
        let all = try sampler.run(denoiser, from: noise, labels: labels)
        let alone = try sampler.run(
            denoiser, from: noise.detachedRows(1..<2).copied(), labels: [labels[1]])
        #expect(try all.detachedRows(1..<2).values == alone.values)
    }

    @Test func whatHasNoPartIsRefused() throws {
        var options = SampleOptions()
        (options.method, options.steps, options.reuse.interval) = ("euler", 5, 2)
        let function = Denoiser { x, _, _ throws(USPError) in x }
        #expect(message { try Sampler(.flow(Transport()), options).run(function, from: noise) }
            .contains("a function has no blocks"))
        options.reuse.threshold = 0.1
        #expect(message {
            try Sampler(.flow(Transport()), options).run(
                model.denoiser, from: noise, labels: labels)
        }.contains("expected one of them"))
        options.reuse = Reuse()
        options.reuse.order = 1
        #expect(message {
            try Sampler(.flow(Transport()), options).run(
                model.denoiser, from: noise, labels: labels)
        }.contains("reuse_order: has no part"))
        options.method = "dopri5"
        (options.reuse.order, options.reuse.nullInterval) = (0, 2)
        #expect(message { try Sampler(.flow(Transport()), options) }.contains("null_interval"))
        (options.method, options.reuse.nullInterval, options.reuse.interval) = ("euler", 1, 2)
        #expect(message { try Sampler(.flow(Transport()), options, for: .likelihood) }
            .contains("reuse_interval"))
    }

    private func message(_ body: () throws -> some Any) -> String {
        do { _ = try body() } catch { return "\(error)" }
        return "nothing was thrown"
    }
}
