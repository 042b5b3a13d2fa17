// Make a model start from a pretrained one:
//     example-transfer mae-xl.pth DiT-XL/2 init.safetensors [heads]
// heads is needed only for widths that no published model has.

import USPKit

let arguments = CommandLine.arguments
guard arguments.count > 3 else {
    fatalError("usage: \(arguments[0]) SOURCE TARGET OUT [HEADS]")
}
var options = Transfer.Options()
options.seed = 7
options.heads = arguments.count > 4 ? Int(arguments[4]) : nil

do {
    // The plan reads names and shapes only.
    let transfer = try Transfer(path: arguments[1], to: arguments[2], options)
    print(transfer.text)
    let fresh = transfer.entries.filter { $0.sources.isEmpty }
    print("\(fresh.count) of \(transfer.entries.count) tensors start afresh")

    // One tensor is in memory at a time; the file appears complete or not at all.
    try transfer.write(arguments[3])
} catch {
    print(error)
}
