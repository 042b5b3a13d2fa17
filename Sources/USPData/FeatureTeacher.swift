// A frozen teacher of representation alignment (REPA), as a data set knows it: features of each image,
// as it is needed, or once for all beside its latents.

import USPBase
import USPFiles
import USPTensor

/// What makes features of images.
public struct FeatureTeacher: Sendable {
    /// Side of a patch in pixels.
    package let patch: Int
    /// Width of a feature, Z.
    package let width: Int
    /// What two of the same values have in common.
    package let fingerprint: String
    /// How its images are prepared, where its file tells.
    package let kind: TeacherEncoder?
    /// Prepared images `[B, 3, H, W]` to tokens `[B, T, Z]`, behind the last norm or before it.
    package let tokens: @Sendable (_ images: Tensor, _ normed: Bool) throws(USPError) -> Tensor

    package init(
        patch: Int, width: Int, fingerprint: String, kind: TeacherEncoder?,
        tokens: @escaping @Sendable (Tensor, Bool) throws(USPError) -> Tensor
    ) {
        (self.patch, self.width, self.fingerprint) = (patch, width, fingerprint)
        (self.kind, self.tokens) = (kind, tokens)
    }
}

/// A teacher with what its images of one size become.
struct TeacherFeatures: Sendable {
    private let teacher: FeatureTeacher
    private let kind: TeacherEncoder
    /// Of the square that it is shown.
    private let side: Int
    /// As which features are kept.
    let type: DType

    /// nil without a teacher.
    ///
    /// - Throws: `.argument` for images that are no whole number of its tokens
    init?(_ options: DataOptions) throws(USPError) {
        guard let teacher = options.teacher else {
            try require(
                options.teacherEncoder == nil && options.teacherSize == nil, .argument,
                "teacher_encoder, teacher_size: have no part without a teacher")
            return nil
        }
        guard let kind = options.teacherEncoder ?? teacher.kind else {
            throw USPError(
                .argument,
                "teacher_encoder: the teacher's file does not tell how its images are prepared; one of "
                    + TeacherEncoder.allCases.map(\.rawValue).joined(separator: ", "))
        }
        // REPA's sizes: 224 and 448 for patches of 14 and images of 256 and 512 pixels.
        try require(
            options.teacherSize != nil || options.size % 16 == 0, .argument,
            "teacher_size: is needed, images of \(options.size) pixels are no whole number of tokens "
                + "of 16")
        let side = options.teacherSize ?? options.size / 16 * teacher.patch
        try require(
            side % teacher.patch == 0, .argument,
            "teacher_size: \(side), expected a multiple of the teacher's patch, \(teacher.patch)")
        (self.teacher, self.kind, self.side) = (teacher, kind, side)
        type = options.featureType
    }

    /// `[T, Z]` of an image.
    var shape: Shape {
        let grid = side / teacher.patch
        return [grid * grid, teacher.width]
    }

    /// For messages and files.
    var words: String { "\(name) \(side) pixels" }

    private var name: String { "teacher \(teacher.fingerprint) \(kind.rawValue)" }

    /// Whether features of these words are its own, of images of whatever size.
    func made(_ words: String) -> Bool { words.hasPrefix(name + " ") }

    /// `[B, T, Z]` f32 of images `[B, 3, S, S]` in −1 … 1, as the data set cuts them.
    func features(_ images: Tensor) throws(USPError) -> Tensor {
        try require(
            images.shape[1] == 3, .argument,
            "teacher: takes images of 3 channels, these have \(images.shape[1])")
        let bytes = try Tensor(images.shape, .uint8)
        let (source, target) = (
            images.floats, bytes.raw.assumingMemoryBound(to: UInt8.self)
        )
        // Back to the bytes that they were.
        for i in 0..<images.count {
            target[i] = UInt8(min(max((source[i] + 1) * 127.5, 0), 255).rounded())
        }
        let prepared = try kind.prepare(bytes, side: side)
        let features = try teacher.tokens(prepared, kind.takesNormed)
        try expect(features, Shape([images.shape[0]] + shape.extents), "features")
        return features
    }
}

extension TeacherEncoder {
    /// MAE's and CLIP's tokens are taken before their last norm.
    fileprivate var takesNormed: Bool { self != .mae && self != .clip }
}

/// Features of a file, `[N, T, Z]` in f32 or 16 bits, read a few rows at a time.
struct FeatureRows: Sendable {
    let shape: Shape
    private let dtype: DType
    private let view: ByteView

    static let name = "features"

    /// - Throws: `.shape`, `.dtype` for an array that is none of so many samples
    init(_ entry: ArchiveEntry, count: Int) throws(USPError) {
        try require(
            entry.shape.rank == 3 && entry.shape[0] == count && entry.shape.count > 0, .shape,
            "\(entry.name): \(entry.shape), expected [\(count), T, Z]")
        try require(
            [.float32, .float16, .bfloat16].contains(entry.dtype), .dtype,
            "\(entry.name): expected f32, f16 or bf16, got \(entry.dtype.name)")
        (shape, dtype) = (Shape(Array(entry.shape.extents.dropFirst())), entry.dtype)
        let bytes = try entry.bytes()
        view = bytes.isAligned(to: dtype.size) ? bytes : try ByteBuffer(bytes.bytes).view
    }

    /// `[B, T, Z]` f32 of samples that there are.
    func rows(_ indices: [Int]) throws(USPError) -> Tensor {
        let result = try Tensor(Shape([indices.count] + shape.extents))
        let size = shape.count * dtype.size
        defer { withExtendedLifetime(view.owner) {} }
        for (place, index) in indices.enumerated() {
            // SAFETY: for reading only; `gathered` copies.
            let row = try StridedView(
                UnsafeMutableRawPointer(mutating: view.base + index * size), shape.extents,
                strides: [], dtype, Self.name)
            try result.detachedRows(place..<place + 1).copy(
                from: row.gathered(as: .float32).reshaped(Shape([1] + shape.extents)))
        }
        return result
    }
}
