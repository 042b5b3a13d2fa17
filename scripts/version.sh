#!/bin/sh
# The version (0.1.0), or with `abi` the ABI number, as the header says them: the one place.
set -eu
cd "$(dirname "$0")/.."

number() {
    cat include/usp.h include/usp/*.h 2>/dev/null | sed -n "s/^#define USP_$1 \([0-9]*\)$/\1/p"
}
if [ "${1:-}" = abi ]; then
    number ABI_VERSION
else
    echo "$(number VERSION_MAJOR).$(number VERSION_MINOR).$(number VERSION_PATCH)"
fi
