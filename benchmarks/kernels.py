"""The kernel-level table: runs usp-kernels and keeps its lines."""

import json
import subprocess

import report


def measure(options):
    """Each operation's errors and speed, as the tool prints them, one JSON object a line."""
    command = [f"{options.tools}/../release/usp-kernels"] + (["--quick"] if options.quick else [])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    rows = []
    for text in process.stdout:
        rows.append(json.loads(text))
        report.kernel_line(rows[-1])
    if process.wait():
        print(f"usp-kernels ended with status {process.returncode}", flush=True)
    report.write_kernels(options.out, rows)
