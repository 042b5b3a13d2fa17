// The transfer against the published procedure's own results.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

let goldenPath: String = {
    "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Golden"
}()

/// The small USP pretraining checkpoint.
func pretrained() throws -> Archive { try Archive.open("\(goldenPath)/transfer/checkpoint-3.pth") }

/// Options with what the small checkpoint does not tell.
func transferOptions(_ target: TransferTarget) -> TransferOptions {
    var options = TransferOptions(to: target)
    options.heads = 2
    options.decoderHeads = 2
    return options
}

func transformer(_ golden: GoldenCase, returnsSigma: Bool = true) -> DiT.Configuration {
    let config = golden.config
    func integer(_ key: String) -> Int { config[key] as? Int ?? 0 }
    let side = integer("image") / integer("patch")
    return DiT.Configuration(
        grid: Grid(side, side), channels: integer("channels"), patch: integer("patch"),
        width: integer("width"), depth: integer("depth"), heads: integer("heads"),
        classes: integer("classes"), returnsSigma: returnsSigma,
        affine: config["affine"] as? Bool ?? false)
}

func floats(_ entry: ArchiveEntry) throws -> [Float] {
    let view = try entry.bytes()
    return withExtendedLifetime(view.owner) { Array(view.bytes.bindMemory(to: Float.self)) }
}

@Test(
    arguments: [
        "full", "partial_1", "partial_0", "same_grid", "other_channels", "without_affine",
        "grid_512",
    ],
    [true, false])
func goldenTransfer(_ name: String, _ returnsSigma: Bool) throws {
    let golden = try GoldenCase("transfer/\(name)")
    let full = try GoldenCase("transfer/full")
    var options = transferOptions(
        .configuration(transformer(golden, returnsSigma: returnsSigma)))
    options.layers = golden.config["keep_blocks"] as? Int
    let plan = try TransferPlan(try pretrained(), options)
    let loaded = Set(golden.line["loaded"] as? [String] ?? [])
    #expect(Set(plan.entries.filter(\.isTransferred).map(\.name)) == loaded)
    let fresh = Set(golden.line["fresh"] as? [String] ?? [])
    #expect(Set(plan.entries.filter { !$0.isTransferred }.map(\.name)) == fresh)
    let dropped = Set(golden.line["dropped"] as? [String] ?? [])
    let left = Set(plan.left.map(\.name))
    let gone = dropped.subtracting([
        "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias",
    ])
    #expect(gone.isSubset(of: left), "\(gone.subtracting(left))")
    for entry in try plan.arrays() where loaded.contains(entry.name) {
        let values = try floats(entry)
        let (actual, expected) = try #require(
            golden.kept(values, "out", entry.name) ?? full.kept(values, "out", entry.name))
        let isResampled = entry.name == "pos_embed" && name != "same_grid"
        if isResampled {
            #expect(relativeError(actual, expected) < 1e-6)
        } else {
            #expect(actual == expected, "\(entry.name)")
        }
    }
}

@Test(arguments: ViT.Pool.allCases)
func goldenClassifier(_ pool: ViT.Pool) throws {
    let golden = try GoldenCase("transfer/classifier")
    var options = transferOptions(.named("ViT"))
    options.grid = Grid(8, 8)
    options.pool = pool
    let plan = try TransferPlan(try pretrained(), options)
    let loaded = golden.line[pool == .token ? "loaded_token" : "loaded_average"] as? [String] ?? []
    #expect(Set(plan.entries.filter(\.isTransferred).map(\.name)) == Set(loaded))
    let fresh = golden.line[pool == .token ? "fresh_token" : "fresh_average"] as? [String] ?? []
    #expect(Set(plan.entries.filter { !$0.isTransferred }.map(\.name)) == Set(fresh))
    let entries = try plan.arrays()
    let table = try #require(entries.first { $0.name == "pos_embed" })
    #expect(relativeError(try floats(table), try golden.values("out.pos_embed")) < 1e-6)
    let source = try pretrained().table("model")
    for entry in entries where loaded.contains(entry.name) && entry.name != "pos_embed" {
        #expect(try entry.bytes().array == source[entry.name]?.bytes().array, "\(entry.name)")
    }
}
