"""Cold starts: from a new process to the first result, and to `import usp`."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import store
from contender import FOREIGN, Failed, words
from works import WORKS

HERE = Path(__file__).resolve().parent
IMPORT = ("import time; begin = time.perf_counter(); import usp; "
          "print(time.perf_counter() - begin)")


def timed(command, **environment):
    """Seconds of a whole process, its peak memory in MB, and what it printed."""
    inherited = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=inherited | environment, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{command[0]} ended with {process.returncode}: {text[-300:]}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, text


def printed(command, **environment):
    """The same, with the seconds that the process printed."""
    _, memory, text = timed(command, **environment)
    return float(text), memory


def rows(options, root):
    """First DiT-B/2 output and import, files in the page cache; both sides in turn."""
    work = next(work for work in WORKS if work.key == "dit-b1")
    folder = store.prepare(work, root)
    peers = [options.peers, str(HERE / "peers.py"), "torch", "f32", json.dumps(asdict(work)),
             str(folder)]
    bindings = str(HERE.parent / "bindings" / "python")
    first = lambda: timed([f"{options.tools}/usp-bench", *words(work, "f32", folder)],  # noqa: E731
                          BENCH_ONCE="1")
    bind = lambda: printed([sys.executable, "-c", IMPORT], PYTHONPATH=bindings)  # noqa: E731
    theirs = (lambda: timed(peers), lambda: printed(
        [options.peers, "-c", IMPORT.replace("import usp", "import torch")]))
    titles = "From process start to the first DiT-B/2 output, batch 1", "import usp"
    names = "python + torch", "import torch"
    rounds = 1 if options.quick else 5
    for title, ours, name, other in zip(titles, (first, bind), names, theirs):
        runs = [], []
        for _ in range(rounds):
            runs[0].append(ours())
            if options.peers:
                runs[1].append(other())
        yield row(title, name, *runs)


def row(title, name, ours, theirs):
    seconds, memory = middle(ours)
    result = {"work": title, "dtype": "f32", "ours_s": seconds, "peer": None, "peer_s": None,
              "ratio": None, "max_rel_error": None, "ours_rss_mb": memory, "peer_rss_mb": None,
              "table": "start"}
    if theirs:
        other, other_memory = middle(theirs)
        result |= {"peer": name, "peer_s": other, "ratio": round(other / seconds, 1),
                   "peer_rss_mb": other_memory}
    return result


def middle(runs):
    """Medians of seconds and of MB."""
    return (round(statistics.median(run[0] for run in runs), 4),
            round(statistics.median(run[1] for run in runs), 1))
