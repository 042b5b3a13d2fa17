// `usp convert IN -o OUT`: the same arrays in another format or element type.

import ArgumentParser
import USPBase
import USPFiles
import USPKit

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the arrays of a file in another format, type or dialect.",
        discussion: """
            The ending of OUT decides the format: .safetensors, .pt .pth .ckpt .bin (PyTorch), \
            .npz, .npy. Memory stays small however large the file is.

            Dialects: official has the names of CompVis, MAE and DiT; training nests them as their \
            scripts do (model and ema, or state_dict; PyTorch formats only); diffusers has its own.
            """)

    @Argument(help: "A file, a folder of a diffusers model, or the index of a sharded one.")
    var input: String

    @Option(name: [.short, .long], help: "The file to write.")
    var output: String

    @Option(
        help:
            "The table to write, such as ema, which is preferred; all = every one, names in front.")
    var table: String?

    @Option(
        help: ArgumentHelp(
            "Type of floating-point arrays: f32, f16, bf16; int8 = weights of products in 8 bits with "
                + "a scale a row, others as they are."))
    var dtype: StoredType?

    @Option(help: "A model's names: official, training or diffusers; the file's own without it.")
    var dialect: WrittenDialect?

    @Option(
        help: "With --dialect or --statistics: names of arrays that are left aside, with commas.")
    var ignore: String?
    @Option(
        help: ArgumentHelp(
            "Of an autoencoder: file with mean and std of its latent channels, which it keeps.",
            valueName: "file"))
    var statistics: String?

    @Option(help: "Latents are (z - mean) / std times this.")
    var multiplier: Float = 1

    @Flag(
        help: """
            Safetensors get a CRC-32 of each array, which is verified when it is read; the other \
            formats but npy have them anyway.
            """)
    var checksums = false

    @Flag(help: "Write the others where some arrays cannot be read; each is named.")
    var skip = false

    func run() throws {
        let writer = try ArrayWriter(output)
        try writer.format.expectHolds(dtype?.dtype, output)
        try require(
            dialect == nil || dtype != .int8, .argument,
            "--dtype int8 has no part in another dialect; convert twice")
        try require(
            dialect != nil || statistics != nil || ignore == nil, .argument,
            "--ignore has a part beside --dialect and --statistics only")
        if let statistics { return try normalize(statistics) }
        if let dialect { return try convert(to: dialect, writer) }
        let checkpoint = try Checkpoint.open(input, table: table == "all" ? "*" : table)
        tellChoice(checkpoint)
        if !writer.format.keepsTexts {
            try FileModel.expectNothingUntold(checkpoint.selected, output)
        }
        try tellLosses(checkpoint.unread)
        try expectArrays(checkpoint)
        let outputs = checkpoint.table.entries.flatMap { $0.outputs(as: dtype?.dtype) }
        try writer.write(outputs, metadata: metadata(of: checkpoint), checksums: checksums)
        report(outputs)
    }

    private func report(_ outputs: [ArrayOutput]) {
        let bytes = outputs.reduce(0) { $0 + $1.byteCount }
        print("\(output): \(grouped(outputs.count)) arrays, \(byteText(bytes))")
    }

    /// The autoencoder of the file with statistics of its latents.
    private func normalize(_ statistics: String) throws {
        try require(
            dialect == nil, .argument, "--statistics has no part in another dialect; convert twice")
        var loading = LoadOptions()
        (loading.statistics, loading.table) = (try Checkpoint.open(statistics), table)
        loading.multiplier = multiplier
        if let ignore { try loading.set("ignore", ignore) }
        var options = Checkpoint.SaveOptions()
        options.dtype = dtype?.dtype ?? options.dtype
        options.checksums = checksums
        let model = try VAE.load(input, loading).told()
        try model.save(output, options)
        print(
            "\(output): \(grouped(model.weights.count)) parameters, statistics of "
                + "\(model.configuration.latentChannels) channels")
    }

    /// The model of the file in another layout.
    private func convert(to dialect: WrittenDialect, _ writer: ArrayWriter) throws {
        let archive = try Archive.open(input)
        let names = ignore?.split(separator: ",").map(String.init) ?? []
        let model = try FileModel(archive, table: table, ignoring: names)
        if !skip { try model.expectReadable() }
        for note in try model.toldNotes() { complain("note: \(note)") }
        let unread = try archive.unread(in: archive.table(model.table))
        try tellLosses(unread.map { ($0.name, $0.reason) })
        let outputs = try model.written(as: dialect).map { array throws(USPError) in
            try ArrayOutput(
                array.name, array.shape, stacking: array.parts.map { $0.output(as: dtype?.dtype) })
        }
        try tellUntold(model, outputs, writer.format)
        try writer.write(
            outputs, metadata: model.carried(),
            tables: dialect == .training ? model.kind.tables : [], checksums: checksums)
        for item in model.ignored { complain("note: \(item.name) stays behind: \(item.reason)") }
        let place = model.table.isEmpty ? "" : ", table \(model.table)"
        complain("note: from the names of \(model.dialect.name)\(place)")
        report(outputs)
    }

    /// What names and shapes of the layout do not tell is told by `usp.config`, to our readers.
    private func tellUntold(
        _ model: FileModel, _ outputs: [ArrayOutput], _ format: ArrayFormat
    ) throws(USPError) {
        let untold = try model.untold(by: outputs.map { (name: $0.name, shape: $0.shape) })
        guard !untold.isEmpty else { return }
        let fields = untold.map(\.phrase).joined(separator: ", ")
        try require(
            format.keepsTexts, .unsupported,
            "\(output): the layout does not say the model's \(fields); write .safetensors or .pt, "
                + "which keep its configuration")
        complain("note: only usp.config says \(fields)")
    }

    /// Says what stays behind: the other tables, and what could not be read.
    private func tellChoice(_ checkpoint: Checkpoint) {
        let others = checkpoint.tableNames.filter { $0 != checkpoint.tableName }
        if table == nil && !others.isEmpty {
            complain(
                "note: writing the table \(checkpoint.tableName); also there: "
                    + others.joined(separator: ", "))
        }
    }

    /// What cannot be read stops the conversion, unless it may be left out.
    private func tellLosses(_ unread: [(name: String, reason: String)]) throws(USPError) {
        if skip || unread.isEmpty {
            for item in unread { complain("note: \(item.name) is left out: \(item.reason)") }
            return
        }
        let shown = unread.prefix(8).map { "\n  \($0.name): \($0.reason)" }.joined()
        let more = unread.count > 8 ? "\n  and \(unread.count - 8) more" : ""
        throw USPError(
            .unsupported,
            "\(input): \(grouped(unread.count)) arrays cannot be read and would be lost; --skip "
                + "writes the others\(shown)\(more)")
    }

    private func expectArrays(_ checkpoint: Checkpoint) throws(USPError) {
        guard checkpoint.table.entries.isEmpty else { return }
        let others = checkpoint.skipped.prefix(4).map { "; \($0.name): \($0.reason)" }.joined()
        throw USPError(.format, "\(input): no array in it to write\(others)")
    }

    /// Safetensors' texts travel, and our own from any file.
    private func metadata(of checkpoint: Checkpoint) -> [(key: String, value: String)] {
        let all = checkpoint.archive.format == .safetensors
        let kept = checkpoint.metadata.filter {
            $0.key.hasPrefix("usp.") || all && $0.key != "format"
        }
        return kept
    }
}

extension WrittenDialect: ExpressibleByArgument {}
