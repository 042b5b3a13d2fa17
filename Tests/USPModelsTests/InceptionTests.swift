// The Inception network against torch-fidelity and pytorch-fid, and its files.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

@Suite struct InceptionTests {
    private static let network = Result {
        let parameters = try Parameters(Inception.specs())
        for (index, spec) in parameters.specs.enumerated() {
            try parameters[index].copy(from: hashedParameter(spec.name, spec.shape))
        }
        return try Inception(Inception.Configuration(), parameters)
    }

    private func images() throws -> Tensor {
        let golden = try GoldenCase("models/inception")
        let values = try golden.indices("in.images")
        let result = try Tensor([2, 24, 18, 3], .uint8)
        let target = result.raw.assumingMemoryBound(to: UInt8.self)
        for (i, value) in values.enumerated() { target[i] = UInt8(value) }
        return result
    }

    @Test(arguments: [false, true]) func matchesTorchFidelity(exact: Bool) throws {
        let (golden, network) = (try GoldenCase("models/inception"), try Self.network.get())
        let found = try network.features(images(), in: Context(exact: exact))
        for (name, actual) in [
            ("pool", found.pool), ("spatial", found.spatial), ("logits", found.logits),
        ] {
            let error = try golden.error(actual.values, name)
            #expect(error < 1e-5, "\(name): \(error)")
        }
    }

    @Test func matchesPytorchFID() throws {
        let (golden, network) = (try GoldenCase("models/inception"), try Self.network.get())
        let found = try network.features(images(), input: .pytorchFID, in: Context())
        #expect(try golden.error(found.pool.values, "pytorch_fid") < 1e-5)
        #expect(try golden.error(found.pool.values, "pool") > 1e-3)
    }

    @Test func oneImageDependsNeitherOnOthersNorOnThreads() throws {
        let network = try Self.network.get()
        let images = try images()
        // more than pass through the network together
        let many = try Tensor([19, 24, 18, 3], .uint8)
        for i in 0..<19 {
            try many.detachedRows(i..<i + 1).copy(from: images.detachedRows(i % 2..<i % 2 + 1))
        }
        try expectSameOnAllThreads {
            let one = try network.features(images.detachedRows(1..<2), in: Context())
            let all = try network.features(many, in: Context())
            for (single, several) in [
                (one.pool, all.pool), (one.spatial, all.spatial), (one.logits, all.logits),
            ] {
                for row in [1, 15, 17] {
                    #expect(try several.detachedRows(row..<row + 1).values == single.values)
                }
            }
            return [all.pool.values, all.spatial.values]
        }
    }

    @Test func refusesOtherImages() throws {
        let network = try Self.network.get()
        for shape: Shape in [[0, 8, 8, 3], [1, 8, 8, 1], [1, 0, 8, 3], [8, 8, 3]] {
            #expect(throws: USPError.self) {
                try network.features(Tensor(shape, .uint8), in: Context())
            }
        }
        #expect(throws: USPError.self) {
            try network.features(Tensor.zeros([1, 8, 8, 3]), in: Context())
        }
    }

    /// The network's table with changes, as a file of f32 zeros (variances are ones).
    private func load(
        without: String? = nil, adding: String? = nil, outputs: Int = 1008, value: Float? = nil
    ) throws -> LoadReport {
        var entries: [ArchiveEntry] = []
        func add(_ name: String, _ shape: Shape, _ value: Float) throws {
            let values = [Float](repeating: value, count: shape.count)
            let bytes = try ByteBuffer(values.withUnsafeBytes { Array($0) })
            entries.append(ArchiveEntry(name, .float32, shape, bytes: bytes.view))
        }
        for spec in try Inception.specs() where spec.name != without {
            let shape: Shape = spec.name == "fc.weight" ? [outputs, 2048] : spec.shape
            let isChanged = value != nil && spec.name == "Mixed_7a.branch3x3_1.bn.running_var"
            try add(
                spec.name, shape,
                isChanged ? value! : spec.name.hasSuffix("running_var") ? 1 : 0)
        }
        if let adding { try add(adding, [1], 0) }
        let archive = Archive(
            path: "test", format: .torch, tables: [try ArchiveTable("", entries)])
        return try Inception.load(archive).report
    }

    private func message(_ body: () throws -> LoadReport) -> String {
        do { return try body().text } catch { return "\(error)" }
    }

    @Test func filesAreReadStrictly() throws {
        let report = try load(adding: "Conv2d_1a_3x3.bn.num_batches_tracked")
        #expect(report.fits && report.loaded.count == 94 * 5 + 2 && report.ignored.count == 1)
        let lacking = message { try load(without: "Mixed_6c.branch7x7_2.bn.bias") }
        #expect(lacking.contains("Mixed_6c.branch7x7_2.bn.bias"))
        let torchvision = message { try load(outputs: 1000) }
        #expect(torchvision.contains("1000 outputs") && torchvision.contains("pt_inception-2015"))
        let auxiliary = message { try load(adding: "AuxLogits.fc.bias", outputs: 1000) }
        #expect(auxiliary.contains("torchvision's own Inception v3"))
        let broken = message { try load(value: -1) }
        #expect(broken.contains("Mixed_7a.branch3x3_1") && broken.contains("not finite"))
        let other = message { try load(without: "Conv2d_1a_3x3.conv.weight") }
        #expect(other.contains("no Inception network in it"))
    }
}
