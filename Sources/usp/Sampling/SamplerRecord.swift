// What is written down of a sampler, so that a picture can be made again.

import USPBase
import USPFiles
import USPKit

extension LatentSampler {
    /// Solver and process with everything that numbers depend on.
    var record: [JSON.Member] {
        let solver = sampler.solver
        var members: [JSON.Member] = [
            .init("solver", .string(solver.name)), .init("steps", .integer(steps)),
        ]
        switch sampler.process {
        case .diffusion(let process):
            members.append(.init("kind", .string("diffusion")))
            members += process.options.record { !["training_steps", "loss"].contains($0.name) }
        case .flow(let transport):
            members.append(.init("kind", .string("ODE")))
            members += transport.options.record { $0.name != "loss_weight" }
        case .stochastic(let transport):
            members.append(.init("kind", .string("SDE")))
            members += transport.options.record { $0.name != "loss_weight" }
        }
        if let interval = sampler.interval {
            members += [
                .init("interval", .array([.number(interval.start), .number(interval.end)])),
                .init("interval_notes", .array(interval.notes.map(JSON.string))),
            ]
        }
        return members + sampler.options.record { $0.parts.contains(solver.name) }
    }
}

extension Described {
    /// Names and values of the wanted fields that are set.
    fileprivate func record(where isWanted: (Field<Self>) -> Bool) -> [JSON.Member] {
        Self.fields.filter(isWanted).compactMap { field in
            field.get(self).map { .init(field.name, JSON($0)) }
        }
    }
}

extension JSON {
    /// The value of a field.
    fileprivate init(_ value: FieldValue) {
        self =
            switch value {
            case .flag(let value): .bool(value)
            case .integer(let value): .integer(value)
            case .real(let value): .number(value)
            default: .string(value.text)
            }
    }
}
