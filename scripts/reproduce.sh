#!/bin/sh
# Builds what is committed twice, in two folders of different depth, and compares every byte of the
# library, the tool and the wheel. Takes two clean builds.
set -eu
cd "$(dirname "$0")/.."

repository=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
built() {
    git clone -q "$repository" "$1"
    (cd "$1" && scripts/stage.sh && scripts/wheel.sh) >"$work/log.txt" 2>&1 ||
        { tail -n 20 "$work/log.txt" >&2; exit 1; }
    (cd "$1" && sha256sum .build/stage/lib/libusp.so .build/stage/bin/usp dist/*.whl) >"$2"
    rm -rf "$1"
}
built "$work/one" "$work/one.txt"
built "$work/another/folder/deeper" "$work/two.txt"
cat "$work/one.txt"
diff "$work/one.txt" "$work/two.txt" || { echo "usp: two builds differ" >&2; exit 1; }
echo "two builds in two folders: the same bytes"
