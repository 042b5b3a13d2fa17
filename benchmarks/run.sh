#!/bin/sh
# Measures our speed through the C ABI; with a Python that has the peers, theirs on the same tensors.
#   benchmarks/run.sh [PEERS_PYTHON] [options of bench.py]
# ROWS=dit-b,start in the environment takes only these rows; QUICK=1 is a smoke test that keeps its
# numbers in .build/benchmarks/quick.
set -eu
cd "$(dirname "$0")/.."
out=.build/benchmarks
mkdir -p "$out"
compiler=$(command -v clang || command -v cc)
"$compiler" -O2 -Wall -Wextra -Iinclude benchmarks/ours.c -o "$out/usp-bench" \
    -L.build/release -lusp -Wl,-rpath,"$PWD/.build/release"
"$compiler" -O2 -Wall -Wextra benchmarks/peak.c -o "$out/usp-peak" -lpthread
peers=
case ${1-} in
'' | -*) ;;
*) peers=$1 && shift ;;
esac
python=python3
python3 -c 'import numpy' 2>/dev/null || python=${peers:-python3}
exec "$python" benchmarks/bench.py --tools "$out" ${peers:+--peers "$peers"} \
    ${ROWS:+--rows "$ROWS"} ${QUICK:+--quick --out "$out/quick"} "$@"
