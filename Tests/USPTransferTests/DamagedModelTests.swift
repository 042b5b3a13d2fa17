// Models with wrong names, shapes and types: loading and planning end in an error or in a result,
// never in a trap.

import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

private struct Damage {
    var stream = RandomStream(RandomKey(seed: 11))
    private let extents = [0, 1, 2, 3, 4, 7, 8, 16, 24, 48, 96, 4097, 1 << 20]

    mutating func shape() -> Shape {
        Shape((0..<stream.below(5)).map { _ in extents[stream.below(extents.count)] })
    }

    /// The entry unchanged, gone, renamed, of another type, or of another shape (with bytes that
    /// are there, however many it claims to be worth).
    mutating func damaged(_ entry: ArchiveEntry, _ names: [String]) throws -> ArchiveEntry? {
        switch stream.below(60) {
        case 0: return nil
        case 1: return entry.renamed(names[stream.below(names.count)])
        case 2, 3, 4:
            let shape = shape()
            guard shape.count * 4 <= 1 << 24 else { return entry }
            let bytes = try ByteBuffer(count: shape.count * 4)
            bytes.bytes.initializeMemory(as: UInt8.self, repeating: 1)
            return ArchiveEntry(entry.name, .float32, shape, bytes: bytes.view)
        case 5:
            let bytes = try ByteBuffer(count: entry.count * 8)
            bytes.bytes.initializeMemory(as: UInt8.self, repeating: 2)
            return ArchiveEntry(entry.name, .float64, entry.shape, bytes: bytes.view)
        default: return entry
        }
    }
}

private let configurations: [String?] = [
    nil, "", "heads=2", "heads=3 grid=7x7", "grid=65536x65536 width=65536", "depth=4096 heads=0",
    "mlp_ratio=64 epsilon=1e30", "base_width=65536 multipliers=64,64,64,64,64,64,64,64,64",
    "scale=1,2,3 shift=nan", "frequencies=65536 frequency_shift=65535", "classes=1000000", "=", "a",
]

@Test(
    arguments: [
        "transfer/checkpoint-3.pth", "models/dit_affine_params.safetensors",
        "models/dit_diffusers_params.safetensors", "models/vae_params.safetensors",
    ])
func damagedModels(_ file: String) throws {
    let archive = try Archive.open("\(goldenPath)/\(file)")
    let entries = archive.tables.first { $0.name == "model" || $0.name == "" }?.entries ?? []
    let names = entries.map(\.name)
    var damage = Damage()
    var outcomes: [String: Int] = [:]
    for _ in 0..<300 {
        var seen: Set<String> = []
        let damaged = try entries.compactMap { try damage.damaged($0, names) }.filter {
            seen.insert($0.name).inserted
        }
        // What a file says of itself may be anything, too.
        let family = ["VAE", "MAE", "ViT", "DiT", "SiT", "Inception", "none"][
            damage.stream.below(7)]
        let text = configurations[damage.stream.below(configurations.count)]
        let broken = Archive(
            path: "broken", format: .safetensors, tables: [try ArchiveTable("", damaged)],
            metadata: text.map { [("usp.family", family), ("usp.config", $0)] } ?? [])
        var load = LoadOptions()
        load.isStrict = damage.stream.below(2) == 0
        load.heads = [nil, 1, 2, 3, 5, -1][damage.stream.below(6)]
        load.decoderHeads = [nil, 2][damage.stream.below(2)]
        load.grid = [nil, Grid(7, 7), Grid(8, 8)][damage.stream.below(3)]
        func count(_ name: String, _ body: () throws(USPError) -> Void) {
            do throws(USPError) {
                try body()
                outcomes[name, default: 0] += 1
            } catch {
                outcomes["error", default: 0] += 1
                #expect(!error.message.isEmpty && error.kind != .internal, "\(error.message)")
            }
        }
        count("mae") { () throws(USPError) in _ = try MaskedAutoencoder.load(broken, load) }
        count("vit") { () throws(USPError) in
            var load = load
            load.pool = .avg
            _ = try ViT.load(broken, load)
        }
        count("dit") { () throws(USPError) in _ = try DiT.load(broken, load) }
        count("vae") { () throws(USPError) in _ = try VAE.load(broken, load) }
        for target in ["DiT", "ViT", "MAE", "SiT"] {
            count("transfer") { () throws(USPError) in
                var options = TransferOptions(to: .named(target))
                (options.heads, options.decoderHeads) = (load.heads, load.decoderHeads)
                options.channelRule = .repeat
                (options.patch, options.depthRule) = (1, .stride)
                _ = try TransferPlan(broken, options).arrays()
            }
        }
    }
    #expect(outcomes["error", default: 0] > 100 && outcomes.count > 1, "\(outcomes)")
}

/// A copy of more values than their place has would write behind it.
@Test(
    arguments: [
        ("transfer/checkpoint-3.pth", "DiT"), ("models/dit_affine_params.safetensors", "ViT"),
        ("models/dit_affine_params.safetensors", "SiT"),
    ])
func arraysOfOtherShapesAreNamed(_ file: String, _ target: String) throws {
    let archive = try Archive.open("\(goldenPath)/\(file)")
    let entries = archive.tables.first { $0.name == "model" || $0.name == "" }?.entries ?? []
    var named = 0
    for (index, entry) in entries.enumerated() where entry.shape.rank > 0 {
        let shape = Shape([entry.shape[0] + 1] + entry.shape.extents.dropFirst())
        let bytes = try ByteBuffer(count: shape.count * 8)
        bytes.bytes.initializeMemory(as: UInt8.self, repeating: 1)
        var damaged = entries
        damaged[index] = ArchiveEntry(entry.name, .float64, shape, bytes: bytes.view)
        let broken = Archive(
            path: "broken", format: .safetensors, tables: [try ArchiveTable("", damaged)],
            metadata: archive.metadata)
        do throws(USPError) {
            var options = TransferOptions(to: .named(target))
            options.heads = 3
            _ = try TransferPlan(broken, options).arrays()
            // One class more is another model.
            #expect(entry.name.contains("y_embedder"), "\(entry.name)")
        } catch {
            #expect(error.kind != .internal, "\(entry.name): \(error.message)")
            named += error.message.contains("\(shape)") ? 1 : 0
        }
    }
    #expect(named > entries.count / 2, "\(named) of \(entries.count)")
}
