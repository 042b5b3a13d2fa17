// What a family has to say to be trained; one file of this folder for each.

import USPBase
import USPData
import USPModels
import USPTensor

/// A model that is trained for something: its conformance is the family's task.
package protocol Trainable: Model {
    /// Blocks, for layer-wise decay; 0 without.
    var layers: Int { get }

    /// Which parameters weight decay applies to.
    func decays(_ spec: ParameterSpec) -> Bool

    /// Whether a parameter is the head's: what `head_only` trains.
    func isHead(_ name: String) -> Bool

    /// Parameters that the loss has beside the model's: optimised, averaged, saved and restored with
    /// them, and never part of the model. They start from the trainer's seed.
    func ownSpecs(_ options: TrainerOptions) throws(USPError) -> [ParameterSpec]

    /// The model over these parameters (its own first, then those of `ownSpecs`), as its training
    /// runs it.
    ///
    /// - Throws: also for an option that this model has no part for
    func training(over parameters: Parameters, _ options: TrainerOptions) throws(USPError) -> Self

    /// What is minimised, of some samples.
    func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss
}

extension Trainable {
    package func decays(_ spec: ParameterSpec) -> Bool { spec.decays }

    package func isHead(_ name: String) -> Bool { name.hasPrefix("head.") }

    package func ownSpecs(_ options: TrainerOptions) throws(USPError) -> [ParameterSpec] { [] }
}

/// Some samples of a batch, with their random streams.
package struct BatchPart {
    package let batch: Batch
    /// Of the step: noise of sample i of the batch comes from `key.stream(purpose).stream(i)`, so
    /// neither parts nor ranks change it.
    package let key: RandomKey
    /// Place of the first sample in the batch of all ranks.
    package let first: Int

    package init(batch: Batch, key: RandomKey, first: Int) {
        (self.batch, self.key, self.first) = (batch, key, first)
    }

    var inputs: Tensor { batch.inputs }
    var count: Int { batch.count }

    /// A teacher's features: nothing is given in vain, and nothing is missing.
    func expectFeatures(_ options: TrainerOptions) throws(USPError) {
        try require(
            batch.features.isEmpty || options.align != 0, .argument,
            "features: have no part in training without align, the weight of the alignment")
        try require(
            !batch.features.isEmpty || options.align == 0, .argument,
            "features: align is \(options.align), so the teacher's tokens [B, T, Z] are needed")
    }

    /// The noise that was given, or standard normal noise of this shape.
    func normalNoise(_ shape: Shape) throws(USPError) -> Tensor {
        if let noise = batch.noise { return noise }
        return try drawnNoise(shape)
    }

    /// Standard normal noise of this shape.
    func drawnNoise(_ shape: Shape) throws(USPError) -> Tensor {
        try Tensor.normal(shape, key.stream("noise"), firstSample: first)
    }

    /// `count` uniform numbers in [0, 1) for each sample.
    func uniform(_ name: String, count each: Int = 1) throws(USPError) -> [Float] {
        try Tensor.uniform([count, each], key.stream(name), firstSample: first).values
    }
}
