// The parameters of the Inception network, and its batch norms folded into its convolutions.

import USPBase
import USPTensor

extension Inception {
    /// Of the batch norms, as in TensorFlow's graph.
    private static let epsilon = 1e-3

    /// Calls the body for each convolution, with its inputs.
    private static func forEachConvolution(
        _ body: (_ name: String, _ weight: Shape) -> Void
    ) throws(USPError) {
        func walk(_ steps: [InceptionStep], _ x: Shape) throws(USPError) -> Shape {
            var x = x
            for step in steps {
                switch step {
                case .convolution(let name, let outputs, let height, let width, _, _):
                    body(name, [outputs, x[3], height, width])
                case .branches(let branches):
                    for branch in branches { _ = try walk(branch, x) }
                case .maxPool, .meanPool: break
                }
                x = try step.result(x)
            }
            return x
        }
        _ = try walk(stem + middle + end, [1, side, side, 3])
    }

    /// Every parameter in the order of the network.
    package static func specs() throws(USPError) -> [ParameterSpec] {
        var specs: [ParameterSpec] = []
        try forEachConvolution { name, weight in
            let fanIn = Float(weight.count / weight[0])
            let width: Shape = [weight[0]]
            specs += [
                ParameterSpec(
                    "\(name).conv.weight", weight, .uniform(bound: (6 / fanIn).squareRoot())),
                ParameterSpec("\(name).bn.weight", width, .ones),
                ParameterSpec("\(name).bn.bias", width, .zeros),
                ParameterSpec("\(name).bn.running_mean", width, .zeros, isTrainable: false),
                ParameterSpec("\(name).bn.running_var", width, .ones, isTrainable: false),
            ]
        }
        let start = Initializer.torchDefault(fanIn: poolFeatures)
        return specs + [
            ParameterSpec("fc.weight", [outputs, poolFeatures], start),
            ParameterSpec("fc.bias", [outputs], start),
        ]
    }

    /// γ·(conv(x) − μ)/√(σ² + ε) + β as conv′(x) + b.
    static func folded(_ parameters: Parameters) throws(USPError) -> Parameters {
        var convolutions: [(name: String, weight: Shape)] = []
        try forEachConvolution { convolutions.append(($0, $1)) }
        let folded = try Parameters(
            convolutions.flatMap { name, weight in
                [
                    ParameterSpec("\(name).weight", weight, .zeros),
                    ParameterSpec("\(name).bias", [weight[0]], .zeros),
                ]
            })
        for (name, shape) in convolutions {
            func vector(_ part: String) throws(USPError) -> [Double] {
                let tensor = try parameters.tensor("\(name).bn.\(part)")
                try expect(tensor, [shape[0]], "\(name).bn.\(part)")
                return tensor.values.map(Double.init)
            }
            let source = try parameters.tensor("\(name).conv.weight")
            try expect(source, shape, "\(name).conv.weight")
            let (gamma, beta) = (try vector("weight"), try vector("bias"))
            let (mean, variance) = (try vector("running_mean"), try vector("running_var"))
            let (weight, bias) = (
                try folded.tensor("\(name).weight").floats, try folded.tensor("\(name).bias").floats
            )
            let row = shape.count / shape[0]
            var isFinite = true
            for output in 0..<shape[0] {
                let factor = gamma[output] / (variance[output] + epsilon).squareRoot()
                bias[output] = Float(beta[output] - mean[output] * factor)
                isFinite = isFinite && bias[output].isFinite
                for i in output * row..<(output + 1) * row {
                    weight[i] = Float(Double(source.floats[i]) * factor)
                    isFinite = isFinite && weight[i].isFinite
                }
            }
            try require(isFinite, .argument, "\(name): a weight or statistic is not finite")
            source.releasePages()
        }
        return folded
    }
}
