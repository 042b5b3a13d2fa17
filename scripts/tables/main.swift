// All tables of fields that doors are made from, as JSON on standard output: what
// scripts/generate_doors.py reads.

import USPBase
import USPFiles
import USPKit
import USPModels

/// Options of a command: the fields of a table that have a part in `part`; all if it is empty.
private struct CommandOptions {
    let name: String
    /// Several with blanks between.
    let part: String
    let table: any Described.Type
    /// Fields that the command has in another form.
    let leaving: [String]
    /// Other names of a field's option.
    let also: [(field: String, names: [String])]

    init(
        _ name: String, _ part: String, _ table: any Described.Type, leaving: [String] = [],
        also: [(field: String, names: [String])] = []
    ) {
        (self.name, self.part, self.table, self.leaving) = (name, part, table, leaving)
        self.also = also
    }
}

/// What commands that train say in another form.
private let ofRecipes = ["rate", "minimum_rate", "warmup", "steps", "seed", "head_only"]

private let commandOptions: [CommandOptions] = [
    CommandOptions(
        "SamplerOptions", "", SampleOptions.self,
        leaving: [
            "method", "steps", "seed", "generator", "first_sample", "total_samples",
            "preview_interval",
        ],
        also: [("timestep_shift", ["shift"])]),
    CommandOptions(
        "TokenSettings", "", MAR.SampleOptions.self,
        leaving: [
            "cfg_scale", "seed", "generator", "first_sample", "total_samples", "preview_interval",
        ]),
    CommandOptions(
        "FittingSettings", "", LoadOptions.self,
        leaving: LoadOptions.fields.map(\.name).filter {
            !["table", "ignore", "strict"].contains($0)
        }),
    CommandOptions("RobustnessSettings", "", Robustness.Options.self),
    CommandOptions("ProbeSettings", "", DiffusionProbe.Options.self),
    CommandOptions("StudySettings", "", StudyOptions.self),
    CommandOptions(
        "TransferSettings", "", TransferOptions.self, also: [("gate_bias", ["gate"])]),
    CommandOptions(
        "PretrainingSettings", "MAE", TrainerOptions.self, leaving: ofRecipes,
        also: [("clip_norm", ["clip"])]),
    CommandOptions(
        "FinetuningSettings", "ViT", TrainerOptions.self, leaving: ofRecipes,
        also: [("clip_norm", ["clip"]), ("label_smoothing", ["smoothing"])]),
    CommandOptions(
        "AugmentationSettings", "", DataOptions.self,
        leaving: DataOptions.fields.map(\.name).filter {
            ![
                "rand_augment", "erasing", "erasing_fill", "erasing_count", "mixup", "cutmix",
                "mixing_probability", "switch_probability", "mixing_unit", "mix_pixels",
            ].contains($0)
        }, also: [("rand_augment", ["aa"]), ("erasing", ["reprob"])]),
    CommandOptions(
        "SegmentationSettings", "Segmenter", TrainerOptions.self, leaving: ofRecipes,
        also: [("clip_norm", ["clip"])]),
    CommandOptions(
        "DiffusionSettings", "DiT SiT MAR", TrainerOptions.self, leaving: ofRecipes,
        also: [
            ("clip_norm", ["clip"]), ("average_decay", ["ema"]),
            ("average_warms_up", ["ema-warmup"]),
        ]),
]

extension FieldKind {
    fileprivate var json: (kind: String, expected: String, choices: [String]) {
        switch self {
        case .flag: ("flag", "", [])
        case .integer(let range): ("integer", range.description, [])
        case .unsigned: ("unsigned", "", [])
        case .real(let range): ("real", range.description, [])
        case .choice(let names, _): ("choice", "", names)
        case .text: ("text", "", [])
        case .integers(let range): ("integers", range.description, [])
        case .reals(let range): ("reals", range.description, [])
        case .grid: ("grid", "", [])
        case .object(let type): (type, "", [])
        }
    }
}

extension Described {
    fileprivate static var json: JSON {
        let defaults = Self()
        return .object([
            .init("type", .string(String(reflecting: Self.self))), .init("title", .string(title)),
            .init(
                "members",
                .array(
                    members.map {
                        .object([
                            .init("type", .string($0.type)), .init("name", .string($0.name)),
                            .init("sentence", .string($0.sentence)),
                        ])
                    })),
            .init("fields", .array(fields.map { row($0, $0.get(defaults)) })),
            .init(
                "properties",
                .array(Mirror(reflecting: defaults).children.map { .string($0.label ?? "") })),
        ])
    }

    private static func row(_ field: Field<Self>, _ value: FieldValue?) -> JSON {
        let (kind, expected, choices) = field.kind.json
        return .object([
            .init("name", .string(field.name)), .init("kind", .string(kind)),
            .init("range", .string(expected)),
            .init("choices", .array(choices.map(JSON.string))),
            .init("parts", .array(field.parts.map(JSON.string))),
            .init("optional", .bool(field.isOptional)),
            .init("default", value.map { .string($0.text) } ?? .null),
            .init("sentence", .string(field.sentence)),
        ])
    }
}

let structs = optionStructs.map { options in
    JSON.object([
        .init("name", .string(options.name)), .init("header", .string(options.header)),
        .init("table", options.table.json),
    ])
}
private let commands = commandOptions.map { command in
    JSON.object([
        .init("name", .string(command.name)), .init("part", .string(command.part)),
        .init("leaving", .array(command.leaving.map(JSON.string))),
        .init(
            "also",
            .object(
                command.also.map { .init($0.field, .array($0.names.map(JSON.string))) })),
        .init("table", command.table.json),
    ])
}
private let families = Family.all.map { family in
    JSON.object([
        .init("name", .string(family.name)), .init("table", type(of: family.defaults).json),
        .init("defaults", .string(family.defaults.text)),
        .init(
            "presets",
            .array(
                family.presets.map {
                    .object([
                        .init("name", .string($0.name)),
                        .init("text", .string($0.configuration.text)),
                    ])
                })),
    ])
}
print(
    JSON.object([
        .init("structs", .array(structs)), .init("commands", .array(commands)),
        .init("families", .array(families)),
    ]).indented)
