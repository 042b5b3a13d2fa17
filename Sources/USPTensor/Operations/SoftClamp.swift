// A smooth limit, as small autoencoders put in front of their decoders.

import Glibc
import USPBase

extension Context {
    /// y = b·tanh(x / b), elementwise: within −b … b, and x where it is small.
    /// - x: any shape, f32: latents, which are few
    package func softClamp(_ x: Tensor, _ bound: Float) throws(USPError) -> Tensor {
        let y = try Tensor(x.shape)
        for index in 0..<x.count { y.floats[index] = bound * tanh(x.floats[index] / bound) }
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            for index in 0..<x.count {
                let share = y.floats[index] / bound
                let own = gradient.floats[index] * (1 - share * share)
                let before = target.accumulates ? target.tensor.floats[index] : 0
                target.tensor.floats[index] = before + own
            }
        }
        return y
    }
}
