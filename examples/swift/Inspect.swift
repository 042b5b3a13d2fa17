// Inspect a file: what it is, what it holds, and one array of it.

import USPKit

func inspect() throws(USPError) {
    let path = "vit.safetensors"
    var sizes = ViT.Configuration()
    sizes.grid = Grid(4, 4)
    sizes.width = 32
    sizes.depth = 2
    sizes.heads = 2
    sizes.classes = 10
    try ViT(sizes, seed: 1).save(path)

    let checkpoint = try Checkpoint.open(path)
    print(checkpoint.report)
    let first = checkpoint.entries[0]
    let values = try checkpoint.tensor(first.name).values
    print(
        "the first array is \(first.name), \(first.dtype.name) \(first.shape), first value \(values[0])"
    )
}
