// A masked autoencoder becomes a masked autoregressive model: which tensors, and with what values.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor
import USPTransfer

private let sizes = "grid=4 channels=4 patch=2 width=16 depth=2 heads=2"

/// All parameters random, tables of positions too.
private func masked(_ decoder: String, _ own: String = sizes) throws -> any Model {
    let model = try createModel("MAE", "\(own) \(decoder)", seed: 3)
    for name in model.weights.names {
        let weight = try model.weights[name]
        try weight.copy(from: randomTensor(weight.shape, name, scale: 0.2))
    }
    return model
}

private func plan(
    _ source: any Model, _ to: String = "MAR", _ change: (inout TransferOptions) -> Void = { _ in }
) throws -> TransferPlan {
    var options = TransferOptions()
    (options.classes, options.buffer, options.headWidth) = (3, 2, 8)
    (options.headDepth, options.heads, options.decoderHeads) = (1, 2, 2)
    change(&options)
    return try TransferPlan(source.checkpoint(), to: to, options)
}

@Test func aFittingDecoderIsTaken() throws {
    let source = try masked("decoder_width=16 decoder_depth=2 decoder_heads=2")
    let plan = try plan(source) { $0.grid = Grid(4, 4) }
    let model = try #require(try loadModel(plan.apply()) as? MAR)
    #expect(model.configuration.decoderDepth == 2 && model.configuration.buffer == 2)
    func same(_ target: String, _ name: String) throws {
        #expect(try model.weights[target].values == source.weights[name].values, "\(target)")
    }
    try same("z_proj.weight", "patch_embed.proj.weight")
    try same("z_proj.bias", "patch_embed.proj.bias")
    for part in ["attn.qkv.weight", "norm1.bias", "mlp.fc2.weight"] {
        try same("encoder_blocks.1.\(part)", "blocks.1.\(part)")
        try same("decoder_blocks.1.\(part)", "decoder_blocks.1.\(part)")
    }
    for name in ["decoder_embed.weight", "mask_token", "decoder_norm.weight"] {
        try same(name, name)
    }
    try same("encoder_norm.weight", "norm.weight")
    for (target, name) in [("encoder", "pos_embed"), ("decoder", "decoder_pos_embed")] {
        let table = try model.weights["\(target)_pos_embed_learned"].values
        #expect(
            Array(table.dropFirst(2 * 16)) == Array(try source.weights[name].values.dropFirst(16)))
        #expect(
            table.prefix(32).allSatisfy { abs($0) < 0.2 } && table.prefix(32).contains { $0 != 0 })
    }
    let fresh = plan.entries.filter { !$0.isTransferred }.map(\.name)
    #expect(
        fresh.allSatisfy {
            $0.hasPrefix("diffloss.") || $0.hasPrefix("z_proj_ln.")
                || ["class_emb.weight", "fake_latent", "diffusion_pos_embed_learned"].contains($0)
        })
    #expect(
        Set(plan.left.map(\.name)).isSubset(of: [
            "cls_token", "decoder_pred.weight", "decoder_pred.bias",
        ]))
    // It runs.
    let latents = try randomTensor([2, 4, 8, 8], "latents")
    let mask = try Tensor([2, 16], (0..<32).map { $0 % 16 < 5 ? 0 : 1 })
    #expect(try model.condition(latents, labels: [0, 3], mask: mask).isFinite)
}

@Test func anotherDecoderIsLostByName() throws {
    let source = try masked("decoder_width=8 decoder_depth=1 decoder_heads=2")
    let lost = try plan(source)
    let entry = try #require(lost.entries.first { $0.name == "decoder_embed.weight" })
    #expect(entry.what.contains("the source's decoder is 8 wide, 1 blocks of 2 heads"))
    #expect(lost.left.contains { $0.name == "decoder_embed.weight" })
    let resized = try plan(source) { $0.grid = Grid(6, 6) }
    let table = try #require(resized.entries.first { $0.name == "encoder_pos_embed_learned" })
    #expect(table.what.contains("resampled bicubically 4x4 -> 6x6"))
    #expect(try loadModel(resized.apply()).configuration.text.contains("grid=6x6"))
    let fresh = try plan(try masked("decoder_width=16 decoder_depth=2 decoder_heads=2")) {
        $0.decoderRule = "fresh"
    }
    #expect(!fresh.entries.contains { $0.name.hasPrefix("decoder_") && $0.isTransferred })
}

@Test func laterBlocksGoOnAsTheDecoder() throws {
    let deep = "grid=16 channels=16 patch=1 width=768 depth=14 heads=12 mlp_ratio=0.01"
    let source = try createModel("MAE", "\(deep) decoder_width=0", seed: 1)
    var target = try MAR.Configuration(named: "MAR-B")
    (target.mlpRatio, target.classes, target.headWidth, target.headDepth) = (0.01, 2, 8, 1)
    var options = TransferOptions(to: .configuration(target))
    options.decoderRule = "continue"
    let plan = try TransferPlan(source.checkpoint().selected, options)
    func origin(_ name: String) -> String {
        plan.entries.first { $0.name == name }?.sources.joined() ?? ""
    }
    #expect(origin("encoder_blocks.11.attn.qkv.weight") == "blocks.11.attn.qkv.weight")
    #expect(origin("decoder_blocks.0.attn.qkv.weight") == "blocks.12.attn.qkv.weight")
    #expect(origin("decoder_blocks.1.mlp.fc1.bias") == "blocks.13.mlp.fc1.bias")
    #expect(origin("decoder_blocks.2.mlp.fc1.bias").isEmpty && origin("encoder_norm.bias").isEmpty)
}

@Test func whatBecomesNoAutoregressiveModelIsRefused() throws {
    func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing was refused"
        } catch let error as USPError { return error.message } catch { return "\(error)" }
    }
    let flow = try createModel("SiT", "grid=4 width=16 depth=1 heads=2 classes=3")
    #expect(message { _ = try plan(flow) }.contains("starts from plain blocks"))
    let mar = try createModel(
        "MAR",
        "grid=4 channels=4 width=16 depth=1 heads=2 buffer=2 classes=3 head_width=8 head_depth=1")
    #expect(
        message { _ = try TransferPlan(mar.checkpoint(), to: "SiT") }
            .contains("a MAR becomes no other family"))
    var options = TransferOptions()
    options.buffer = 3
    let source = try masked("decoder_width=0")
    #expect(
        message { _ = try TransferPlan(source.checkpoint(), to: "SiT", options) }
            .contains("buffer: has no part in"))
    #expect(message { _ = try plan(source, "MAR-B") }.contains("the source is 16 wide"))
}
