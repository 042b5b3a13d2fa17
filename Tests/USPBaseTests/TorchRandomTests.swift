import Glibc
import Testing

import USPBase

private func expectClose(_ got: [Float], _ expected: [Float]) {
    #expect(got.count == expected.count)
    for (a, b) in zip(got, expected) { #expect(abs(a - b) <= 2e-6 * max(1, abs(b))) }
}

/// Expected values printed by PyTorch 2.13 (`torch.manual_seed(seed)`, then the calls in order).
@Suite struct TorchRandomTests {
    @Test func shortAndLongCallsShareOneGenerator() {
        var random = TorchRandom(seed: 0)
        expectClose(
            random.normal(count: 5),
            [1.54099607, -0.293428898, -2.17878938, 0.568431258, -1.08452237])
        expectClose(
            random.normal(count: 4), [-1.39859545, 0.403346837, 0.838026345, -0.719257593])
        expectClose(
            random.normal(count: 20),
            [
                0.598839462, -1.55509508, -0.34136039, 1.85300612, -0.215863258, -0.742548168,
                0.562721372, 0.259627402, -0.173960999, -0.678746223, 0.938260734, 0.488869816,
                1.20322371, 0.0845346972, -1.2001394, -0.00478573795, -0.518074811, -0.306704193,
                -1.58099389, 1.70664334,
            ])
        expectClose(random.normal(count: 1), [-0.403343529])
    }

    @Test func uniformNumbersAndLatents() {
        var random = TorchRandom(seed: 42)
        expectClose(random.uniform(count: 4), [0.882269263, 0.915003955, 0.38286376, 0.959305644])
        _ = random.uniform(count: 8)
        let latents = random.normal(count: 2 * 4 * 8 * 8)
        expectClose(
            [0, 1, 15, 16, 255, 511].map { latents[$0] },
            [-0.248257503, -1.20821476, 1.33473778, -1.11090386, 0.0391392224, -0.386660755])
        #expect(abs(latents.reduce(0, +) - 24.385296) < 1e-3)
        expectClose(random.normal(count: 3), [0.969254494, -0.780929327, 0.28352648])
    }

    @Test func onlyTheLowerHalfOfTheSeedCounts() {
        var random = TorchRandom(seed: 1 << 32 + 7)
        expectClose(random.normal(count: 2), [-0.146795094, 0.786141276])
    }

    /// The published example of `torch.randn((3, 4), device="cuda")` in three calls of four.
    @Test func philoxMatchesThePublishedExample() {
        var random = TorchRandomCUDA(seed: 0)
        expectClose(
            random.normal(count: 12),
            [
                -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564,
                -0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
            ])
    }

    /// 512 threads of four numbers each: element 2048·r + 512·slot + thread, call by call.
    @Test func gridLayoutOfLongPhiloxCalls() {
        var random = TorchRandomCUDA(seed: 5, residentThreads: 512)
        let values = random.normal(count: 5000)
        for (index, round, thread, slot) in [
            (3, 0, 3, 0), (515, 0, 3, 1), (2048 + 1024 + 7, 1, 7, 2),
        ] {
            let bits = philox(counter: UInt64(round), stream: UInt64(thread), key: 5)
            let (a, b) = slot < 2 ? (bits[0], bits[1]) : (bits[2], bits[3])
            let radius = (-2 * logf(Float(a) * 0x1p-32 + 0x1p-33)).squareRoot()
            let angle = (Float(b) * 0x1p-32 + 0x1p-33) * 2 * Float.pi
            let expected = radius * (slot % 2 == 0 ? sinf(angle) : cosf(angle))
            #expect(abs(values[index] - expected) < 1e-5)
        }
        let bits = philox(counter: 3, stream: 0, key: 5)
        let radius = (-2 * logf(Float(bits[0]) * 0x1p-32 + 0x1p-33)).squareRoot()
        let angle = (Float(bits[1]) * 0x1p-32 + 0x1p-33) * 2 * Float.pi
        #expect(abs(random.normal(count: 4)[0] - radius * sinf(angle)) < 1e-5)
    }

    @Test func unknownNamesListTheKnownOnes() {
        enum Fruit: String, NamedChoice {
            case apple, pear
            static let what = "fruit"
        }
        #expect(
            throws: USPError(
                .argument, "unknown fruit \"paer\", known are apple, pear; did you mean \"pear\"?")
        ) {
            try Fruit.named("paer")
        }
    }
}
