// PyTorch's generators against golden streams: CPU calls of all lengths, and CUDA's.

import TestSupport
import Testing
import USPBase

private let seeds: [UInt64] = [0, 42, 1_234_567_890_123]

@Suite struct TorchRandomGoldenTests {
    @Test(arguments: seeds) func cpuStreams(_ seed: UInt64) throws {
        let golden = try GoldenCase("random/torch_cpu")
        // Below 16 numbers the generator takes another path, and so does the tail of a long call.
        for count in [1, 2, 5, 15, 16, 17, 24, 31, 32, 100, 257] {
            var random = TorchRandom(seed: seed)
            let expected = try golden.values("out.\(seed).randn.\(count)")
            #expect(relativeError(random.normal(count: count), expected) < 1e-6)
        }
        var random = TorchRandom(seed: seed)
        #expect(random.uniform(count: 19) == (try golden.values("out.\(seed).rand.19")))
        random = TorchRandom(seed: seed)
        for key in golden.names("out.\(seed).sequence.") {
            let parts = key.split(separator: ".").map(String.init)
            let count = try #require(Int(parts[2]))
            let values =
                parts[1] == "rand" ? random.uniform(count: count) : random.normal(count: count)
            let expected = try golden.values("out.\(seed).sequence.\(key)")
            #expect(relativeError(values, expected) < 1e-6, "\(key)")
        }
    }

    @Test(arguments: seeds) func cudaStreams(_ seed: UInt64) throws {
        let golden = try GoldenCase("random/cuda_philox")
        var random = TorchRandomCUDA(seed: seed)
        var compared = 0
        for call in 0..<8 {
            let values = random.normal(count: 33)
            guard let expected = try? golden.values("out.\(seed).call_\(call).33") else { continue }
            #expect(relativeError(values, expected) < 1e-6)
            compared += 1
        }
        #expect(compared > 1)
        let words = try golden.indices("out.\(seed).words")
        for thread in 0..<4 {
            let bits = philox(counter: 0, stream: UInt64(thread), key: seed)
            #expect((0..<4).map { Int(bits[$0]) } == Array(words[4 * thread..<4 * thread + 4]))
        }
    }
}
