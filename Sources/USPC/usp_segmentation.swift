// Header section "segmentation".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_segmentation_rescaled_size") @implementation
public func usp_segmentation_rescaled_size(
    _ height: Int64, _ width: Int64, _ shortSide: Int64, _ longSide: Int64,
    _ outHeight: UnsafeMutablePointer<Int64>?, _ outWidth: UnsafeMutablePointer<Int64>?
) -> usp_status {
    guarded("usp_segmentation_rescaled_size") { () throws(USPError) in
        let outHeight = try result(outHeight, "out_height")
        let outWidth = try result(outWidth, "out_width")
        let size = try ImageSize(Int(height), Int(width)).rescaled(
            short: Int(shortSide), long: Int(longSide))
        (outHeight.pointee, outWidth.pointee) = (Int64(size.height), Int64(size.width))
    }
}

@_cdecl("usp_segmentation_resize") @implementation public func usp_segmentation_resize(
    _ image: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_resize") { () throws(USPError) in
        let image = try view(image, "image", ["H", "W", "C"], .uint8)
        let out = try output(out, "out", ["H'", "W'", .extent(image.shape[2])], .uint8)
        try out.write(
            Segmentation.resize(image.tensor(), to: ImageSize(out.shape[0], out.shape[1])))
    }
}

@_cdecl("usp_segmentation_resize_labels") @implementation
public func usp_segmentation_resize_labels(
    _ labels: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_resize_labels") { () throws(USPError) in
        let labels = try view(labels, "labels", ["H", "W"], .uint8)
        let out = try output(out, "out", ["H'", "W'"], .uint8)
        try out.write(
            Segmentation.resize(
                labels: labels.tensor(), to: ImageSize(out.shape[0], out.shape[1])))
    }
}

@_cdecl("usp_segmentation_reduce_zero_label") @implementation
public func usp_segmentation_reduce_zero_label(
    _ labels: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_reduce_zero_label") { () throws(USPError) in
        let labels = try view(labels, "labels", ["H", "W"], .uint8)
        let out = try output(out, "out", axes(labels.shape), .uint8)
        try out.write(Segmentation.reduceZeroLabel(labels.tensor()))
    }
}

@_cdecl("usp_segmentation_distort") @implementation public func usp_segmentation_distort(
    _ image: UnsafePointer<usp_tensor>?, _ options: UnsafePointer<usp_distortion_options>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_distort") { () throws(USPError) in
        let wanted = try USPC.options(
            options, PhotometricDistortion.self, usp_distortion_options())
        let image = try view(image, "image", ["H", "W", 3], .uint8)
        let out = try output(out, "out", axes(image.shape), .uint8)
        try out.write(Segmentation.distort(image.tensor(), wanted.options))
    }
}

@_cdecl("usp_segmentation_sample") @implementation public func usp_segmentation_sample(
    _ image: UnsafePointer<usp_tensor>?, _ labels: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_segmentation_options>?, _ seed: UInt64, _ sample: Int64,
    _ outHeight: UnsafeMutablePointer<Int64>?, _ outWidth: UnsafeMutablePointer<Int64>?,
    _ outImage: UnsafeMutablePointer<usp_tensor>?, _ outLabels: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_sample") { () throws(USPError) in
        let wanted = try USPC.options(
            options, SegmentationTransform.self, usp_segmentation_options())
        let image = try view(image, "image", ["H", "W", "C"], .uint8)
        let labels = try view(
            labels, "labels", [.extent(image.shape[0]), .extent(image.shape[1])], .uint8)
        let made = try Segmentation.sample(
            image.tensor(), labels: labels.tensor(), wanted.options, seed: seed,
            sample: Int(sample))
        let imageTarget = try optionalOutput(outImage, "out_image", axes(made.image.shape), .uint8)
        let labelTarget = try optionalOutput(
            outLabels, "out_labels", axes(made.labels.shape), .uint8)
        outHeight?.pointee = Int64(made.labels.shape[0])
        outWidth?.pointee = Int64(made.labels.shape[1])
        try imageTarget?.write(made.image)
        try labelTarget?.write(made.labels)
    }
}

@_cdecl("usp_segmentation_window_count") @implementation
public func usp_segmentation_window_count(
    _ height: Int64, _ width: Int64, _ cropHeight: Int64, _ cropWidth: Int64,
    _ strideHeight: Int64, _ strideWidth: Int64, _ outCount: UnsafeMutablePointer<Int64>?
) -> usp_status {
    guarded("usp_segmentation_window_count") { () throws(USPError) in
        let outCount = try result(outCount, "out_count")
        let windows = try SlidingWindows(
            ImageSize(Int(height), Int(width)), crop: ImageSize(Int(cropHeight), Int(cropWidth)),
            stride: ImageSize(Int(strideHeight), Int(strideWidth)))
        outCount.pointee = Int64(windows.boxes.count)
    }
}

@_cdecl("usp_segmentation_windows") @implementation public func usp_segmentation_windows(
    _ height: Int64, _ width: Int64, _ cropHeight: Int64, _ cropWidth: Int64,
    _ strideHeight: Int64, _ strideWidth: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_windows") { () throws(USPError) in
        let windows = try SlidingWindows(
            ImageSize(Int(height), Int(width)), crop: ImageSize(Int(cropHeight), Int(cropWidth)),
            stride: ImageSize(Int(strideHeight), Int(strideWidth)))
        let out = try output(out, "out", [.extent(windows.boxes.count), 4], .int64)
        try out.write(windows.table())
    }
}

@_cdecl("usp_segmentation_stitch") @implementation public func usp_segmentation_stitch(
    _ windows: UnsafePointer<usp_tensor>?, _ boxes: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmentation_stitch") { () throws(USPError) in
        let all = try view(windows, "windows")
        try require(
            all.shape.rank >= 3, .shape, "windows: shape \(all.shape), expected [N, .., h, w]")
        let tensor = try tensor(windows, "windows", axes(all.shape))
        let numbers = try integers(boxes, "boxes", [.extent(all.shape[0]), 4])
        let inner = all.shape.extents[1..<all.shape.rank - 2].map(Axis.extent)
        let out = try output(out, "out", inner + ["H", "W"])
        let size = ImageSize(out.shape[inner.count], out.shape[inner.count + 1])
        try out.write(SlidingWindows.stitch(tensor, numbers: numbers, size))
    }
}
