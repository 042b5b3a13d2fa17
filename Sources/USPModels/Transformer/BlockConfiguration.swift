// Sizes and switches of one transformer block, and its parameters.

import USPBase
import USPTensor

/// Sizes and switches of one block.
package struct BlockConfiguration: Sendable, Equatable {
    /// Width of a token, D.
    package var width: Int
    /// Attention heads; they divide the width.
    package var heads: Int
    /// Width of the hidden layer.
    package var hidden: Int
    package var activation: Activation
    /// Of the norms.
    package var epsilon: Float
    /// Of the norm in front of attention, where it differs.
    package var attentionEpsilon: Float?
    /// Layer norms with γ and β of their own; RMS norms have γ.
    package var affine: Bool
    /// What a condition gives to the block (adaLN-Zero); nil: nothing.
    package var modulation: ModulationParts?
    /// Of the linear layers that are not modulations.
    package var start: LinearStart
    package var norm = NormKind.layer
    /// MLPs are SwiGLU.
    package var isGatedUnit = false
    package var queryKeyNorm = false
    package var layerScale = false
    /// Rows of a table of biases for pairs of tokens; 0: there is none.
    package var relations = 0

    package init(
        width: Int, heads: Int, hidden: Int, activation: Activation, epsilon: Float = 1e-6,
        affine: Bool = true, modulation: ModulationParts? = nil, start: LinearStart = .xavier
    ) {
        (self.width, self.heads, self.hidden) = (width, heads, hidden)
        (self.activation, self.epsilon) = (activation, epsilon)
        (self.affine, self.modulation, self.start) = (affine, modulation, start)
    }

    /// Names of the MLP's two layers.
    var mlp: (first: String, second: String) {
        isGatedUnit ? ("mlp.w12", "mlp.w3") : ("mlp.fc1", "mlp.fc2")
    }

    /// PyTorch's own ε where the originals give none.
    var queryKeyEpsilon: Float { norm == .rms ? epsilon : 1e-5 }

    /// Parameters of the block called `name`, in the originals' order.
    package func specs(_ name: String) -> [ParameterSpec] {
        var specs: [ParameterSpec] = []
        let hasNorms = affine || norm == .rms
        func add(_ layer: String, _ inputs: Int, _ outputs: Int, _ start: LinearStart) {
            specs += LinearLayer.specs("\(name).\(layer)", inputs: inputs, outputs: outputs, start)
        }
        func addScale(_ layer: String) {
            guard layerScale else { return }
            specs.append(ParameterSpec("\(name).\(layer).gamma", [width], .constant(1e-5)))
        }
        if hasNorms { specs += NormLayer.specs("\(name).norm1", width: width, norm) }
        add("attn.qkv", width, 3 * width, start)
        for part in queryKeyNorm ? ["q_norm", "k_norm"] : [] {
            specs += NormLayer.specs("\(name).attn.\(part)", width: width / max(heads, 1), norm)
        }
        if relations > 0 {
            specs.append(
                ParameterSpec(
                    "\(name).attn.relative_position_bias_table", [relations, heads], .zeros))
        }
        add("attn.proj", width, width, start)
        addScale("ls1")
        if hasNorms { specs += NormLayer.specs("\(name).norm2", width: width, norm) }
        add(mlp.first, width, isGatedUnit ? 2 * hidden : hidden, start)
        add(mlp.second, hidden, width, start)
        addScale("ls2")
        if let modulation { add("adaLN_modulation.1", width, modulation.count * width, .zeros) }
        return specs
    }
}

/// Which chunk of a block's modulation `[B, n·D]` is what, for its two halves: attention, MLP.
package struct ModulationParts: Sendable, Equatable {
    /// adaLN-Zero has shift, scale and gate; LightningDiT can leave the shifts out.
    package let shifts: Bool

    package init(shifts: Bool = true) { self.shifts = shifts }

    /// Chunks of a half, and of both.
    private var ofHalf: Int { shifts ? 3 : 2 }
    package var count: Int { 2 * ofHalf }

    package func shift(_ half: Int) -> Int? { shifts ? half * ofHalf : nil }
    package func scale(_ half: Int) -> Int { (half + 1) * ofHalf - 2 }
    package func gate(_ half: Int) -> Int { (half + 1) * ofHalf - 1 }
}
