"""Keeps the rows: results.json, scaling.json, and RESULTS.md for people."""

import json
import platform


def line(row):
    """One row on the terminal."""
    text = f"{row['work']:<40} {row['dtype']:<5} ours {row['ours_s']:.4f} s"
    text += f" ({row['ours_gflops']:.0f} GFLOP/s, {100 * row['ours_share_of_peak']:.0f} % of peak)"
    if row["peer"]:
        text += (f"  {row['peer']} {row['peer_s']:.4f} s  ratio {row['ratio']:.2f}"
                 f"  error {row['max_rel_error']:.1e}"
                 f"  memory {row['ours_rss_mb']:.0f} / {row['peer_rss_mb']:.0f} MB")
    print(text, flush=True)


def merged(path, rows, key):
    """Old rows, with those measured again replaced."""
    old = json.loads(path.read_text()) if path.exists() else []
    fresh = {key(row) for row in rows}
    return [row for row in old if key(row) not in fresh] + rows


def write(rows, scaling, folder):
    folder.mkdir(parents=True, exist_ok=True)
    results = merged(folder / "results.json", rows, lambda r: (r["work"], r["dtype"], r["peer"]))
    tables = merged(folder / "scaling.json", scaling, lambda r: (r["table"], r["work"], r["dtype"]))
    for name, content in (("results.json", results), ("scaling.json", tables)):
        body = ",\n".join(json.dumps(row) for row in content)
        (folder / name).write_text(f"[\n{body}\n]\n")
    (folder / "RESULTS.md").write_text(markdown(results, tables))


def markdown(rows, tables):
    parts = [
        "# Measured", "",
        f"On {processor()}. Seconds are medians of alternate runs of both sides on the same tensors;",
        "ratio is the peer's time over ours; error is the largest difference over the largest value;",
        "memory is the peak resident memory of each process. Share is of multiply-adds over the peak",
        "that a loop of nothing else reaches at that moment; Winograd needs fewer than are counted.", "",
        "| work | type | ours, s | share | peer | peer, s | ratio | error | memory, MB | of peer's |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        parts.append("| " + " | ".join(cells(row)) + " |")
    for table in dict.fromkeys(row["table"] for row in tables):
        parts += ["", f"## Growth with {table}", "", "| work | type | ours, s | GFLOP/s | memory, MB |",
                  "| --- | --- | --- | --- | --- |"]
        parts += [f"| {r['work']} | {r['dtype']} | {r['ours_s']:.4f} | {r['ours_gflops']:.0f} "
                  f"| {r['ours_rss_mb']:.0f} |" for r in tables if r["table"] == table]
    return "\n".join(parts) + "\n"


def cells(row):
    share = row.get("ours_share_of_peak")
    values = [row["work"], row["dtype"], f"{row['ours_s']:.4f}", f"{100 * share:.0f} %" if share else ""]
    if not row["peer"]:
        return values + ["", "", "", "", f"{row['ours_rss_mb']:.0f}", ""]
    error = row["max_rel_error"]
    return values + [
        row["peer"], f"{row['peer_s']:.4f}", f"{row['ratio']:.2f}",
        f"{error:.1e}" if error is not None else "", f"{row['ours_rss_mb']:.0f}",
        f"{row['ours_rss_mb'] / row['peer_rss_mb']:.2f}"]


def processor():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [text.split(":")[1].strip() for text in file if text.startswith("model name")]
        return f"{len(names)} cores of {names[0]}"
    except (OSError, IndexError):
        return platform.machine()
