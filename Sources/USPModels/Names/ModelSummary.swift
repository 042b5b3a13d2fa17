// What model a file holds, in one sentence and as data: for people who look before they load.

import USPBase
import USPFiles

public struct ModelSummary: Sendable {
    package let family: String
    package let dialect: String
    /// The table that a reader of this family takes.
    package let table: String
    /// Names and values of the configuration's fields.
    package let sizes: [(name: String, value: String)]
    package let tensors: Int
    /// Nil if no size is in doubt; else what the reader would have to be told.
    package let doubt: String?
    /// What a reader chooses, assumes or does not apply.
    package let notes: [String]

    /// Nil if the file holds no model that we know.
    package init?(_ archive: Archive, table: String? = nil) {
        guard let places = try? ModelPlaces(archive, nil, table: table).all,
            let first = places.first
        else { return nil }
        let file: FileModel
        do throws(USPError) {
            file = try FileModel(archive, table: table)
        } catch {
            (family, dialect, self.table) = (first.kind.title, first.dialect.name, first.name)
            (sizes, tensors, notes) = ([], first.table.entries.count, [])
            doubt = error.message
            return
        }
        (family, dialect, self.table) = (file.kind.title, file.dialect.name, file.table)
        tensors = file.names.count
        do throws(USPError) {
            let configuration = try file.sizes()
            sizes = configuration.described
            doubt = nil
            notes =
                file.notes
                + file.assumed(configuration, LoadOptions()).map {
                    "assumes \($0.name): \($0.reason)"
                }
        } catch {
            (sizes, notes) = ([], file.notes)
            doubt = error.message
        }
    }

    /// `diffusion transformer (names of DiT, table ema): grid 16x16, …, width 1152, …`
    package var text: String {
        let place = table.isEmpty ? "" : ", table \(table)"
        return "\(family) (names of \(dialect)\(place)): \(doubt ?? sizes.phrase)"
    }

    package var json: JSON {
        .object([
            .init("family", .string(family)), .init("dialect", .string(dialect)),
            .init("table", .string(table)), .init("tensors", .integer(tensors)),
            .init("sizes", .object(sizes.map { .init($0.name, .string($0.value)) })),
            .init("doubt", doubt.map(JSON.string) ?? .null),
            .init("notes", .array(notes.map(JSON.string))),
        ])
    }
}
