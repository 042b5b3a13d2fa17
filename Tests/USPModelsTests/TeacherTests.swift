// Teachers of representation alignment against their own code: tokens of images of any size.

import TestSupport
import Testing
import USPBase
import USPModels
import USPTensor

@Suite struct TeacherTests {
    private func load(
        _ golden: GoldenCase, positions: PositionResampling? = nil
    ) throws -> ViT {
        var options = LoadOptions()
        options.heads = 3
        options.positions = positions
        return try ViT.load(try golden.paramsFile(), options)
    }

    /// Without registers by the scale factor, with them by size and antialiased, or as REPA asks.
    @Test(arguments: [("dinov2", PositionResampling.offset, 1), ("dinov2_reg", .antialiased, 5)])
    func tokensAreDINOv2s(_ name: String, _ rule: PositionResampling, _ leading: Int) throws {
        let golden = try GoldenCase("models/\(name)")
        let own = try load(golden)
        #expect(own.configuration.positions == rule && own.leading == leading)
        for key in ["own", "wide", "high", "antialias"] {
            let model = key == "antialias" ? try load(golden, positions: .antialiased) : own
            let images = try golden.tensor("in.\(key)")
            let tokens = try model.tokens(images)
            #expect(try golden.error(tokens.values, "\(key).tokens") < 1e-5)
            #expect(try golden.error(model.features(images).values, "\(key).class") < 1e-5)
            let all = try model.tokens(images, norm: false, leading: true)
            #expect(try golden.error(all.values, "\(key).prenorm") < 1e-5)
            let behind = try model.tokens(images, norm: true, leading: true)
            #expect(behind.shape[1] == leading + tokens.shape[1])
        }
        // What we write keeps the rule.
        var options = LoadOptions()
        options.heads = 3
        let again = try ViT.load(own.checkpoint(), options)
        #expect(again.configuration == own.configuration)
    }

    /// Where REPA takes them: MAE's before the last norm, the patches' alone, from the originals'
    /// training files.
    @Test(arguments: ["teacher_mae", "teacher_jepa", "teacher_moco"]) func otherTeachersAreREPAs(
        _ name: String
    ) throws {
        let golden = try GoldenCase("models/\(name)")
        let model = try load(golden)
        let tokens = try model.tokens(
            golden.tensor("in.images"), norm: name != "teacher_mae")
        #expect(try golden.error(tokens.values, "tokens") < 1e-5)
        #expect(model.leading == (name == "teacher_jepa" ? 0 : 1))
    }

    /// From OpenAI's file of both halves, and from a program of the half that sees.
    @Test func tokensAreCLIPs() throws {
        let golden = try GoldenCase("models/teacher_clip")
        let model = try load(golden)
        let sizes = model.configuration.transformer
        #expect(sizes.preNorm && sizes.activation == .geluQuick && sizes.epsilon == 1e-5)
        let images = try golden.tensor("in.images")
        let tokens = try model.tokens(images, norm: false)
        #expect(try golden.error(tokens.values, "tokens") < 1e-5)
        #expect(try golden.error(model.features(images).values, "class") < 1e-5)
        #expect(model.weights.notes.contains { $0.contains("gelu_quick") })
        var options = LoadOptions()
        options.heads = 3
        let program = try ViT.load(
            goldenFolder.appending(path: "models/teacher_clip_script.pt").path, options)
        #expect(try program.tokens(images, norm: false).values == tokens.values)
        let again = try ViT.load(model.checkpoint(), options)
        #expect(again.configuration == model.configuration)
        #expect(try again.tokens(images, norm: false).values == tokens.values)
        // OpenCLIP's own have another activation, which the names do not tell.
        options.activation = .geluErf
        let other = try ViT.load(try golden.paramsFile(), options)
        #expect(other.configuration.activation == .geluErf)
        #expect(!other.weights.notes.contains { $0.contains("gelu_quick") })
    }

    @Test func blocksInChunksAreBlocks() throws {
        let golden = try GoldenCase("models/dinov2")
        let plain = try Checkpoint.open(try golden.paramsFile())
        let chunked = try Checkpoint(
            plain.entries.map(\.name).map { (name) throws in
                let parts = name.split(separator: ".")
                let isBlock = parts[0] == "blocks"
                let new =
                    isBlock ? "blocks.\(parts[1]).\(parts[1...].joined(separator: "."))" : name
                return (name: new, tensor: try plain.tensor(name))
            })
        var options = LoadOptions()
        options.heads = 3
        let images = try golden.tensor("in.wide")
        let tokens = try ViT.load(chunked, options).tokens(images)
        #expect(try golden.error(tokens.values, "wide.tokens") < 1e-5)
    }

    @Test func whatHasNoTokensIsSaid() throws {
        func told(_ body: () throws -> Void) -> String? {
            #expect(throws: USPError.self, performing: body)?.message
        }
        let model = try load(GoldenCase("models/dinov2"))
        let odd = told { _ = try model.tokens(Tensor.zeros([1, 3, 20, 18])) }
        #expect(odd?.contains("multiples of the patch, 4") == true)
        var sizes = ViT.Configuration()
        (sizes.grid, sizes.width, sizes.depth, sizes.heads) = (Grid(2, 2), 16, 1, 2)
        sizes.pool = .avg
        let images = try Tensor.zeros([1, 4, 4, 4])
        let averaging = try ViT(sizes, seed: 0)
        #expect(told { _ = try averaging.tokens(images) }?.contains("norms averages") == true)
        #expect(try averaging.tokens(images, norm: false).shape == [1, 4, 16])
        sizes.rope = true
        let turned = try ViT(sizes, seed: 0)
        let other = told { _ = try turned.tokens(Tensor.zeros([1, 4, 8, 4]), norm: false) }
        #expect(other?.contains("rotary positions are of 2x2") == true)
    }
}
