// 3x3 convolutions for inference by Winograd's F(4x4, 3x3) over blocks of tiles, with the
// normalisation and activation that come before and the residual that comes after.

import CKernels
import USPBase

/// A Winograd convolution of one tensor. Nothing is kept: kernels are transformed anew at each call,
/// so that weights exist once.
struct WinogradConvolution {
    let shape: ConvolutionShape
    let x: Tensor
    let weight: Tensor
    let bias: Tensor?
    let residual: Tensor?
    /// `[B, 4, C]` maps of a group norm that comes first.
    let statistics: GroupNormStatistics?
    let silu: Bool

    /// Whether the sizes suit it: 3x3 at stride 1 over whole blocks of channels.
    static func suits(_ shape: ConvolutionShape, x: Tensor) -> Bool {
        shape.kernelHeight == 3 && shape.kernelWidth == 3 && shape.stride == 1
            && shape.inputs % USPI_WINOGRAD_BLOCK == 0 && shape.inputs >= 32
            && x.dtype == .float32
    }

    private var tilesY: Int { (shape.outHeight + 3) / 4 }
    private var tilesX: Int { (shape.outWidth + 3) / 4 }
    private var panels: Int { (shape.outputs + 31) / 32 }
    private var blocks: Int { shape.inputs / USPI_WINOGRAD_BLOCK }

    /// Tiles of a chunk: enough that reading the kernels costs less than the tiles themselves.
    private var wantedTiles: Int {
        let (c, o) = (shape.inputs, shape.outputs)
        return min(256, max(96, c * o / (2 * (c + o))))
    }

    /// - Returns: `[B, H', W', O]`
    /// - Complexity: 36/144 of the multiplications of the plain sum.
    func run() throws(USPError) -> Tensor {
        let y = try Tensor(shape.result)
        if y.count == 0 { return y }
        let chunks = ChunkGrid(
            images: shape.batch, tilesY: tilesY, tilesX: tilesX, wanted: wantedTiles)
        let most = chunks.images * chunks.rows * chunks.columns
        let (c, o) = (shape.inputs, shape.outputs)
        let kernelRow = uspi_winograd_kernel_row(c, o)
        let kernels = try Storage(byteCount: 36 * kernelRow * 4)
        transformKernels(kernels.base.assumingMemoryBound(to: Float.self), kernelRow)
        let v = try Storage(byteCount: 36 * uspi_winograd_v_row(c, most) * 4)
        let m = try Storage(byteCount: 36 * uspi_winograd_m_row(o, most) * 4)
        let stageBytes = (uspi_winograd_stage(chunks.rows, chunks.columns) * 4 + 127) / 64 * 64
        let cuts = min(blocks, 2 * ThreadPool.shared.threads)
        let stages = try Storage(byteCount: stageBytes * cuts)
        var job = job(into: y)
        job.kernels = UnsafePointer(kernels.base.assumingMemoryBound(to: Float.self))
        job.kernel_row = kernelRow
        job.v = v.base.assumingMemoryBound(to: Float.self)
        job.m = m.base.assumingMemoryBound(to: Float.self)
        for index in 0..<chunks.count {
            chunks.place(index, in: &job)
            let tiles = job.images * job.tiles_y * job.tiles_x
            job.v_row = uspi_winograd_v_row(c, tiles)
            job.m_row = uspi_winograd_m_row(o, tiles)
            run(job, stages: stages.base, stageBytes, parts: cuts)
        }
        return y
    }

    /// One chunk: input transform by blocks of channels, products by points, output transform.
    private func run(
        _ job: uspi_winograd, stages: UnsafeMutableRawPointer, _ stageBytes: Int, parts: Int
    ) {
        let rows = job.images * job.tiles_y
        let (panels, blocks) = (panels, blocks)
        withUnsafePointer(to: job) { job in
            ThreadPool.shared.run(parts: parts) { part in
                let stage = stages + part * stageBytes
                for block in blocks * part / parts..<blocks * (part + 1) / parts {
                    uspi_winograd_input(job, block, stage.assumingMemoryBound(to: Float.self))
                }
            }
            ThreadPool.shared.run(parts: 36) { uspi_winograd_product(job, $0) }
            let cuts = min(rows, 4)
            ThreadPool.shared.run(parts: panels * cuts) { part in
                let (panel, cut) = part.quotientAndRemainder(dividingBy: cuts)
                uspi_winograd_output(job, panel, rows * cut / cuts, rows * (cut + 1) / cuts)
            }
        }
    }

    private func transformKernels(_ kernels: UnsafeMutablePointer<Float>, _ row: Int) {
        let (weight, c, o) = (weight.floats, shape.inputs, shape.outputs)
        let panels = panels
        parallelRanges(blocks * panels, grain: 4) { range in
            for index in range {
                let (panel, block) = index.quotientAndRemainder(dividingBy: blocks)
                uspi_winograd_kernel(weight, o, c, block, panel, kernels, row)
            }
        }
    }

    private func job(into y: Tensor) -> uspi_winograd {
        var job = uspi_winograd()
        job.x = UnsafePointer(x.floats)
        (job.height, job.width, job.channels) = (shape.height, shape.width, shape.inputs)
        job.upsample = shape.upsample
        (job.pad_top, job.pad_left) = (shape.padding.top, shape.padding.left)
        if let statistics {
            job.scale = UnsafePointer(statistics.map(0, 0, channels: shape.inputs))
            job.shift = UnsafePointer(statistics.map(0, 1, channels: shape.inputs))
            job.map_row = 4 * shape.inputs
        }
        job.silu = silu ? 1 : 0
        job.y = y.floats
        (job.out_height, job.out_width, job.outputs) = (shape.outHeight, shape.outWidth, shape.outputs)
        job.bias = bias.map { UnsafePointer($0.floats) }
        job.residual = residual.map { UnsafePointer($0.floats) }
        return job
    }
}

/// How all tiles are cut into chunks: rectangles of one image, or several whole small images.
private struct ChunkGrid {
    let images, rows, columns: Int
    private let allImages, tilesY, tilesX: Int

    init(images all: Int, tilesY: Int, tilesX: Int, wanted: Int) {
        (allImages, self.tilesY, self.tilesX) = (all, tilesY, tilesX)
        let across = max(1, (tilesX + 15) / 16)
        columns = (tilesX + across - 1) / across
        let down = max(1, (tilesY * columns + wanted - 1) / wanted)
        rows = (tilesY + down - 1) / down
        images = columns == tilesX && rows == tilesY ? max(1, min(all, wanted / (rows * columns))) : 1
    }

    private var down: Int { (tilesY + rows - 1) / rows }
    private var across: Int { (tilesX + columns - 1) / columns }
    var count: Int { (allImages + images - 1) / images * down * across }

    func place(_ index: Int, in job: inout uspi_winograd) {
        let (rest, column) = index.quotientAndRemainder(dividingBy: across)
        let (group, row) = rest.quotientAndRemainder(dividingBy: down)
        (job.image, job.images) = (group * images, min(images, allImages - group * images))
        (job.tile_y, job.tiles_y) = (row * rows, min(rows, tilesY - row * rows))
        (job.tile_x, job.tiles_x) = (column * columns, min(columns, tilesX - column * columns))
    }
}
