#!/usr/bin/env python3
"""Times our library through its C interface, alternately with the peers on the same tensors.

Every contender is a process of its own, stopped while another one runs. All take turns
(A B C, A B C, ...); medians are compared, outputs too. Rows are written as they are measured.
Nothing here decides whether a build passes.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import contender
import kernels
import report
import start
import store
from works import SCALING, WORKS, flops

HERE = Path(__file__).resolve().parent
KEYS = [work.key for work in WORKS] + ["start", "kernels"] + [work.key for work in SCALING]
# Peers that have no bfloat16 on this kind of processor.
F32_ONLY = {"onnxruntime"}
# What is run in 8 bits: transformers forward; of the peers those that quantise them.
IN_INT8, INT8_PEERS = {"dit", "vit", "lightning", "dinov2"}, {"openvino"}


def main():
    options = parsed()
    root = store.root(Path(options.folder))
    bench = Bench(options, root, time.monotonic() + 60 * options.minutes)
    for key in options.rows:
        if time.monotonic() > bench.end:
            print(f"{key} and what follows are left out: {options.minutes:.0f} minutes are over")
            break
        bench.measure(key)
    print(f"{(time.monotonic() - bench.end) / 60 + options.minutes:.1f} minutes in all")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", default=".build/benchmarks",
                        help="folder of usp-bench, usp-peak")
    parser.add_argument("--peers", help="a Python with torch, diffusers, zentorch, onnxruntime, openvino")
    parser.add_argument("--rows", type=listed, default=KEYS,
                        help="only these, comma-separated, of: " + " ".join(KEYS))
    parser.add_argument("--dtypes", type=listed, default=["f32", "bf16", "int8"])
    parser.add_argument("--contenders", type=listed, help="only these peers, comma-separated")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side, at most")
    parser.add_argument("--seconds", type=float, default=30, help="of a row's turns, about")
    parser.add_argument("--minutes", type=float, default=24, help="start no row after that")
    parser.add_argument("--quick", action="store_true", help="one turn of each side")
    parser.add_argument("--folder", default=f"{tempfile.gettempdir()}/usp-benchmarks",
                        help="where weights and exported networks are kept for the next run")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    if set(options.rows) - set(KEYS):
        parser.error(f"unknown rows; there are: {' '.join(KEYS)}")
    return options


def listed(text):
    return [word for word in text.split(",") if word]


@dataclass
class Bench:
    """One run of the benchmarks: what was asked for, and what later rows need of earlier ones."""

    options: argparse.Namespace
    root: Path
    end: float  # of time.monotonic()
    truths: dict = field(default_factory=dict)  # our f32 outputs by work

    def measure(self, key):
        options = self.options
        if key == "start":
            try:
                self.keep(start.rows(options, self.root))
            except contender.Failed as error:
                print(f"cold starts are left out: {error}")
        elif key == "kernels":
            kernels.measure(self)
        else:
            work = next(work for work in WORKS + SCALING if work.key == key)
            for dtype in options.dtypes:
                if dtype != "int8" or work.family in IN_INT8 and work.task == "forward" and work.table == "main":
                    self.compare(work, dtype)

    def keep(self, rows):
        rows = list(rows)
        for row in rows:
            report.line(row)
        report.write(self.options.out, rows)

    def compare(self, work, dtype):
        """Measures our side and all peers of one work in turns."""
        folder, sides = store.prepare(work, self.root), []
        try:
            for name in ["usp", *self.names(work, dtype)]:
                try:
                    sides.append(self.started(name, work, dtype, folder))
                except contender.Failed as error:
                    left_out(work, dtype, name, error)
            if sides and sides[0].name == "usp":
                peaks = self.turns(work, dtype, sides)
                outputs = self.outputs(work, dtype, sides, folder)
                self.keep(rows(work, dtype, sides, peaks, outputs))
        except contender.Failed as error:
            left_out(work, dtype, "all", error)
        finally:
            for side in sides:
                side.close()

    def started(self, name, work, dtype, folder):
        if name == "usp":
            return contender.ours(f"{self.options.tools}/usp-bench", work, dtype, folder)
        return contender.peer(self.options.peers, name, dtype, work, folder)

    def names(self, work, dtype):
        if not self.options.peers or (work.table != "main" and dtype != "f32"):
            return []
        wanted = self.options.contenders or work.peers
        able = {"f32": set(work.peers), "bf16": set(work.peers) - F32_ONLY, "int8": INT8_PEERS}[dtype]
        return [name for name in work.peers if name in wanted and name in able]

    def turns(self, work, dtype, sides):
        """Runs all sides in turn; the machine's peaks, measured in between.

        A peer that fails is taken off the list.
        """
        peaks = [self.peak(work.threads)]
        self.each(work, dtype, sides, lambda side: warm(side, self.options.quick))
        begin, most = time.monotonic(), 1 if self.options.quick else self.options.rounds
        seconds = self.options.seconds / (1 if work.table == "main" else 4)
        fewest = 3 if work.table == "main" else 1
        for turn in range(most):
            if turn >= fewest and time.monotonic() - begin > seconds:
                break
            self.each(work, dtype, sides,
                      lambda side: side.run(1 if self.options.quick else repeats(side)))
            peaks.append(self.peak(work.threads))
        return {key: max(peak[key] for peak in peaks) for key in peaks[0]}

    def each(self, work, dtype, sides, action):
        for side in list(sides):
            try:
                action(side)
            except contender.Failed as error:
                if side is sides[0]:
                    raise
                left_out(work, dtype, side.name, error)
                sides.remove(side)
                side.close()

    def peak(self, threads):
        """GFLOP/s of f32 and bf16, GB/s of memory: fresh ones, since machines drift."""
        command = [f"{self.options.tools}/usp-peak", str(threads), "1"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        f32, bf16, memory = map(float, result.stdout.split())
        return {"f32": f32, "bf16": bf16 or f32, "memory": memory}

    def outputs(self, work, dtype, sides, folder):
        """Every side's output by its name, and what is held to be true.

        That is PyTorch's output in f32 ("truth"), so that no peer's rounding is booked on us;
        and our own ("own"), which shows what bfloat16 alone changes.
        """
        found = {side.name: side.output(folder / f"{side.name}.f32") for side in sides}
        if work.table != "main":
            return found | {"truth": found.get("torch")}
        if dtype == "f32":
            self.truths[work.key] = found["usp"]
        kept = folder / "truth.f32"
        if dtype == "f32" and "torch" in found:
            found["torch"].tofile(kept)
        return found | {
            "truth": self.output_of("torch", work, folder, kept),
            "own": self.truths[work.key] if work.key in self.truths
            else self.output_of("usp", work, folder, folder / "own.f32")}

    def output_of(self, name, work, folder, path):
        """What one side gives in f32: from the file, or from a run of it."""
        if name == "torch" and path.exists():
            return np.fromfile(path, np.float32)
        if name == "torch" and not self.options.peers:
            return None
        side = self.started(name, work, "f32", folder)
        try:
            return side.output(path)
        finally:
            side.close()


def left_out(work, dtype, name, error):
    print(f"{work.title}, {dtype}: {name} is left out: {error}", flush=True)


def warm(side, quick):
    """Runs that are not counted, until half a second is filled; the first result was one."""
    begin = time.perf_counter()
    while not quick and time.perf_counter() - begin + side.quick < 0.5:
        side.run(counted=False)


def repeats(side):
    """Short runs are timed several times a turn."""
    return max(1, min(20, int(0.2 / side.quick)))


def rows(work, dtype, sides, top, outputs):
    """One row for each peer; one without if there is none. No peak of 8-bit products is measured."""
    ours, peers = sides[0], sides[1:] or [None]
    seconds, rate = statistics.median(ours.seconds), flops(work) / 1e9
    memory = round(ours.memory(), 1)
    for peer in peers:
        row = {
            "work": work.title, "dtype": dtype, "ours_s": round(seconds, 6), "peer": None,
            "peer_s": None, "ratio": None,
            "max_rel_error": error(outputs["usp"], outputs.get("truth")),
            "ours_rss_mb": memory, "peer_rss_mb": None, "table": work.table,
            "ours_spread": spread(ours.seconds), "ours_runs": len(ours.seconds),
            "ours_gflops": round(rate / seconds, 1), "peak_gflops": top.get(dtype),
            "ours_share_of_peak": round(rate / seconds / top[dtype], 3) if dtype in top else None,
            "peak_gb_per_s": top["memory"],
            "error_to_own_f32": error(outputs["usp"], outputs.get("own")),
        }
        if peer:
            other = statistics.median(peer.seconds)
            row |= {
                "peer": peer.name, "peer_s": round(other, 6), "ratio": round(other / seconds, 3),
                "peer_rss_mb": round(peer.memory(), 1), "peer_spread": spread(peer.seconds),
                "peer_error": error(outputs[peer.name], outputs.get("truth")),
                "error_between": error(outputs["usp"], outputs[peer.name]),
            }
        yield row


def spread(seconds):
    """Distance of the quartiles over the median."""
    if len(seconds) < 3:
        return None
    quarters = statistics.quantiles(seconds, n=4)
    return round((quarters[2] - quarters[0]) / statistics.median(seconds), 3)


def error(values, truth):
    """Largest difference over the largest value; None without a truth."""
    if truth is None:
        return None
    if values.shape != truth.shape:
        raise contender.Failed(f"outputs of {values.size} and {truth.size} values")
    return float(f"{np.abs(values - truth).max() / np.abs(truth).max():.3e}")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    main()
