// Runs one of the examples: usp-examples inspect|autoencode|train|transfer|sample|autoregress|align|demo

import USPKit

let stories: [(name: String, run: () throws(USPError) -> Void)] = [
    ("inspect", inspect), ("autoencode", autoencode), ("train", train), ("transfer", transfer),
    ("sample", sample), ("autoregress", autoregress), ("align", align),
    ("demo", demo),
]

let wanted = CommandLine.arguments.dropFirst().first ?? ""
guard let story = stories.first(where: { $0.name == wanted }) else {
    fatalError("usp-examples \(stories.map(\.name).joined(separator: "|"))")
}
do {
    try story.run()
} catch {
    fatalError("\(error)")
}
