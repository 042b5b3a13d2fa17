// Header section "augment".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_augment_operation") @implementation public func usp_augment_operation(
    _ name: UnsafePointer<CChar>?, _ argument: Double, _ image: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_augment_operation") { () throws(USPError) in
        let name = try text(name, "name")
        let image = try view(image, "image", ["H", "W", 3], .uint8)
        let out = try output(out, "out", axes(image.shape), .uint8)
        try out.write(
            Augment.operation(image.tensor(), name, argument.isNaN ? nil : argument))
    }
}

@_cdecl("usp_augment_level") @implementation public func usp_augment_level(
    _ name: UnsafePointer<CChar>?, _ magnitude: Double, _ out: UnsafeMutablePointer<Double>?
) -> usp_status {
    guarded("usp_augment_level") { () throws(USPError) in
        let out = try result(out, "out")
        out.pointee = try Augment.level(text(name, "name"), magnitude) ?? .nan
    }
}

@_cdecl("usp_augment_random") @implementation public func usp_augment_random(
    _ image: UnsafePointer<usp_tensor>?, _ options: UnsafePointer<usp_rand_augment_options>?,
    _ seed: UInt64, _ sample: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_augment_random") { () throws(USPError) in
        let policy = try USPC.options(options, RandAugment.self, usp_rand_augment_options())
        let image = try view(image, "image", ["H", "W", 3], .uint8)
        let out = try output(out, "out", axes(image.shape), .uint8)
        try out.write(
            Augment.random(image.tensor(), policy.options, seed: seed, sample: Int(sample)))
    }
}

@_cdecl("usp_augment_evaluation") @implementation public func usp_augment_evaluation(
    _ image: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_augment_evaluation") { () throws(USPError) in
        let image = try view(image, "image", ["H", "W", "C"], .uint8)
        let out = try output(out, "out", ["size", "size", 3], .uint8)
        let size = out.shape[0]
        try require(
            size == out.shape[1] && (1...14336).contains(size), .shape,
            "out: shape \(out.shape), expected [size, size, 3] of 1 to 14336")
        try out.write(Augment.evaluation(image.tensor(), size: size))
    }
}

@_cdecl("usp_augment_erase") @implementation public func usp_augment_erase(
    _ images: UnsafePointer<usp_tensor>?, _ options: UnsafePointer<usp_erasing_options>?,
    _ seed: UInt64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_augment_erase") { () throws(USPError) in
        let erasing = try USPC.options(options, RandomErasing.self, usp_erasing_options())
        let images = try tensor(images, "images", ["B", "C", "H", "W"])
        let out = try output(out, "out", axes(images.shape))
        try out.write(Augment.erase(images, erasing.options, seed: seed))
    }
}

@_cdecl("usp_augment_mix") @implementation public func usp_augment_mix(
    _ samples: UnsafePointer<usp_tensor>?, _ labels: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mixing_options>?, _ seed: UInt64,
    _ outSamples: UnsafeMutablePointer<usp_tensor>?,
    _ outTargets: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_augment_mix") { () throws(USPError) in
        let mixing = try USPC.options(options, Mixing.self, usp_mixing_options())
        let samples = try tensor(samples, "samples", ["B", "C", "H", "W"])
        let batch = Axis.extent(samples.shape[0])
        let labels = try integers(labels, "labels", [batch])
        let outSamples = try output(outSamples, "out_samples", axes(samples.shape))
        let outTargets = try output(outTargets, "out_targets", [batch, "K"])
        let mixed = try Augment.mix(
            samples, labels: labels, classes: outTargets.shape[1], mixing.options, seed: seed)
        try outSamples.write(mixed.samples)
        try outTargets.write(mixed.targets)
    }
}
