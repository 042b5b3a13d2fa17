// 3x3 convolutions by Winograd's F(4x4, 3x3) over chunks of tiles, with the normalisation and
// activation that come before and the residual that comes after.

import CKernels
import USPBase

/// Sizes of one application of the method: a convolution, or its input gradient, which is one too.
struct WinogradShape {
    let batch, height, width, channels: Int
    let outHeight, outWidth, outputs: Int
    let upsample, padTop, padLeft: Int
    /// Whether the weight's first axis is the channels, and its taps run backwards.
    let isTransposed: Bool

    /// The convolution itself; nil if the method does not apply or does not pay.
    init?(_ shape: ConvolutionShape) {
        guard shape.kernelHeight == 3, shape.kernelWidth == 3, shape.stride == 1 else { return nil }
        self.init(
            batch: shape.batch, source: (shape.height, shape.width, shape.inputs),
            result: (shape.outHeight, shape.outWidth, shape.outputs), upsample: shape.upsample,
            padTop: shape.padding.top, padLeft: shape.padding.left, isTransposed: false)
    }

    /// The input gradient of a convolution without doubling: kernels turned round, the rest of the
    /// kernel's width as padding.
    init?(inputGradient shape: ConvolutionShape) {
        guard shape.kernelHeight == 3, shape.kernelWidth == 3, shape.stride == 1,
            shape.upsample == 1
        else { return nil }
        self.init(
            batch: shape.batch, source: (shape.outHeight, shape.outWidth, shape.outputs),
            result: (shape.height, shape.width, shape.inputs), upsample: 1,
            padTop: 2 - shape.padding.top, padLeft: 2 - shape.padding.left, isTransposed: true)
    }

    private init?(
        batch: Int, source: (Int, Int, Int), result: (Int, Int, Int), upsample: Int, padTop: Int,
        padLeft: Int, isTransposed: Bool
    ) {
        self.batch = batch
        (height, width, channels) = source
        (outHeight, outWidth, outputs) = result
        (self.upsample, self.padTop, self.padLeft) = (upsample, padTop, padLeft)
        self.isTransposed = isTransposed
        // Products of whole tiles against those of the plain sum.
        let products = 36 * tilesY * tilesX
        guard channels % USPI_WINOGRAD_BLOCK == 0, batch > 0,
            products * 5 <= 27 * outHeight * outWidth
        else { return nil }
    }

    var tilesY: Int { (outHeight + 3) / 4 }
    var tilesX: Int { (outWidth + 3) / 4 }
    var panels: Int { (outputs + 31) / 32 }
    var blocks: Int { channels / USPI_WINOGRAD_BLOCK }
    var kernelRow: Int { uspi_winograd_kernel_row(channels, outputs) }

    /// Whether the transformed kernels are small enough that each thread may take chunks of its
    /// own, rather than all threads one chunk together.
    var hasSmallKernels: Bool { channels * outputs <= 1 << 14 }

    /// Enough tiles that reading the kernels costs less than the tiles themselves.
    var chunks: WinogradChunks {
        let wanted = min(256, max(112, channels * outputs / (2 * (channels + outputs))))
        return WinogradChunks(images: batch, tilesY: tilesY, tilesX: tilesX, wanted: wanted)
    }

    /// Threads that take chunks of their own; 1 means that all share each chunk.
    var workers: Int {
        let threads = ThreadPool.shared.threads
        return hasSmallKernels && chunks.count >= 2 * threads ? threads : 1
    }

    var weight: uspi_winograd_weight {
        let (outer, inner) = (9 * (isTransposed ? outputs : channels), 9)
        return uspi_winograd_weight(
            outputs: outputs, channels: channels, output_row: isTransposed ? inner : outer,
            channel_row: isTransposed ? outer : inner, flipped: isTransposed ? 1 : 0)
    }

    /// The kernels' description of x (normalised on the way in, perhaps) and y.
    func job(
        _ x: Tensor, _ norm: (statistics: GroupNormStatistics, silu: Bool)?, _ y: ImageChannels
    ) -> uspi_winograd {
        var job = uspi_winograd()
        job.x = UnsafePointer(x.floats)
        (job.height, job.width, job.channels) = (height, width, channels)
        (job.upsample, job.pad_top, job.pad_left) = (upsample, padTop, padLeft)
        if let norm {
            job.scale = UnsafePointer(norm.statistics.map(0, 0, channels: channels))
            job.shift = UnsafePointer(norm.statistics.map(0, 1, channels: channels))
            job.map_row = 4 * channels
            job.silu = norm.silu ? 1 : 0
        }
        (job.y, job.y_row) = (y.pointer, y.row)
        (job.out_height, job.out_width, job.outputs) = (outHeight, outWidth, outputs)
        job.kernel_row = kernelRow
        return job
    }
}

