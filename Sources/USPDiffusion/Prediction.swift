// What a model returned, checked, and the checks of batches.

import USPBase
import USPTensor

/// Throws `.shape` unless the tensor is a non-empty f32 batch `[B, C, H, W]`.
func checkLatents(_ x: Tensor, _ name: String) throws(USPError) {
    try require(
        x.dtype == .float32, .dtype, "\(name): expected f32, got \(x.dtype.name)")
    try require(
        x.shape.rank == 4 && x.count > 0, .shape,
        "\(name): expected a non-empty batch [B, C, H, W], got \(x.shape)")
}

/// Throws unless the value is a batch of the latents' shape.
func checkLike(_ value: Tensor, _ latents: Tensor, _ name: String) throws(USPError) {
    try require(
        value.dtype == .float32, .dtype, "\(name): expected f32, got \(value.dtype.name)")
    try expect(value, latents.shape, name)
}

/// Throws `.shape` unless there is one label a sample, or none at all.
func checkLabels(_ labels: [Int]?, _ latents: Tensor) throws(USPError) {
    guard let labels else { return }
    try require(
        labels.count == latents.shape[0], .shape,
        "labels: \(labels.count), expected \(latents.shape[0])")
}

/// A model's output, its first C channels apart from the rest.
struct Prediction {
    let tensor: Tensor
    /// Elements of one sample's first C channels.
    let count: Int
    /// Elements from one sample to the next: `count`, or twice that with variances.
    let stride: Int

    /// - Throws: `.shape` unless `[B, C, H, W]` or `[B, 2C, H, W]`; the latter where `doubled`
    ///   asks for it.
    init(_ output: Tensor, for x: Tensor, doubled: Bool? = nil) throws(USPError) {
        let (batch, channels) = (x.shape[0], x.shape[1])
        let twice = Shape([batch, 2 * channels, x.shape[2], x.shape[3]])
        let matches =
            (output.shape == x.shape && doubled != true)
            || (output.shape == twice && doubled != false)
        let expected =
            switch doubled {
            case .some(true): "\(twice) (prediction and variance)"
            case .some(false): "\(x.shape)"
            case .none: "\(x.shape) or \(twice)"
            }
        try require(
            output.dtype == .float32, .dtype,
            "model output: expected f32, got \(output.dtype.name)")
        try require(
            matches, .shape, "model output: expected \(expected), got \(output.shape)")
        tensor = output
        count = x.count / batch
        stride = output.count / batch
    }

    /// The prediction of one sample, `count` elements.
    func mean(_ sample: Int) -> UnsafeMutablePointer<Float> { tensor.floats + sample * stride }

    /// The variance values of one sample, if there are some.
    func variance(_ sample: Int) -> UnsafeMutablePointer<Float>? {
        stride > count ? tensor.floats + sample * stride + count : nil
    }

    /// Whether all values are finite.
    var isFinite: Bool { tensor.isFinite }
}
