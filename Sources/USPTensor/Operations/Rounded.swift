// Values that are handed on in bf16, and added in f32.

import CKernels
import USPBase

/// f32 to bf16, to the nearest, ties to even; `count` values.
package func narrow(
    _ values: UnsafePointer<Float>, into halves: UnsafeMutablePointer<UInt16>, _ count: Int
) { uspi_bf16_from_f32(values, halves, Int64(count)) }

/// bf16 to f32.
package func widen(
    _ halves: UnsafePointer<UInt16>, into values: UnsafeMutablePointer<Float>, _ count: Int
) { uspi_f32_from_bf16(halves, values, Int64(count)) }

/// target = bf16(target) + addend, in f32, of an addend that is bf16.
package func addRounded(
    _ target: UnsafeMutablePointer<Float>, _ addend: UnsafePointer<UInt16>, _ count: Int
) {
    let block = 1024
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: block) { halves in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { values in
            guard let halves = halves.baseAddress, let values = values.baseAddress else { return }
            for start in stride(from: 0, to: count, by: block) {
                let some = min(block, count - start)
                narrow(target + start, into: halves, some)
                widen(halves, into: target + start, some)
                widen(addend + start, into: values, some)
                uspi_add(target + start, values, some)
            }
        }
    }
}

/// target = bf16(target) + bf16(addend), in f32, same count.
package func addRounded(_ target: Tensor, _ addend: Tensor) throws(USPError) {
    try require(
        target.count == addend.count, .shape, "add: \(addend.shape) to \(target.shape)")
    let (y, x) = (target.floats, addend.floats)
    parallelRanges(target.count, grain: 1 << 15) { range in
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: range.count) { halves in
            guard let halves = halves.baseAddress else { return }
            narrow(x + range.lowerBound, into: halves, range.count)
            addRounded(y + range.lowerBound, halves, range.count)
        }
    }
}

extension Tensor {
    /// Every value, f32, becomes the nearest of bf16.
    package func roundToBFloat16() {
        let values = floats
        parallelRanges(count, grain: 1 << 15) { range in
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: range.count) { halves in
                guard let halves = halves.baseAddress else { return }
                narrow(values + range.lowerBound, into: halves, range.count)
                widen(halves, into: values + range.lowerBound, range.count)
            }
        }
    }
}
