"""Cold starts: from a new process to the first result, and to `import usp`."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from contender import FOREIGN, words

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
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {text[-300:]}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, text


def rows(tools, python, folder, work, root):
    """The rows for the first DiT-B/2 output and for importing, files already in the page cache."""
    from store import prepare

    folder = prepare(work, root)
    ours = [timed([f"{tools}/usp-bench", *words(work, "f32", folder)], BENCH_ONCE="1")
            for _ in range(7)]
    result = [row("From process start to the first DiT-B/2 output, batch 1", ours)]
    if python:
        command = [python, str(HERE / "peers.py"), "torch", "f32", json.dumps(asdict(work)),
                   str(folder)]
        theirs = [timed(command) for _ in range(5)]
        result[0] |= {"peer": "python + torch", "peer_s": median(theirs),
                      "peer_rss_mb": round(theirs[0][1], 1),
                      "ratio": round(median(theirs) / result[0]["ours_s"], 1)}
    bindings = str(HERE.parent / "bindings" / "python")
    imports = [timed([sys.executable, "-c", IMPORT], PYTHONPATH=bindings) for _ in range(7)]
    result.append(row("import usp", [(float(text), rss, "") for _, rss, text in imports]))
    if python:
        command = [python, "-c", IMPORT.replace("import usp", "import torch")]
        theirs = [timed(command) for _ in range(5)]
        theirs = [(float(text), rss, "") for _, rss, text in theirs]
        result[1] |= {"peer": "import torch", "peer_s": median(theirs),
                      "peer_rss_mb": round(theirs[0][1], 1),
                      "ratio": round(median(theirs) / result[1]["ours_s"], 1)}
    for line in result:
        print(json.dumps(line), flush=True)
    return result


def median(runs):
    return round(statistics.median(run[0] for run in runs), 4)


def row(title, runs):
    return {"work": title, "dtype": "f32", "ours_s": median(runs), "peer": None, "peer_s": None,
            "ratio": None, "max_rel_error": None,
            "ours_rss_mb": round(statistics.median(run[1] for run in runs), 1),
            "peer_rss_mb": None}
