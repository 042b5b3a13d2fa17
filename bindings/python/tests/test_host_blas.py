"""A host that brings its own BLAS for all to see: those of NumPy's and SciPy's wheels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, os, sys
hosts = [ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_GLOBAL) for path in sys.argv[1:]]
names = [prefix + "openblas_%s_num_threads" + suffix
         for prefix in ("", "scipy_") for suffix in ("", "64_")]
counts = [getattr(host, name % "get") for host in hosts for name in names
          if hasattr(host, name % "get")]
sets = [getattr(host, name % "set") for host in hosts for name in names
        if hasattr(host, name % "set")]
for change in sets:
    change(2)
before = [count() for count in counts]
import usp
a, b = usp.random.normal((300, 40), 1), usp.random.normal((200, 40), 2)
print(usp.evaluate.frechet(a, b).hex(), usp.evaluate.precision_recall(a, b))
assert [count() for count in counts] == before, "the host's threads have changed"
print(len(counts), file=sys.stderr)
"""


def wheels():
    """The BLAS libraries that come with packages of this Python."""
    found = []
    for name in ("numpy", "scipy"):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            libraries = Path(spec.origin).parents[1] / f"{name}.libs"
            found += sorted(str(path) for path in libraries.glob("*openblas*"))
    return found


def told(*hosts):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *hosts], capture_output=True, text=True, env=environment,
        check=False)
    assert done.returncode == 0, (hosts, done.stderr)
    return done.stdout


@pytest.mark.skipif(not wheels(), reason="no BLAS in numpy's and scipy's wheels")
def test_a_hosts_own_blas_changes_nothing_and_is_not_changed():
    alone = told()
    for hosts in [[path] for path in wheels()] + [wheels()]:
        assert told(*hosts) == alone, hosts
