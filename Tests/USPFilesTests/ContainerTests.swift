// Every container of Tests/Golden against its contents as PyTorch and NumPy see them.

import Testing
import USPBase
import USPFiles

struct ContainerCase: CustomStringConvertible, Sendable {
    let name: String
    let file: String
    let expected: String
    var description: String { name }

    static let all: [ContainerCase] = {
        guard let file = try? ByteView.file("\(goldenFolder)/MANIFEST.json"),
            let manifest = try? JSON(parsing: file, "manifest")
        else { return [] }
        return (manifest.members ?? []).compactMap { member in
            guard member.value["kind"]?.text == "container", let file = member.value["file"]?.text,
                let expected = member.value["expected"]?.text
            else { return nil }
            return ContainerCase(name: member.key, file: file, expected: expected)
        }
    }()
}

@Test(arguments: ContainerCase.all)
func goldenContainer(_ containerCase: ContainerCase) throws {
    let archive = try Archive.open("\(goldenFolder)/\(containerCase.file)")
    let expected = try Archive.open("\(goldenFolder)/\(containerCase.expected)")
    let found = try contents(archive)
    var names: Set<String> = []
    for (name, content) in try contents(expected) {
        let plain = String(name.map { $0 == "/" ? "." : $0 })
        let own = plain.isEmpty ? (archive.format == .npy ? "array" : "tensor") : plain
        names.insert(own)
        #expect(found[own] == content, "\(own)")
    }
    #expect(Set(found.keys) == names)
}

@Test func allContainersAreListed() {
    #expect(ContainerCase.all.count >= 27)
}

@Test func trainingFileHasTables() throws {
    let archive = try Archive.open("\(goldenFolder)/containers/training.pth")
    #expect(archive.format == .torch)
    #expect(archive.tables.map(\.name).prefix(3) == ["model", "ema", "opt"])
    let model = try archive.table("model")
    #expect(model.entries.map(\.name) == ["blocks.0.norm1.weight", "blocks.0.attn.qkv.weight"])
    #expect(try archive.table("opt.state").contains("0.exp_avg"))
    #expect(archive.metadataValue("text") == "caf\u{e9}")
    #expect(archive.metadataValue("wide") == "1099511627776")
    let skipped = Dictionary(uniqueKeysWithValues: archive.skipped.map { ($0.name, $0.reason) })
    // Arguments of a command are plain values.
    #expect(archive.metadataValue("args.model") == "DiT-B/2" && skipped["args"] == nil)
    #expect(throws: USPError.self) { try archive.table("nothing") }
}

@Test func prefixIsATable() throws {
    let archive = try Archive.open("\(goldenFolder)/containers/stable_diffusion.pth")
    let table = try archive.table("first_stage_model")
    #expect(table.contains("encoder.conv_in.weight"))
    #expect(try archive.table("state_dict.first_stage_model").entries.count == table.entries.count)
}

@Test(
    .enabled(if: realFolder != nil),
    arguments: ["taef2_decoder.pth", "taesana_encoder.pth", "vavae_f16d32_latents.pt"])
func realFile(_ name: String) throws {
    let realFolder = try #require(realFolder)
    let archive = try Archive.open("\(realFolder)/\(name)")
    #expect(!archive.entries.isEmpty)
    for entry in archive.entries {
        let plain = try entry.plainBytes
        #expect(plain?.isAligned(to: 64) == true)
        #expect(try entry.bytes().count == entry.byteCount)
    }
}

/// Trained values as they should be: finite, and latents of about their known size.
@Test(.enabled(if: realFolder != nil)) func realValues() throws {
    let realFolder = try #require(realFolder)
    let latents = try Archive.open("\(realFolder)/vavae_f16d32_latents.pt").entries[0]
    let values = try latents.bytes().bytes.bindMemory(to: Float.self)
    #expect(latents.dtype == .float32 && values.allSatisfy { abs($0) < 100 })
    let square = values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(values.count)
    #expect(square > 0.1 && square < 100)
    for name in ["taef2_decoder.pth", "taesana_encoder.pth"] {
        for entry in try Archive.open("\(realFolder)/\(name)").entries {
            let words = try entry.bytes().bytes.bindMemory(to: UInt16.self)
            #expect(words.allSatisfy { $0 & 0x7C00 != 0x7C00 }, "\(entry.name)")
        }
    }
}
