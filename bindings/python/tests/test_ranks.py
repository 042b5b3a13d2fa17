"""Ranks: the number of processes changes no byte of what they train, by MPI, mpi4py and torch."""

import json
import os
import queue
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import usp
from usp.ranks import reduce_scatter

#: as root, on any number of processors, on this machine alone
MPIRUN = [
    "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl",
    "self,vader,tcp", "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"]

SCRIPT = """
import sys
import usp

kind, out, steps, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
usp.set_threads(1)
if kind == "mpi":
    ranks = usp.Ranks.mpi()
elif kind == "mpi4py":
    from mpi4py import MPI
    ranks = usp.Ranks.from_mpi4py(MPI.COMM_WORLD)
elif kind == "torch":
    import torch.distributed as distributed
    rank, count, meeting = sys.argv[5:]
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(count))
    ranks = usp.Ranks.from_torch()
else:
    ranks = None
model = usp.MaskedAutoencoder.create(
    grid=4, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1)
if ranks is not None and ranks.rank == 1:
    rate *= float(sys.argv[4] == "0.5") + 1  # differs, if asked to
trainer = usp.Trainer(
    model, rate=rate, clip_norm=1.0, average_decay=0.9, ranks=ranks, shard="shares" in out,
    reduction="bf16" if "bf16" in out else "f32", parts=None if ranks is not None else 8)
data = usp.Data("latents.npz", batch=8, ranks=ranks)
try:
    run = usp.Run(trainer, data, out, steps=steps, log_every=1, averaged=True)
    run.train(progress=lambda told: print("step", told.step, flush=True) or None)
except usp.USPError as error:
    print("told:", error, flush=True)
    sys.exit(0)
if kind == "torch":
    distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Latents, the script, and what one process without ranks makes of them in 8 parts."""
    folder = tmp_path_factory.mktemp("ranks")
    usp.Checkpoint({"latents": usp.random.normal((20, 4, 8, 8), 1)}).save(folder / "latents.npz")
    (folder / "train.py").write_text(SCRIPT)
    finish(start(folder, [], "alone", "alone", 4))
    return folder


def start(folder, launcher, kind, name, steps, rate="1e-3", more=()):
    environment = {**os.environ, "PYTHONPATH": str(Path(usp.__file__).parents[1])}
    return subprocess.Popen(
        [*launcher, sys.executable, "train.py", kind, f"{name}.safetensors", str(steps), rate, *more],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, code=0):
    said = process.communicate(timeout=120)[0]
    assert process.returncode == code, said
    return said


def launch(folder, kind, name, count, steps, rate="1e-3"):
    """What all ranks have said."""
    if kind != "torch":
        launcher = [*MPIRUN, "-np", str(count)]
        return finish(start(folder, launcher, kind, name, steps, rate))
    meeting = folder / f"{name}-{steps}-{count}"
    ranks = [
        start(folder, [], kind, name, steps, rate, [str(rank), str(count), str(meeting)])
        for rank in range(count)]
    return "".join([finish(rank) for rank in ranks])


def files(folder, name):
    log = [json.loads(line) for line in (folder / f"{name}-log.jsonl").read_text().splitlines()]
    for line in log:
        line.pop("images_per_second", None), line.pop("seconds", None)
    return [(folder / f"{name}{end}").read_bytes() for end in (".safetensors", "-state.safetensors")] + log


def require(kind):
    if kind == "torch":
        pytest.importorskip("torch", reason="torch is not installed here")
        return
    if shutil.which("mpirun") is None:
        pytest.skip("no mpirun: MPI is not installed here")
    if kind == "mpi4py":
        pytest.importorskip("mpi4py", reason="mpi4py is not installed here")
    else:
        try:
            usp.Ranks.mpi().close()
        except usp.UnsupportedError as error:
            pytest.skip(f"libusp-mpi.so: {error}")


@pytest.mark.parametrize("kind", ["mpi", "mpi4py", "torch"])
def test_any_number_of_ranks_trains_the_same(folder, kind):
    require(kind)
    for count in (2, 4):
        launch(folder, kind, f"{kind}{count}", count, 4)
        assert files(folder, f"{kind}{count}") == files(folder, "alone")


@pytest.mark.parametrize("kind", ["mpi", "mpi4py", "torch"])
def test_shares_of_ranks_are_one_state(folder, kind):
    require(kind)
    launch(folder, kind, f"{kind}-shares", 2, 2)
    launch(folder, kind, f"{kind}-shares", 4, 4)  # goes on
    model, state, *_log = files(folder, f"{kind}-shares")
    assert [model, state] == files(folder, "alone")[:2]


def test_reduction_in_bf16_is_the_same_on_any_number_of_ranks(folder):
    require("mpi")
    finish(start(folder, [], "alone", "alone-bf16", 4))
    launch(folder, "mpi", "ranks-bf16", 4, 4)
    assert files(folder, "ranks-bf16") == files(folder, "alone-bf16")
    assert files(folder, "ranks-bf16")[0] != files(folder, "alone")[0]


@pytest.mark.parametrize("kind", ["mpi", "mpi4py", "torch"])
def test_ranks_that_differ_are_told(folder, kind):
    require(kind)
    said = launch(folder, kind, f"{kind}-differs", 2, 2, rate="0.5")
    # Both print at once, so that their lines may be woven.
    assert said.count("usp_run_create: rank 1: rate 1, rank 0 has 0.5") == said.count("told:") == 2
    assert not (folder / f"{kind}-differs.safetensors").exists()


def test_a_killed_rank_ends_the_others(folder):
    require("mpi")
    process = start(folder, [*MPIRUN, "-np", "2"], "mpi", "killed", 1_000_000)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not process.stdout.readline().startswith("step 3"):
        assert process.poll() is None
    os.kill(int(children.read_text().split()[1]), 9)
    began = time.monotonic()
    said = process.communicate(timeout=60)[0]
    assert process.returncode != 0 and time.monotonic() - began < 30
    assert "process rank 1" in said


def test_places():
    ranks = usp.Ranks(1, 2, lambda _: None)
    assert (ranks.rank, ranks.count) == (1, 2)


def test_what_needs_more_than_a_sum_is_told():
    model = usp.MaskedAutoencoder.create(
        grid=4, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    ranks = usp.Ranks(0, 2, lambda _: None)
    with pytest.raises(usp.ArgumentError, match="shard: these ranks can only sum"):
        usp.Trainer(model, ranks=ranks, shard=True)
    with pytest.raises(usp.ArgumentError, match="reduction: bf16, but nothing is added in pairs"):
        usp.Trainer(model, reduction="bf16")
    with pytest.raises(usp.UnsupportedError, match="reduction: bf16 needs ranks of MPI"):
        usp.Trainer(model, ranks=ranks, parts=2, reduction="bf16")


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_sums_are_in_pairs(count):
    data = np.random.default_rng(1).normal(size=(count, count, 3)).astype(np.float32) * 1e3
    rows = list(data)
    while len(rows) > 1:
        rows = [a + b for a, b in zip(rows[::2], rows[1::2])]
    mail = {(a, b): queue.Queue() for a in range(count) for b in range(count)}

    def reduce(rank):
        def exchange(peer, sent, received):
            mail[rank, peer].put(sent.copy())
            received[:] = mail[peer, rank].get(timeout=60)

        sums = np.empty(3, np.float32)
        reduce_scatter(rank, count, exchange, data[rank], sums)
        return sums

    with ThreadPoolExecutor(count) as pool:
        assert np.array_equal(np.stack(list(pool.map(reduce, range(count)))), rows[0])
