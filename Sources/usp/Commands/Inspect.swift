// `usp inspect FILE`: what is in a file of arrays, from its headers alone.

import ArgumentParser
import USPBase
import USPFiles

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a checkpoint or a file of arrays holds.",
        discussion: "Reads headers only, and executes nothing that is in the file.")

    @Argument(help: "A file, a folder of a diffusers model, or the index of a sharded one.")
    var file: String

    @Option(help: "Only this table, such as model, ema, state_dict.")
    var table: String?

    @Option(help: "Only arrays whose name contains this.")
    var match: String?

    @Flag(help: "Leave out the list of arrays.")
    var summary = false

    @Flag(help: "As JSON.")
    var json = false

    func run() throws {
        let archive = try Archive.open(file)
        let tables = try table.map { [try archive.table($0)] } ?? archive.tables
        let contents = ArchiveContents(archive, tables, match: match)
        print(json ? contents.json(listing: !summary).indented : contents.text(listing: !summary))
    }
}
