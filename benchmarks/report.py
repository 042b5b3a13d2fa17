"""Keeps the rows: results.json and kernels.json, and RESULTS.md for people."""

import json
import platform

from works import SCALING, WORKS

# Titles alone are not rows: a work may stand in two tables of growth.
ORDER = [(work.title, work.table) for work in WORKS + SCALING]


def line(row):
    """One row on the terminal."""
    text = f"{row['work']:<40} {row['dtype']:<5} ours {row['ours_s']:.4f} s"
    if "ours_gflops" in row:
        share = row["ours_share_of_peak"]
        text += f" ({row['ours_gflops']:.0f} GFLOP/s" + (f", {percent(share)} of peak)" if share else ")")
    if row["peer"]:
        text += f"  {row['peer']} {row['peer_s']:.4f} s  ratio {row['ratio']:.2f}"
        text += f"  errors {brief(row['max_rel_error'])} / {brief(row.get('peer_error'))}"
        text += f"  memory {row['ours_rss_mb']:.0f} / {row['peer_rss_mb']:.0f} MB"
    print(text, flush=True)


def kernel_line(row):
    print(f"{row['operation']:<44} {row['dtype']:<5} error {brief(row['error'])}, gradient "
          f"{brief(row['gradient_error'])}  {rates(row, '')}  {rates(row, 'gradient_')}",
          flush=True)


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def brief(error):
    return "" if error is None else f"{error:.1e}"


def read(path):
    return json.loads(path.read_text()) if path.exists() else []


def save(path, rows):
    body = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{body}\n]\n")


def merged(old, rows, key):
    """Old rows and new ones, which replace all old ones of the same key."""
    fresh = {key(row) for row in rows}
    return [row for row in old if key(row) not in fresh] + rows


def write(folder, rows):
    """Merges rows of works into the files."""
    folder.mkdir(parents=True, exist_ok=True)
    title = lambda row: (row["work"], row["table"])  # noqa: E731
    key = lambda row: (title(row), row["dtype"])  # noqa: E731
    results = merged(read(folder / "results.json"), rows, key)
    place = {name: at for at, name in enumerate(ORDER)}
    results.sort(key=lambda row: (place.get(title(row), len(ORDER)), ("f32", "bf16", "int8").index(row["dtype"])))
    save(folder / "results.json", results)
    write_page(folder)


def write_kernels(folder, rows):
    """Merges rows of operations into the files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = lambda row: (row["operation"], row["dtype"])  # noqa: E731
    save(folder / "kernels.json", merged(read(folder / "kernels.json"), rows, key))
    write_page(folder)


HEAD = """# Measured

On {machine}. Seconds are medians of runs in turn with the peers, on the same tensors, one process
computing at a time; ratio is the peer's time over ours. Share is of multiply-adds over the peak
that a loop of nothing else reached between the turns ({peak}); Winograd needs fewer than
are counted. Error is the largest difference from PyTorch's f32 output over its largest value, ours
/ the peer's (of a training step: of its first losses). Memory is the peak of each process.
"""
COMPARED = ("work", "type", "ours, s", "share", "peer", "peer, s", "ratio", "error",
            "memory, MB", "of peer's")
KERNELS = ("operation", "type", "error", "gradient error", "speed", "speed with gradient")
KERNEL_HEAD = """
## Operations

Each through the engine, on the machine's threads: errors are against double precision on small
odd sizes, largest difference over the largest value, gradients by differences along a random
direction; speed is at the models' sizes, forward alone and with the gradient.
"""


def write_page(folder):
    rows, operations = read(folder / "results.json"), read(folder / "kernels.json")
    parts = [HEAD.format(machine=processor(), peak=peaks(rows))]
    parts += table(COMPARED, [compared(r) for r in rows if r.get("table") in ("main", "start")])
    growths = [row for row in rows if row.get("table") not in ("main", "start")]
    for name in dict.fromkeys(row["table"] for row in growths):
        parts += [f"\n## Growth with {name}\n"]
        parts += table(COMPARED, [compared(row) for row in growths if row["table"] == name])
    if operations:
        parts += [KERNEL_HEAD] + table(KERNELS, [operation(row) for row in operations])
    (folder / "RESULTS.md").write_text("\n".join(parts) + "\n")


def table(titles, rows):
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def compared(row):
    cells = [row["work"], row["dtype"], f"{row['ours_s']:.4f}",
             percent(row.get("ours_share_of_peak"))]
    ours = brief(row["max_rel_error"])
    if not row["peer"]:
        return cells + ["", "", "", ours, f"{row['ours_rss_mb']:.0f}", ""]
    theirs = brief(row.get("peer_error"))
    return cells + [
        row["peer"], f"{row['peer_s']:.4f}", f"{row['ratio']:.2f}",
        f"{ours} / {theirs}" if theirs else ours,
        f"{row['ours_rss_mb']:.0f} / {row['peer_rss_mb']:.0f}",
        f"{row['ours_rss_mb'] / row['peer_rss_mb']:.2f}"]


def operation(row):
    return [row["operation"], row["dtype"], brief(row["error"]), brief(row["gradient_error"]),
            rates(row, ""), rates(row, "gradient_")]


def rates(row, prefix):
    """Speed in the unit that limits the operation, and the share of the machine's peak."""
    if row.get(prefix + "rate") is None:
        return ""
    return f"{row[prefix + 'rate']:.0f} {row['unit']} ({percent(row[prefix + 'share'])})"


def peaks(rows):
    best = {}
    for row in rows:
        if row.get("table") == "main" and row.get("peak_gflops"):
            best[row["dtype"]] = max(best.get(row["dtype"], 0), row["peak_gflops"])
    texts = [f"{value:.0f} GFLOP/s {name}" for name, value in sorted(best.items(), reverse=True)]
    return "highest: " + ", ".join(texts) if texts else "not measured"


def processor():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [text.split(":")[1].strip() for text in file if text.startswith("model name")]
        return f"{len(names)} cores of {names[0]}"
    except (OSError, IndexError):
        return platform.machine()
