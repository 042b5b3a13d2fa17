#!/bin/sh
# The command line tool from outside: what it prints, what it writes, how it ends.
#   usage: Tests/CLI/run.sh [path of the tool]
set -eu
cd "$(dirname "$0")/../.."

tool="${1:-$PWD/.build/release/usp-cli}"
golden="$PWD/Tests/Golden"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
checks=0

# expect CODE PATTERN ARGUMENTS...: the tool ends with CODE and says PATTERN (on either stream).
expect() {
    wanted=$1 pattern=$2
    shift 2
    checks=$((checks + 1))
    code=0
    "$tool" "$@" >"$work/said" 2>&1 || code=$?
    if [ "$code" -ne "$wanted" ] || ! grep -q -e "$pattern" "$work/said"; then
        failures=$((failures + 1))
        echo "FAILED: usp $*"
        echo "  ended with $code, expected $wanted; expected to read: $pattern"
        sed 's/^/  | /' "$work/said"
    fi
}

# same A B: two files of equal bytes.
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || { failures=$((failures + 1)); echo "FAILED: $1 and $2 differ"; }
}

# absent A: nothing is there.
absent() {
    checks=$((checks + 1))
    [ ! -e "$1" ] || { failures=$((failures + 1)); echo "FAILED: $1 was written"; }
}

for part in Tests/CLI/[a-z]*_test.sh; do
    . "$part"
done

echo "command line: $checks checks, $failures failed"
[ "$failures" -eq 0 ]
