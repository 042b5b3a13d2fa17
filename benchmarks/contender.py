"""A process that runs one work again and again when told: ours, or one of the peers'."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
# Settings of other libraries that the surroundings may hold.
FOREIGN = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


class Failed(Exception):
    """The process ended, or answered with an error."""


class Contender:
    """Started on a work; `seconds` are the times of the runs so far."""

    def __init__(self, name, command, threads):
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        environment["OMP_NUM_THREADS"] = str(threads)
        self.name, self.seconds = name, []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL)
        self.answer("ready")

    def answer(self, expected):
        for line in self.process.stdout:
            word, *values = line.split() or [""]
            if word == expected:
                return values
            if word == "error":
                raise Failed(line.strip())
        raise Failed(f"{self.name} ended with status {self.process.wait()}")

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer("ok")

    def run(self, count=1):
        self.seconds += map(float, self.ask("run", count))

    def output(self, path):
        self.ask("output", path)
        return np.fromfile(path, np.float32)

    def memory(self):
        return float(self.ask("memory")[0])

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def ours(tool, work, dtype, folder):
    return Contender("usp", [tool, *words(work, dtype, folder)], work.threads)


def words(work, dtype, folder):
    """The arguments of our runner."""
    return [work.family, work.task, work.model, str(work.batch), str(work.size), dtype,
            str(work.threads), str(folder)]


def peer(python, name, dtype, work, folder):
    for runtime, (format, file) in {"onnxruntime": ("onnx", "model.onnx"),
                                    "openvino": ("openvino", "model.xml")}.items():
        if name == runtime and not (folder / file).exists():
            export(python, format, work, folder)
    described = json.dumps(asdict(work))
    command = [python, str(HERE / "peers.py"), name, dtype, described, str(folder)]
    return Contender(name, command, work.threads)


def export(python, format, work, folder):
    described = json.dumps(asdict(work))
    result = subprocess.run(
        [python, str(HERE / "peers.py"), "export", format, described, str(folder)],
        capture_output=True, text=True)
    if result.returncode:
        print(result.stderr[-2000:], file=sys.stderr)
        raise Failed(f"exporting {work.key} to {format} failed")
