// What is written down of a sampler, so that a picture can be made again.

import USPBase
import USPFiles
import USPKit

extension LatentSampler {
    func record(_ guidance: GuidanceArguments) throws -> [JSON.Member] {
        let channels = model.configuration.channels
        let own = try guidance.guidance(0..<1, channels: channels)
        return try process + [
            .init("cfg", .numbers(guidance.scales)),
            .init(
                "cfg_channels",
                .integer(min(own.channels ?? model.denoiser.guidedChannels, channels))),
            .init("cfg_interval", own.begin.map { .numbers([$0, own.end ?? $0]) } ?? .null),
        ]
    }

    /// Solver and process.
    private var process: [JSON.Member] {
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

extension TokenSampler {
    func record(_ guidance: GuidanceArguments) throws -> [JSON.Member] {
        [.init("kind", .string("masked autoregression"))]
            + options.record { !TokenSampler.ofRuns.contains($0.name) }
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
    /// As they are written, in f32.
    static func numbers(_ values: [Float]) -> JSON {
        .array(values.map { .number(Double("\($0)") ?? Double($0)) })
    }

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
