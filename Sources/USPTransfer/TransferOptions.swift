// What a transfer shall make, and how it deals with what the source has not.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// What the source's weights shall become.
package enum TransferTarget: Sendable {
    /// A published name such as `DiT-XL/2`, or a family (`DiT`, `SiT`, `ViT`, `MAE`) whose sizes
    /// are the source's.
    case named(String)
    case configuration(ModelConfiguration)
}

/// How a patch embedding for other channels is made.
package enum ChannelAdaptation: String, Sendable, CaseIterable {
    /// Initialised afresh, as the original does.
    case fresh
    /// Channels that both have are copied; further ones start at zero.
    case copy
    /// The source's channels again and again, scaled to keep the size of the sum.
    case `repeat`
}

/// Which source block a target's block comes from when their numbers differ.
package enum DepthAdaptation: String, Sendable, CaseIterable {
    /// Block i from block i; blocks beyond the source start afresh.
    case prefix
    /// Evenly over the source: block i from ⌊i·source/target⌋.
    case stride
    /// The source's blocks again and again: block i from i modulo source.
    case `repeat`
}

/// How a classifier's head starts.
package enum HeadRule: String, Sendable, CaseIterable {
    /// Linear with deviation 2e-5: fine-tuning.
    case fineTune = "fine-tune"
    /// Batch norm and linear with deviation 0.01: the linear probe.
    case probe
}

package struct TransferOptions: Sendable {
    package var target: TransferTarget
    /// The target's rows and columns of tokens; nil: the preset's, or the source's.
    package var grid: Grid?
    package var classes: Int?
    /// The target's patch and channels where they are not the preset's or the source's.
    package var patch: Int?
    package var channels: Int?
    /// Only this many blocks come from the source; nil: all.
    package var layers: Int?
    package var seed: UInt64 = 0
    /// Whether a diffusion transformer's blocks get norms with γ and β; off is the ablation.
    package var affineNorms = true
    /// Whether the target's MLPs use the source's GELU instead of their family's.
    package var keepsActivation = false
    package var channelAdaptation = ChannelAdaptation.fresh
    package var depthAdaptation = DepthAdaptation.prefix
    package var resampling = PositionTable.Resampling.bicubic
    /// A classifier's pooling; nil: class token where there is one.
    package var pool: VisionTransformerConfiguration.Pool?
    package var head = HeadRule.fineTune
    /// Start of the gates' biases in adaLN: 0 as published; 1 lets every block act from the start.
    package var gateBias: Float = 0
    /// A diffusion transformer as a feature extractor: after this block (nil: all), at this time
    /// and label (nil: the null class), which are folded into the weights exactly.
    package var block: Int?
    package var timestep: Float = 0
    package var label: Int?
    /// What the source's file does not tell.
    package var source = InferenceOptions()

    package init(to target: TransferTarget) { self.target = target }
}
