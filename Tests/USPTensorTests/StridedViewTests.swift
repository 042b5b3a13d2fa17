// Arrays in somebody else's memory: which may be written to, and how numbers are rounded on the way.

import Testing
import USPBase
import USPTensor

@Suite struct StridedViewTests {
    private func view(_ shape: [Int], _ strides: [Int]) throws -> StridedView {
        let tensor = try Tensor.zeros([64])
        return try StridedView(tensor.raw, shape, strides: strides, .float32, "x")
    }

    @Test func elementsThatShareAnAddressAreNotWritten() throws {
        for (shape, strides) in [
            ([2, 2], [1, 1]), ([3, 2], [1, 2]), ([4], [0]), ([2, 3], [0, 1]),
        ] {
            // All strides 0 mean contiguous.
            #expect(try view(shape, strides).isWritable == (strides == [0]))
        }
        for (shape, strides) in [
            ([2, 2], [2, 1]), ([2, 2], [1, 2]), ([3, 2], [1, 3]), ([2, 3, 2], [1, 4, 2]),
            ([1, 3], [0, 2]),
        ] {
            #expect(try view(shape, strides).isWritable, "\(shape) \(strides)")
        }
    }

    /// To nearest, ties to even, as PyTorch: 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷.
    @Test func bfloat16RoundsToEven() throws {
        let values: [Float] = [1 + 0x1p-8, 1 + 0x3p-8, 1 + 0x1.1p-8, -1 - 0x1p-8, 0x1.FFp127, .nan]
        let source = StridedView(try Tensor([6], values), "x")
        let words = try source.gathered(as: .bfloat16)
        let rounded = try StridedView(words, "y").gathered(as: .float32).values
        #expect(rounded.prefix(5) == [1, 1 + 0x2p-7, 1 + 0x1p-7, -1, .infinity])
        #expect(rounded[5].isNaN)
    }

    /// MAE's target: (x − mean)/√(unbiased variance + 10⁻⁶).
    @Test func flatPatchesAreNormalisedGently() throws {
        let patches = try Tensor([1, 1, 2], [0, 2e-3])
        let values = try Context().normalisePatches(patches, .patch).values
        let expected = 1e-3 / Float(3e-6).squareRoot()
        #expect(abs(values[0] + expected) < 1e-5 && abs(values[1] - expected) < 1e-5)
    }
}
