"""The kernel-level table: runs usp-kernels, adds rates and shares of the peak to its lines."""

import json
import os
import subprocess

import report


def measure(bench):
    """Each operation's errors and speed, as the tool prints them, one JSON object a line."""
    options = bench.options
    tool = f"{options.tools}/../release/usp-kernels"
    threads = os.cpu_count() or 1
    peaks = [bench.peak(threads) for _ in range(4)]
    process = subprocess.Popen(
        [tool] + (["--quick"] if options.quick else []), stdout=subprocess.PIPE, text=True)
    lines = [json.loads(text) for text in process.stdout]
    if process.wait():
        print(f"usp-kernels ended with status {process.returncode}", flush=True)
    peaks += [bench.peak(threads) for _ in range(4)]
    top = {key: max(peak[key] for peak in peaks) for key in peaks[0]}
    rows = [rated(line, top) for line in lines]
    for row in rows:
        report.kernel_line(row)
    report.write_kernels(options.out, rows)


def rated(line, top):
    """The line with its rate in GFLOP/s, or GB/s for what memory limits."""
    work = line["flops"] or line["bytes"]
    unit, peak = ("GFLOP/s", top[line["dtype"]]) if line["flops"] else ("GB/s", top["memory"])
    row = {key: line[key] for key in ("operation", "dtype", "error", "gradient_error", "seconds",
                                      "gradient_seconds")}
    row |= {"unit": unit, "peak": peak}
    for prefix, factor in (("", 1), ("gradient_", line["gradient_work"])):
        seconds = line[prefix + "seconds"]
        rate = work * factor / seconds / 1e9 if seconds else None
        row[prefix + "rate"] = rate and round(rate, 1)
        row[prefix + "share"] = rate and round(rate / peak, 3)
    return row
