// How parameters start, which of them decay, what the published names stand for.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct StartTests {
    /// Deviations by the rules' own formulas; √3 for a uniform bound.
    @Test func initializersHaveTheirSpread() {
        func spread(_ rule: Initializer) -> (deviation: Float, largest: Float) {
            let values = [Float](unsafeUninitializedCapacity: 20_000) { buffer, count in
                count = 20_000
                rule.fill(
                    UnsafeMutableBufferPointer(rebasing: buffer[..<count]), RandomKey(seed: 6))
            }
            let square = values.reduce(0) { $0 + $1 * $1 } / Float(values.count)
            return (square.squareRoot(), values.reduce(0) { max($0, abs($1)) })
        }
        func expect(_ rule: Initializer, _ deviation: Float, within bound: Float) {
            let found = spread(rule)
            #expect(abs(found.deviation / deviation - 1) < 0.03, "\(rule) \(found)")
            #expect(found.largest <= bound && found.largest > 0.9 * min(bound, 3 * deviation))
        }
        expect(.normal(deviation: 0.5), 0.5, within: .infinity)
        // A normal cut at ±2 deviations has 0.8796 of the deviation.
        expect(.truncatedNormal(deviation: 1), 0.8796, within: 2)
        expect(.truncatedNormal(deviation: 0.02), 0.02, within: 0.2)
        expect(.uniform(bound: 3), Float(3).squareRoot(), within: 3)
        let bound = Float(6.0 / 30).squareRoot()
        expect(.xavierUniform(fanIn: 10, fanOut: 20), bound / Float(3).squareRoot(), within: bound)
        expect(.torchDefault(fanIn: 16), 0.25 / Float(3).squareRoot(), within: 0.25)
    }

    @Test func decayIsForMatrices() {
        func spec(_ name: String, _ shape: Shape, trains: Bool = true) -> ParameterSpec {
            ParameterSpec(name, shape, .zeros, isTrainable: trains)
        }
        let matrix = spec("blocks.0.mlp.fc1.weight", [8, 4])
        #expect(matrix.decays && LayerDecay.decays(matrix))
        for (name, shape) in [("cls_token", [1, 1, 4]), ("pos_embed", [1, 5, 4])]
            as [(String, Shape)]
        {
            #expect(spec(name, shape).decays && !LayerDecay.decays(spec(name, shape)))
        }
        #expect(!spec("blocks.0.mlp.fc1.bias", [8]).decays)
        #expect(!spec("pos_embed", [1, 5, 4], trains: false).decays)
    }

    @Test func publishedInputs() throws {
        func encoder(_ name: String) throws -> TransformerSizes? {
            try (Family.configuration(named: name) as? any TransformerConfiguration)?.transformer
        }
        for (name, side, channels) in [
            ("MAE-B/1", 14, 16), ("MAE-B/2", 14, 4), ("ViT-L/4", 7, 4), ("ViT-L/14", 16, 3),
            ("MAE-H/16", 14, 3),
        ] {
            let found = try #require(try encoder(name))
            #expect(found.grid == Grid(side, side) && found.channels == channels)
        }
        for (name, returns) in [("DiT-S/2", true), ("SiT-S/2", false)] {
            let sizes = try DiT.Configuration(named: name)
            #expect(sizes.learnsSigma && sizes.returnsSigma == returns)
        }
        #expect([192, 384, 512, 1536].map { Presets.heads(width: $0) } == [3, 6, 16, 24])
    }

    /// ⌊7 · 0.25⌋ tokens stay; equal noise keeps the order of the tokens.
    @Test func maskingRoundsDownAndKeepsItsOrder() throws {
        let masking = try Masking(
            noise: [2, 1, 1, 1, 2, 2, 2], batch: 1, tokens: 7, ratio: 0.75)
        #expect(masking.kept == [1] && masking.restore == [3, 0, 1, 2, 4, 5, 6])
        #expect(masking.mask == [1, 0, 1, 1, 1, 1, 1])
    }
}
