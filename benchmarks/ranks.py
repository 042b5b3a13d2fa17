#!/usr/bin/env python3
"""What ranks cost: 2 ranks of 1 thread against 1 rank of 2 threads at the same global batch, and the bytes
that a step sends against the least that there is. Needs an MPI, libusp-mpi.so and USP_LIBRARY.

    ranks.py [--batch 8] [--rounds 3] [--model MAE-B/2]
    ranks.py --memory        what a rank has in memory, with moments and average in shares and without
    ranks.py --table         what docs/scale.md computes of hosts and networks

Both sides of a ratio are measured in turns, round after round, in one run; each is the median of its
rounds. Traffic is what the loopback device counts while ranks send by TCP.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MPIRUN = [
    "mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "btl_tcp_if_include", "lo", "--mca",
    "oob_tcp_if_include", "lo"]


def lo_bytes():
    """Bytes that the loopback device has sent."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[8])
    return 0


def worker(given):
    """One rank: seconds a step, and bytes a step over all ranks."""
    import time

    import numpy as np
    import usp

    usp.set_threads(given.threads)
    ranks = usp.Ranks.mpi() if given.parts else None
    model = usp.create(given.model)
    trainer = usp.Trainer(
        model, rate=1e-4, ranks=ranks, parts=given.parts or None, overlap=bool(given.overlap),
        shard=bool(given.shard), reduction=given.reduction, average_decay=given.average)
    count = given.batch // (ranks.count if ranks else 1)
    x = usp.random.normal(model.input_shape(count), seed=1)
    trainer.step(x)
    times, before = [], lo_bytes()
    for _ in range(given.steps):
        start = time.perf_counter()
        trainer.step(x)
        times.append(time.perf_counter() - start)
    sent = (lo_bytes() - before) / given.steps
    if ranks is None or ranks.rank == 0:
        print(json.dumps({
            "seconds": statistics.median(times), "bytes": sent, "values": int(np.sum([
                value.size for value in model.parameters.values()])), "memory": memory()}), flush=True)


def memory():
    """Bytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


#: of hosts like the one of RESULTS.md (2 cores, f32): seconds an image of a training step; parameters in
#: millions; images a step on each host. DiT-XL's time is DiT-B's by the ratio of their forward passes.
HOSTS = {
    "MAE-B/2": (2.1689 / 16, 111.9, 64), "DiT-B/2": (1.2694 / 4, 130.5, 16),
    "DiT-XL/2": (1.2694 / 4 * (0.8842 / 2) / (0.7123 / 8), 675.1, 16)}


def table():
    """Images a second and efficiency without overlap: step = compute + 2 (N - 1)/N of the gradients."""
    print("| | images a host and step | network | " + " | ".join(f"{n} hosts" for n in (1, 4, 16, 64, 256)) + " |")
    print("|---|---|---|" + "---|" * 5)
    for name, (seconds, millions, images) in HOSTS.items():
        for gigabits in (10, 25, 100):
            cells = []
            for hosts in (1, 4, 16, 64, 256):
                compute = seconds * images
                sent = 2 * (hosts - 1) / hosts * millions * 1e6 * 4 * 8 / (gigabits * 1e9)
                share = compute / (compute + sent)
                cells.append(f"{hosts * share / seconds:.1f} ({100 * share:.1f} %)")
            print(f"| {name} | {images} | {gigabits} Gbit/s | " + " | ".join(cells) + " |")


def run(given, count, threads, parts, more=(), batch=None, model=None, bind="core", options=()):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python")}
    # A rank of two threads has both processors.
    placed = ["--bind-to", "none"] if bind == "none" else ["--bind-to", "core"]
    command = [
        *MPIRUN, *placed, *more, "-np", str(count), sys.executable, __file__, "--worker", "--threads",
        str(threads), "--parts", str(parts), "--batch", str(batch or given.batch), "--steps",
        str(given.steps), "--model", model or given.model, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def memories(given):
    """A rank's memory behind two steps, with an average, one image a rank."""
    for count in (1, 2, 4):
        for shard in (0, 1)[:1 if count == 1 else 2]:
            more = ("--steps", "1", "--average", "0.99", "--shard", str(shard))
            told = run(given, count, 1, count, batch=count, bind="none", options=more)
            slab = told["values"] * 4
            print(
                f"{given.model}, {count} ranks, {'in shares' if shard else 'whole'}: "
                f"{told['memory'] / 1e6:.0f} MB a rank, {told['memory'] / slab:.2f} of the weights' "
                f"{slab / 1e6:.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("batch", 8), ("rounds", 3), ("steps", 3), ("threads", 1), ("parts", 0), ("overlap", 1),
                          ("shard", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="MAE-B/2")
    parser.add_argument("--reduction", default="f32")
    parser.add_argument("--average", type=float, default=0.0)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    if given.table:
        return table()
    if given.worker:
        return worker(given)
    if given.memory:
        return memories(given)
    cases = {
        "1 rank, 2 threads, not cut": lambda: run(given, 1, 2, 0, bind="none"),
        "1 rank, 2 threads, 2 parts": lambda: run(given, 1, 2, 2, bind="none"),
        "2 ranks, 1 thread, 2 parts": lambda: run(given, 2, 1, 2),
    }
    seconds = {name: [] for name in cases}
    for _ in range(given.rounds):
        for name, case in cases.items():
            seconds[name].append(case()["seconds"])
    median = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(median))
    print(f"{given.model}, batch {given.batch}, median of {given.rounds} rounds of {given.steps} steps")
    for name, value in median.items():
        print(f"{name:28} {value:8.3f} s a step   {median[first] / value:5.2f} of the first")
    for count in (2, 4):
        small = run(
            given, count, 1, count, ("--mca", "btl", "self,tcp"), batch=count, model="MAE-S/2",
            bind="none")
        least = 2 * (count - 1) * small["values"] * 4
        print(
            f"{count} ranks, MAE-S/2: {small['bytes'] / 1e6:.1f} MB a step over all ranks, the least is "
            f"{least / 1e6:.1f} MB, {small['bytes'] / least:.3f} of it")


if __name__ == "__main__":
    main()
