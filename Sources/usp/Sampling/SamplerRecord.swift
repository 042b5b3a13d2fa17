// What is written down of a sampler, so that a picture can be made again.

import USPBase
import USPDiffusion
import USPFiles
import USPKit

extension LatentSampler {
    /// Solver and process with everything that numbers depend on.
    func record() throws(USPError) -> [JSON.Member] {
        var members: [JSON.Member] = [
            .init("solver", .string(solver)), .init("steps", .integer(steps)),
        ]
        let add = { (members: inout [JSON.Member], name: String, value: Float) in
            members.append(.init(name, .number(Double("\(value)") ?? Double(value))))
        }
        switch process {
        case .diffusion(let diffusion):
            let process = diffusion.process.configuration
            members += [
                .init("kind", .string("diffusion")),
                .init("schedule", .string(process.schedule.rawValue)),
                .init("respacing", .string(process.respacing)),
                .init("prediction", .string(process.prediction.rawValue)),
                .init("variance", .string(process.variance.rawValue)),
                .init("clip", .bool(options.clipsStart)),
            ]
            if solver == "ddim" { add(&members, "eta", options.eta) }
        case .flow(let transport):
            members += [.init("kind", .string("ODE"))]
            members += LatentSampler.record(transport, transport.flowInterval)
            add(&members, "timestep_shift", options.timestepShift)
            if isAdaptive {
                add(&members, "atol", options.atol)
                add(&members, "rtol", options.rtol)
            }
        case .stochastic(let transport):
            members += [.init("kind", .string("SDE"))]
            members += LatentSampler.record(transport, try transport.stochasticInterval(options))
            members.append(.init("form", .string(options.form)))
            add(&members, "norm", options.norm)
            members.append(.init("last_step", .string(options.lastStep)))
            add(&members, "last_step_size", options.lastStepSize)
        }
        return members
    }

    /// What was moved about the stretch of time that the solver covers.
    var notes: [String] {
        get throws(USPError) {
            switch process {
            case .diffusion: []
            case .flow(let transport): transport.flowInterval.notes
            case .stochastic(let transport): try transport.stochasticInterval(options).notes
            }
        }
    }

    private static func record(
        _ transport: USPKit.Transport, _ interval: USPKit.Transport.Interval
    ) -> [JSON.Member] {
        [
            .init("path", .string(transport.process.path.rawValue)),
            .init("prediction", .string(transport.process.prediction.rawValue)),
            .init("interval", .array([.number(interval.start), .number(interval.end)])),
            .init("interval_notes", .array(interval.notes.map(JSON.string))),
        ]
    }
}
