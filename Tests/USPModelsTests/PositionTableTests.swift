// Position tables against the originals' and PyTorch's resampling; preset names.

import TestSupport
import Testing
import USPBase
import USPModels

@Suite struct PositionTableTests {
    @Test(arguments: [("8x8", 8, 8, 0), ("4x6", 4, 6, 0), ("8x8_with_class", 8, 8, 1)])
    func sincos(_ name: String, _ height: Int, _ width: Int, _ leading: Int) throws {
        let golden = try GoldenCase("positions/sincos")
        let table = try PositionTable.sincos(
            width: 48, grid: Grid(height, width), leading: leading)
        #expect(relativeError(table, try golden.values("out.\(name)")) < 1e-6)
    }

    @Test(arguments: [
        "14x14_to_14x14", "14x14_to_16x16", "14x14_to_32x32", "16x16_to_14x14", "7x5_to_4x9",
        "7x7_to_8x8",
    ])
    func resize(_ name: String) throws {
        let golden = try GoldenCase("positions/bicubic")
        let grids = name.split(separator: "_").filter { $0 != "to" }.map { part in
            let sides = part.split(separator: "x").compactMap { Int($0) }
            return Grid(sides[0], sides[1])
        }
        let table = try golden.values("in.\(grids[0])")
        let plain = try PositionTable.resize(table, width: 6, from: grids[0], to: grids[1])
        #expect(relativeError(plain, try golden.values("out.\(name)")) < 1e-6)
        let smooth = try PositionTable.resize(
            table, width: 6, from: grids[0], to: grids[1], .antialiased)
        #expect(relativeError(smooth, try golden.values("out.antialiased.\(name)")) < 1e-6)
        let row: [Float] = [1, 2, 3, 4, 5, 6]
        let withClass = try PositionTable.resize(
            row + table, width: 6, from: grids[0], to: grids[1], leading: 1)
        #expect(withClass == row + plain)
    }

    @Test(arguments: [(24, 4, 5), (64, 16, 16), (72, 7, 7)])
    func rope(_ width: Int, _ height: Int, _ columns: Int) throws {
        let golden = try GoldenCase("positions/rope_\(width)_\(height)x\(columns)")
        let table = try PositionTable.rope(width: width, grid: Grid(height, columns))
        #expect(relativeError(table.cos, try golden.values("out.cos")) < 2e-6)
        #expect(relativeError(table.sin, try golden.values("out.sin")) < 2e-6)
        #expect(throws: USPError.self) {
            try PositionTable.rope(width: width + 2, grid: Grid(height, columns))
        }
    }

    @Test func refusesBadTables() {
        #expect(throws: USPError.self) {
            try PositionTable.resize([1, 2], width: 1, from: Grid(1, 1), to: Grid(2, 2))
        }
        #expect(throws: USPError.self) {
            try PositionTable.sincos(width: 6, grid: Grid(2, 2))
        }
        #expect(throws: USPError.self) {
            try PositionTable.sincos(width: 8, grid: Grid(1 << 40, 1 << 40))
        }
    }

    @Test(arguments: [
        ("DiT-S/2", 32.96), ("DiT-B/2", 130.51), ("DiT-L/2", 458.10), ("DiT-XL/2", 675.13),
        ("SiT-XL/2", 675.13), ("DiT-XL/2-VAE-simple", 675.26), ("DiT-B/2-VAE-simple", 130.55),
    ])
    func publishedDiffusionSizes(_ name: String, _ millions: Double) throws {
        let configuration = try DiT.Configuration(named: name)
        let count = try configuration.specs().reduce(0) { $0 + $1.shape.count }
        #expect(abs(Double(count) / 1e6 - millions) < 0.006)
    }

    @Test(arguments: [
        ("MAE-B/2", 85.22 + 25.72), ("MAE-L/2", 302.53 + 25.85), ("MAE-XL/2", 446.58 + 25.92),
        ("MAE-H/2", 629.96 + 25.99),
    ])
    func publishedAutoencoderSizes(_ name: String, _ millions: Double) throws {
        let configuration = try MaskedAutoencoder.Configuration(named: name)
        let count = try configuration.specs().reduce(0) { $0 + $1.shape.count }
        #expect(abs(Double(count) / 1e6 - millions) < 0.02)
    }

    @Test func everyNameIsAModelAndUnknownOnesSuggest() throws {
        for name in Family.presetNames { try Family.configuration(named: name).check() }
        do {
            _ = try Family.configuration(named: "dit-xl2")
            Issue.record("found dit-xl2")
        } catch {
            #expect(error.message.contains("DiT-XL/2?"))
        }
        #expect(Presets.heads(width: 1152) == 16)
        #expect(Presets.heads(width: 48) == nil)
    }
}
