"""Make a model start from a pretrained one: transfer.py mae-xl.pth DiT-XL/2 init.safetensors [heads]

`heads` is needed only for widths that no published model has.
"""

import sys

import usp


def main(source, target, output, heads=None):
    # The plan reads names and shapes only.
    plan = usp.transfer_plan(source, to=target, seed=7, num_heads=heads and int(heads))
    report = plan.report
    print(report)
    fresh = [entry.name for entry in report.entries if not entry.transferred]
    print(f"{len(fresh)} tensors start afresh; {report.share:.1%} of the parameters do not")

    # One tensor is in memory at a time; a name that ends in .pt gives {"model": ..., "ema": ...}.
    plan.save(output)

    # Or in memory: a mapping name -> array.
    weights = plan.apply()
    print(len(weights), "arrays, such as", next(iter(weights)))


if __name__ == "__main__":
    main(*sys.argv[1:])
