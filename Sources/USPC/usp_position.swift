// Header section "position".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_position_sincos") @implementation public func usp_position_sincos(
    _ height: Int64, _ width: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_position_sincos") { () throws(USPError) in
        let rows = try cells(height, width, "grid")
        let target = try output(out, "out", [.extent(rows), "D"])
        try target.write(
            Positions.sincos(width: target.shape[1], grid: (Int(height), Int(width))))
    }
}

@_cdecl("usp_position_rope") @implementation public func usp_position_rope(
    _ height: Int64, _ width: Int64, _ outCos: UnsafeMutablePointer<usp_tensor>?,
    _ outSin: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_position_rope") { () throws(USPError) in
        let rows = try cells(height, width, "grid")
        let cosines = try output(outCos, "out_cos", [.extent(rows), "D"])
        let sines = try output(outSin, "out_sin", [.extent(rows), .extent(cosines.shape[1])])
        let table = try Positions.rope(
            width: cosines.shape[1], grid: (Int(height), Int(width)))
        try cosines.write(table.cos)
        try sines.write(table.sin)
    }
}

@_cdecl("usp_position_resize") @implementation public func usp_position_resize(
    _ table: UnsafePointer<usp_tensor>?, _ oldHeight: Int64, _ oldWidth: Int64,
    _ newHeight: Int64, _ newWidth: Int64, _ antialias: Int32,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_position_resize") { () throws(USPError) in
        let table = try tensor(table, "table", ["T", "D"])
        let leading = try table.shape[0] - cells(oldHeight, oldWidth, "old grid")
        let rows = try max(leading, 0) + cells(newHeight, newWidth, "new grid")
        let target = try output(out, "out", [.extent(rows), .extent(table.shape[1])])
        try target.write(
            Positions.resize(
                table, from: (Int(oldHeight), Int(oldWidth)), to: (Int(newHeight), Int(newWidth)),
                antialias: antialias != 0))
    }
}

private func cells(_ height: Int64, _ width: Int64, _ name: String) throws(USPError) -> Int {
    guard (1...1 << 20).contains(height), (1...1 << 20).contains(width) else {
        throw USPError(.argument, "\(name): \(height)x\(width), expected 1 to \(1 << 20) each")
    }
    return Int(height * width)
}
