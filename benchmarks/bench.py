#!/usr/bin/env python3
"""Times our library through its C interface, alternately with the peers on the same tensors.

Every contender is a process of its own. After a warm-up the two run in turn (A B A B ...); medians
are compared, outputs too. Nothing here decides whether a build passes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import contender
import report
import start
from store import prepare
from works import SCALING, WORKS, flops

PEERS = {"f32": ["torch", "onnxruntime", "openvino"], "bf16": ["torch", "openvino"]}


def main():
    options = parsed()
    root = Path(options.folder or tempfile.mkdtemp(prefix="usp-benchmarks-"))
    root.mkdir(parents=True, exist_ok=True)
    rows, tables = [], []
    try:
        measure(options, root, rows, tables)
    finally:  # what was measured is kept, whatever stopped the rest
        report.write(rows, tables, Path(options.out))
        if not options.folder:
            shutil.rmtree(root, ignore_errors=True)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", default=".build/benchmarks", help="folder of usp-bench, usp-peak")
    parser.add_argument("--peers", help="a Python with torch, diffusers, onnxruntime, openvino")
    parser.add_argument("--rows", help="keys of works, comma-separated: "
                        + ", ".join(w.key for w in WORKS + SCALING) + ", start; default: all")
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--contenders", help="peers to take, comma-separated; also: compile")
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each side")
    parser.add_argument("--quick", action="store_true", help="three rounds, no scaling tables")
    parser.add_argument("--folder", help="keep weights and exported networks here")
    parser.add_argument("--out", default=str(Path(__file__).resolve().parent))
    return parser.parse_args()


def measure(options, root, rows, scaling):
    """Appends to both lists what the options ask for."""
    wanted = options.rows.split(",") if options.rows else None
    known = {work.key for work in WORKS + SCALING} | {"start"}
    if wanted and set(wanted) - known:
        sys.exit(f"unknown rows {sorted(set(wanted) - known)}; there are {sorted(known)}")
    rounds = min(options.rounds, 3) if options.quick else options.rounds
    for work in WORKS:
        if not wanted or work.key in wanted:
            for dtype in options.dtypes.split(","):
                compare(work, dtype, rounds, options, prepare(work, root), rows)
    if (not wanted and not options.quick) or (wanted and "start" in wanted):
        rows += start.rows(options.tools, options.peers, prepare(WORKS[0], root), WORKS[-1], root)
    for work in SCALING:
        if (not wanted and not options.quick) or (wanted and work.key in wanted):
            for dtype in options.dtypes.split(","):
                scaling.append(alone(work, dtype, options, prepare(work, root)))


def peak(tools, threads):
    """GFLOP/s of f32 and bf16, GB/s of memory: a fresh measurement, since machines drift."""
    result = subprocess.run([f"{tools}/usp-peak", str(threads)], capture_output=True, text=True)
    f32, bf16, memory = map(float, result.stdout.split())
    return {"f32": f32, "bf16": bf16 or f32, "memory": memory}


def compare(work, dtype, rounds, options, folder, rows):
    """Appends one row for each peer; one row without a peer if there is none."""
    names = PEERS[dtype] if work.task != "train" else ["torch"]
    if options.contenders:
        names = [n for n in options.contenders.split(",") if n in PEERS[dtype] + ["compile"]]
        names = [n for n in names if work.task != "train" or n in ("torch", "compile")]
    for name in names if options.peers else [None]:
        try:
            rows.append(pair(work, dtype, name, rounds, options, folder))
            report.line(rows[-1])
        except contender.Failed as error:
            print(f"{work.title}, {dtype}, {name}: {error}", file=sys.stderr)


def pair(work, dtype, name, rounds, options, folder):
    top = peak(options.tools, work.threads)
    ours = contender.ours(f"{options.tools}/usp-bench", work, dtype, folder)
    theirs = None
    try:
        if name:
            theirs = contender.peer(options.peers, name, dtype, work, folder)
        sides = [side for side in (ours, theirs) if side]
        for side in sides:
            warm(side)
        for _ in range(rounds):
            for side in sides:
                time.sleep(0.05)  # the other side's threads stop spinning
                side.run(repeats(side))
        return row(work, dtype, ours, theirs, top, folder)
    finally:
        for side in (ours, theirs):
            if side:
                side.close()


def warm(side):
    """Runs that are not counted, for at least a moment."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.5:
        side.run()
    side.quick = side.seconds[-1]
    side.seconds = []


def repeats(side):
    """Short runs are timed several times a turn."""
    return max(1, min(20, int(0.2 / side.quick)))


def row(work, dtype, ours, theirs, top, folder):
    seconds, memory = statistics.median(ours.seconds), ours.memory()
    rate = flops(work) / seconds / 1e9
    result = {
        "work": work.title, "dtype": dtype, "ours_s": round(seconds, 6), "peer": None,
        "peer_s": None, "ratio": None, "max_rel_error": None, "ours_rss_mb": round(memory, 1),
        "peer_rss_mb": None, "ours_spread": spread(ours.seconds), "peer_spread": None,
        "ours_gflops": round(rate, 1), "peak_gflops": top[dtype],
        "ours_share_of_peak": round(rate / top[dtype], 3),
        "weights_gb_per_s": round((folder / "weights.safetensors").stat().st_size / seconds / 1e9, 1),
        "peak_gb_per_s": top["memory"],
    }
    if theirs:
        other = statistics.median(theirs.seconds)
        result |= {
            "peer": theirs.name, "peer_s": round(other, 6), "ratio": round(other / seconds, 3),
            "max_rel_error": error(ours.output(folder / "ours.f32"), theirs.output(folder / "peer.f32")),
            "peer_rss_mb": round(theirs.memory(), 1), "peer_spread": spread(theirs.seconds),
        }
    return result


def spread(seconds):
    """Distance of the quartiles over the median."""
    if len(seconds) < 3:
        return None
    quarters = statistics.quantiles(seconds, n=4)
    return round((quarters[2] - quarters[0]) / statistics.median(seconds), 3)


def error(ours, theirs):
    """Largest difference over the largest value."""
    if ours.shape != theirs.shape:
        raise contender.Failed(f"outputs of {ours.size} and {theirs.size} values")
    return float(f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.3e}")


def alone(work, dtype, options, folder):
    """Our side only, for the tables of growth."""
    ours = contender.ours(f"{options.tools}/usp-bench", work, dtype, folder)
    try:
        warm(ours)
        for _ in range(3):
            ours.run(repeats(ours))
        seconds = statistics.median(ours.seconds)
        result = {"table": work.table, "work": work.title, "dtype": dtype,
                  "ours_s": round(seconds, 6), "ours_rss_mb": round(ours.memory(), 1),
                  "ours_gflops": round(flops(work) / seconds / 1e9, 1)}
        print(json.dumps(result), flush=True)
        return result
    finally:
        ours.close()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main()