/// How all tiles are cut into chunks: rectangles of one image, or several whole small images.
struct WinogradChunks {
    let images, rows, columns: Int
    private let allImages, tilesY, tilesX: Int

    init(images all: Int, tilesY: Int, tilesX: Int, wanted: Int) {
        (allImages, self.tilesY, self.tilesX) = (all, tilesY, tilesX)
        let across = max(1, (tilesX + 15) / 16)
        columns = (tilesX + across - 1) / across
        let down = max(1, (tilesY * columns + wanted - 1) / wanted)
        rows = (tilesY + down - 1) / down
        images =
            columns == tilesX && rows == tilesY ? max(1, min(all, wanted / (rows * columns))) : 1
    }

    private var down: Int { (tilesY + rows - 1) / rows }
    private var across: Int { (tilesX + columns - 1) / columns }
    var count: Int { (allImages + images - 1) / images * down * across }
    /// Tiles of the largest chunk.
    var tiles: Int { images * rows * columns }

    func place(_ index: Int, in job: inout uspi_winograd) {
        let (rest, column) = index.quotientAndRemainder(dividingBy: across)
        let (group, row) = rest.quotientAndRemainder(dividingBy: down)
        (job.image, job.images) = (group * images, min(images, allImages - group * images))
        (job.tile_y, job.tiles_y) = (row * rows, min(rows, tilesY - row * rows))
        (job.tile_x, job.tiles_x) = (column * columns, min(columns, tilesX - column * columns))
        let tiles = job.images * job.tiles_y * job.tiles_x
        job.v_row = uspi_winograd_v_row(job.channels, tiles)
        job.m_row = uspi_winograd_m_row(job.outputs, tiles)
    }
}

/// Transformed tiles of one chunk, and the stages of the threads.
struct WinogradWorkspace {
    let shape: WinogradShape
    let chunks: WinogradChunks
    private let v, m, stages: Storage
    private let stageBytes: Int
    /// Parts of the input transform; no result depends on it.
    private let inputParts: Int

    /// - isShared: whether all threads work on its chunk together
    init(_ shape: WinogradShape, isShared: Bool) throws(USPError) {
        self.shape = shape
        chunks = shape.chunks
        v = try Storage(byteCount: 36 * 4 * uspi_winograd_v_row(shape.channels, chunks.tiles))
        m = try Storage(byteCount: 36 * 4 * uspi_winograd_m_row(shape.outputs, chunks.tiles))
        stageBytes = (uspi_winograd_stage(chunks.rows, chunks.columns) * 4 + 127) / 64 * 64
        inputParts = isShared ? min(shape.blocks, 2 * ThreadPool.shared.threads) : 1
        stages = try Storage(byteCount: stageBytes * inputParts)
    }

    func attach(to job: inout uspi_winograd) {
        job.v = v.base.assumingMemoryBound(to: Float.self)
        job.m = m.base.assumingMemoryBound(to: Float.self)
    }

    /// Step 1, by blocks of channels.
    func transformInput(_ job: UnsafePointer<uspi_winograd>) {
        let (blocks, parts) = (shape.blocks, inputParts)
        ThreadPool.shared.run(parts: parts) { part in
            let stage = (stages.base + part * stageBytes).assumingMemoryBound(to: Float.self)
            for block in blocks * part / parts..<blocks * (part + 1) / parts {
                uspi_winograd_input(job, block, stage)
            }
        }
    }

    /// Calls the body for panels and ranges of tile rows, for all of them.
    func forOutputs(
        _ job: UnsafePointer<uspi_winograd>, _ body: (_ panel: Int, _ rows: Range<Int>) -> Void
    ) {
        let rows = job.pointee.images * job.pointee.tiles_y
        let cuts = min(rows, 4)
        ThreadPool.shared.run(parts: shape.panels * cuts) { part in
            let (panel, cut) = part.quotientAndRemainder(dividingBy: cuts)
            body(panel, rows * cut / cuts..<rows * (cut + 1) / cuts)
        }
    }
}
