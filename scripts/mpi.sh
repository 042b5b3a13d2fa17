#!/bin/sh
# Builds the plug-in through which libusp and the tool reach MPI, beside them: libusp-mpi.so.
#   mpi.sh [FOLDER]      .build/release by default; MPICC chooses the compiler of another MPI
set -eu
cd "$(dirname "$0")/.."

folder=${1:-.build/release}
compiler=${MPICC:-mpicc}
if ! command -v "$compiler" >/dev/null 2>&1; then
    echo "usp: $compiler is not installed (Debian: libopenmpi-dev, or libmpich-dev), so there is no libusp-mpi.so." >&2
    exit 1
fi
mkdir -p "$folder"
# A new file, not a written-over one: a process may have loaded the old one.
"$compiler" -std=c11 -D_DEFAULT_SOURCE -O3 -fno-math-errno -ffp-contract=off -fPIC -shared \
    -Wall -Wextra -Werror -fvisibility=hidden bindings/mpi/usp_mpi.c -o "$folder/libusp-mpi.so.new"
mv "$folder/libusp-mpi.so.new" "$folder/libusp-mpi.so"
echo "$folder/libusp-mpi.so: $("$compiler" --showme:version 2>/dev/null || "$compiler" -v 2>/dev/null | head -n 1)"
