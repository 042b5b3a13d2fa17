#!/usr/bin/env python3
"""Ranks on hosts between which the network is slow: four network namespaces of this machine, each with an
address and a host name of its own, joined by a bridge whose ports let through so many bits a second, and
MPI over TCP between them. Steps with gradients summed while the backward pass goes on, behind it, and in
bf16. Needs root, ip, tc (tbf), Open MPI, libusp-mpi.so and USP_LIBRARY.

    network.py [--hosts 4] [--rates 1,10] [--model MAE-S/2] [--batch 32] [--steps 5] [--json FILE]

Namespaces are called usp0 ... usp3 and are gone at the end. All hosts share the processors of this
machine, so that computation is that of one machine: what is seen is what of the communication is hidden
behind it. "free" is the same without a limit.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NETWORK, BRIDGE = "10.113.7", "uspbridge"
#: what is compared: name, and options of the trainer
CASES = (
    ("behind", ["--overlap", "0"]), ("overlapping", ["--overlap", "1"]),
    ("overlapping, bf16", ["--overlap", "1", "--reduction", "bf16"]),
    ("overlapping, shares", ["--overlap", "1", "--shard", "1"]))

#: mpirun starts its daemons with this instead of ssh: the host's address says which namespace it is
AGENT = f"""#!/bin/sh
host=$1
shift
place=$((${{host##*.}} - 1))
exec ip netns exec usp$place unshare --uts sh -c "hostname usp$place; $*"
"""


def sh(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def build(hosts):
    sh("ip", "link", "add", BRIDGE, "type", "bridge")
    sh("ip", "link", "set", BRIDGE, "up")
    for host in range(hosts):
        sh("ip", "netns", "add", f"usp{host}")
        sh("ip", "link", "add", f"uspport{host}", "type", "veth", "peer", "name", "eth0", "netns", f"usp{host}")
        sh("ip", "link", "set", f"uspport{host}", "master", BRIDGE, "up")
        inside = ["ip", "-n", f"usp{host}"]
        sh(*inside, "address", "add", f"{NETWORK}.{host + 1}/24", "dev", "eth0")
        sh(*inside, "link", "set", "eth0", "up")
        sh(*inside, "link", "set", "lo", "up")


def remove(hosts):
    for host in range(hosts):
        subprocess.run(["ip", "netns", "delete", f"usp{host}"], capture_output=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)


def limit(hosts, gigabits):
    """So many bits a second into and out of each host; None: as many as there are."""
    for host in range(hosts):
        for place in ([], ["-n", f"usp{host}"]):
            device = "eth0" if place else f"uspport{host}"
            subprocess.run(
                ["tc", *place, "qdisc", "delete", "dev", device, "root"], capture_output=True)
            if gigabits is not None:
                burst = max(131072, int(gigabits * 1e9 / 8 * 4e-4))
                sh("tc", *place, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{gigabits}gbit",
                   "burst", str(burst), "latency", "20ms")


def steps(given, agent, more):
    """What rank 0 says of a case."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python")}
    hosts = ",".join(f"{NETWORK}.{host + 1}:1" for host in range(given.hosts))
    names = [name for name in ("PYTHONPATH", "USP_LIBRARY", "USP_MPI") if name in environment]
    command = [
        "mpirun", "--allow-run-as-root", "--bind-to", "none", "--mca", "plm_rsh_agent", agent, "--mca", "btl",
        "self,tcp", "--mca", "btl_tcp_if_include", f"{NETWORK}.0/24", "--mca", "oob_tcp_if_include",
        f"{NETWORK}.0/24", "--host", hosts, "-np", str(given.hosts),
        *[word for name in names for word in ("-x", name)], sys.executable,
        str(ROOT / "benchmarks/ranks.py"), "--worker", "--threads", "1", "--parts", str(given.hosts),
        "--batch", str(given.batch), "--steps", str(given.steps), "--model", given.model, *more]
    inside = ["ip", "netns", "exec", "usp0", "unshare", "--uts", "sh", "-c",
              f"hostname usp0; exec {shlex.join(command)}"]
    done = subprocess.run(inside, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, default in (("hosts", 4), ("batch", 32), ("steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rates", default="1,10", help="Gbit/s")
    parser.add_argument("--model", default="MAE-S/2")
    parser.add_argument("--json", help="a file for the numbers")
    given = parser.parse_args()
    if os.geteuid():
        sys.exit("network.py: makes network namespaces, so it needs root")
    rates = [None, *map(float, given.rates.split(","))]
    found = []
    remove(given.hosts)
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent"
        agent.write_text(AGENT)
        agent.chmod(0o755)
        try:
            build(given.hosts)
            print(f"{given.model}, {given.hosts} hosts, batch {given.batch}, median of {given.steps} steps")
            for rate in rates:
                limit(given.hosts, rate)
                for name, more in CASES:
                    told = steps(given, str(agent), more)
                    network = "free" if rate is None else f"{rate:g} Gbit/s"
                    sent = 2 * (given.hosts - 1) / given.hosts * told["values"] * 32
                    least = 0 if rate is None else sent / (rate * 1e9)
                    found.append({"network": network, "case": name, "wire": least, **told})
                    print(f"{network:>12}  {name:22} {told['seconds']:7.3f} s a step"
                          f"   (f32 gradients alone: {least:.3f} s)", flush=True)
        finally:
            remove(given.hosts)
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
