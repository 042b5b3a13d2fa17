// The command line tool's root, and what its ends mean: 0 done, 1 an error (one sentence on
// standard error), 2 a call that cannot be understood, 128 and the signal's number interrupted.

import ArgumentParser
import Glibc
import USPBase
import USPKit

struct USP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usp",
        abstract: "Vision transformers for images, latents, classes and diffusion, on a CPU.",
        discussion: """
            Files are recognised by their content: safetensors, PyTorch archives, npy, npz, idx. \
            Ends with 0, or 1 after an error, 2 after a call that cannot be understood, 130, 143 or \
            129 when interrupted (Ctrl-C, SIGTERM, SIGHUP): what was done has been saved then. A second \
            signal after a second, or a third, ends at once. SIGUSR1 saves and goes on.

            Under mpirun or srun, processes share the work of pretrain, finetune, segment, train and \
            autoencoder (1, 2, 4, 8, ... of them), and of encode, sample and evaluate (any number), to \
            the same bytes: docs/scale.md.
            """,
        version: USPKit.version,
        subcommands: [
            DemoCommand.self, StudyCommand.self, Inspect.self, Convert.self, Transfer.self,
            Autoencoder.self, Pretrain.self, Reconstruct.self, Finetune.self, Predict.self,
            Segment.self, PredictMasks.self, RobustnessCommand.self, ProbeDiffusion.self,
            Features.self,
            Train.self, Encode.self, Decode.self, Sample.self,
            Invert.self, Evaluate.self,
            Version.self,
        ])
}

@main
enum Tool {
    static func main() {
        if let unknown = unknownCommand() {
            complain("usp: \(unknown.message)")
            exit(2)
        }
        do {
            var command = try USP.parseAsRoot()
            try command.run()
            guard fflush(nil) == 0 else {
                complain("usp: standard output: cannot write: \(String(cString: strerror(errno)))")
                exit(1)
            }
        } catch let error as USPError {
            Job.complain(of: error)
            Job.end(error.kind == .cancelled ? Interrupt.exitCode : 1)
        } catch {
            end(error)
        }
    }

    /// An error that names the nearest command, if the first word is none.
    private static func unknownCommand() -> USPError? {
        let known = USP.configuration.subcommands.map { $0._commandName } + ["help"]
        guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"),
            !known.contains(word)
        else { return nil }
        return unknownName(word, what: "command", known: known)
    }

    /// The first option of a call that its command has not, and the nearest that it has: a call that
    /// lacks something else as well is told that alone.
    private static func unknownOption() -> (name: String, nearest: String)? {
        let words = CommandLine.arguments.dropFirst()
        guard let first = words.first,
            let command = USP.configuration.subcommands.first(where: { $0._commandName == first })
        else { return nil }
        let help = USP.helpMessage(for: command, includeHidden: true, columns: 1000)
        var known: [String] = []
        for word in help.split(whereSeparator: { " ,/[]<>()\n".contains($0) })
        where word.hasPrefix("--") && word.count > 2 {
            known.append(String(word.prefix { $0 == "-" || $0.isLetter || $0.isNumber }))
        }
        for word in words.dropFirst().prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
            let name = String(word.prefix { $0 != "=" })
            guard !known.contains(name),
                let nearest = known.min(by: {
                    editDistance(name, $0) < editDistance(name, $1)
                })
            else { continue }
            return (name, nearest)
        }
        return nil
    }

    /// Help, version and errors of parsing, as ArgumentParser words them.
    private static func end(_ error: any Error) -> Never {
        let code = USP.exitCode(for: error)
        let message = USP.fullMessage(for: error)
        if code.isSuccess {
            say(message)
            exit(0)
        }
        if !message.split(separator: " ").contains("Did"), let unknown = unknownOption() {
            complain("usp: unknown option \(unknown.name); did you mean \(unknown.nearest)?")
        }
        complain(message)
        exit(code == .validationFailure ? 2 : code.rawValue)
    }
}

/// One line on standard error, in place of a bar that stands there.
///
/// - onEvery: of what only one rank of a job knows; else rank 0 says it
func complain(_ message: String, onEvery: Bool = false) {
    guard Job.speaks || onEvery else { return }
    let bytes = Array(((isatty(2) == 1 ? "\r\u{1B}[K" : "") + message + "\n").utf8)
    _ = write(2, bytes, bytes.count)
}
