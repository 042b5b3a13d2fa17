// `usp-fuzz --seconds N | --runs N [--seed S] [--patience MILLISECONDS]`: every reader of files on
// damaged copies of the golden files. A crash, a slow answer or much memory is a defect; an error is
// what a damaged file should give.

import Glibc
import USPBase
import USPFiles

/// The value after an option.
func option(_ name: String) -> Int? {
    guard let at = CommandLine.arguments.firstIndex(of: name) else { return nil }
    return CommandLine.arguments.dropFirst(at + 1).first.flatMap { Int($0) }
}

let runs = option("--runs") ?? .max
let seconds = option("--seconds") ?? (runs == .max ? 10 : 3600)
let corpus = Corpus.golden()
guard !corpus.isEmpty else {
    print("usp-fuzz: no files in Tests/Golden")
    exit(1)
}
var mutator = Mutator(seed: UInt64(option("--seed") ?? 1), corpus: corpus.map(\.bytes))
var trial = Trial(patience: .milliseconds(option("--patience") ?? 500))
let clock = ContinuousClock()
let end = clock.now + .seconds(seconds)
var position = 0
while clock.now < end && position < runs {
    let sample = corpus[position % corpus.count]
    let damaged = mutator.mutated(sample.bytes)
    let isRepaired = sample.name.hasSuffix("png") && position / corpus.count % 2 == 0
    trial.run(sample, isRepaired ? PNGRepair.repaired(damaged) : damaged)
    position += 1
}
trial.report()
exit(trial.defects == 0 ? 0 : 1)
