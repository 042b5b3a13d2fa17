"""A process that runs one work again and again when told: ours, or one of the peers'.

Between its turns it is stopped (SIGSTOP), so that waiting threads take nothing from the one that
is being timed.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
# Settings of other libraries that the surroundings may hold.
FOREIGN = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
# Seconds that a process may take to answer, compiling included.
PATIENCE = 300
# The file that a runtime loads instead of PyTorch's modules.
EXPORTED = {"onnxruntime": "model.onnx", "openvino": "model.xml", "openvino int8": "model-int8.xml"}


def exported(name, dtype):
    """That of a peer, if it has one; what is quantised has one of its own."""
    return EXPORTED.get(f"{name} int8" if dtype == "int8" else name)


class Failed(Exception):
    """The process ended, took too long, or answered with an error."""


class Contender:
    """Started on a work; `seconds` are the times of the counted runs, `quick` of the latest."""

    def __init__(self, name, command, threads):
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        environment["OMP_NUM_THREADS"] = str(threads)
        self.name, self.seconds = name, []
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            stderr=self.errors, start_new_session=True)
        self.quick = float(self.answer("ready")[0])
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        """To the process and those that it has started: a loader's workers would read on."""
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self.process.pid, number)

    def answer(self, expected):
        timer = threading.Timer(PATIENCE, self.signal, [signal.SIGKILL])
        timer.start()
        begin = time.monotonic()
        try:
            for line in self.process.stdout:
                word, *values = line.split() or [""]
                if word == expected:
                    return values
                if word == "error":
                    raise Failed(line.strip())
            if time.monotonic() - begin > PATIENCE:
                raise Failed(f"no answer for {PATIENCE} s")
            raise Failed(f"ended with status {self.process.wait()}: {self.last_words()}")
        finally:
            timer.cancel()

    def last_words(self):
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no message"

    def ask(self, *words):
        self.signal(signal.SIGCONT)
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        values = self.answer("ok")
        self.signal(signal.SIGSTOP)
        return values

    def run(self, count=1, counted=True):
        times = [float(value) for value in self.ask("run", count)]
        self.quick = min(times)
        if counted:
            self.seconds += times

    def output(self, path):
        self.ask("output", path)
        return np.fromfile(path, np.float32)

    def memory(self):
        return float(self.ask("memory")[0])

    def close(self):
        try:
            self.signal(signal.SIGCONT)
            self.process.stdin.close()
            self.process.wait(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.errors.close()


def ours(tool, work, dtype, folder):
    return Contender("usp", [tool, *words(work, dtype, folder)], work.threads)


def words(work, dtype, folder):
    """The arguments of our runner."""
    return [work.family, work.task, work.model, str(work.batch), str(work.size), dtype,
            str(work.threads), str(folder), str(work.tile), str(work.recompute),
            str(work.iterations), str(work.last_steps)]


def peer(python, name, dtype, work, folder):
    described = json.dumps(asdict(work))
    path = exported(name, dtype)
    if path and not (folder / path).exists():
        export(python, name, dtype, described, folder)
    command = [python, str(HERE / "peers.py"), name, dtype, described, str(folder)]
    return Contender(name, command, work.threads)


def export(python, name, dtype, described, folder):
    """Writes the work's network for a runtime; complete or not at all."""
    command = [python, str(HERE / "peer_export.py"), name, dtype, described, str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"exporting took more than {PATIENCE} s") from error
    if result.returncode:
        raise Failed(f"exporting failed: {(result.stderr.strip().splitlines() or ['?'])[-1]}")
