"""Inspect a file: what it is, what it holds, and one array of it.

    inspect_file.py [FILE]   (without a file it makes one)
"""

import sys

import usp

path = sys.argv[1] if len(sys.argv) > 1 else "vit.safetensors"
if len(sys.argv) < 2:
    usp.ViT.create(grid=4, width=32, depth=2, heads=2, classes=10, seed=1).save(path)

checkpoint = usp.Checkpoint.open(path)
print(checkpoint.report)
name = next(iter(checkpoint))
array = checkpoint[name]  # a view of the mapped file
print(f"the first array is {name}, {array.dtype} {array.shape}, mean {array.mean():.4f}")
