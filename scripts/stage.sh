#!/bin/sh
# Builds what `make install`, the wheel and the packages hold, into .build/stage:
#   lib/libusp.so, bin/usp (stripped) and their .debug, man/*.1, completions/, sizes.txt
set -eu
cd "$(dirname "$0")/.."

stage=.build/stage
if ! command -v swift >/dev/null 2>&1; then
    [ ! -f "$stage/sizes.txt" ] || exit 0    # as under sudo: install what was built before
    echo "usp: no swift on the path, and nothing was built before; run 'make stage' first." >&2
    exit 1
fi
scripts/argument-parser.sh
swift build -c release --product usp
swift build -c release --product usp-cli

# strip_apart FILE: without symbols and without what only the linker and the debugger read, which gdb
# finds by the build's number. (GNU strip loses lld's mark of what becomes read-only after relocation.)
strip_apart() {
    llvm-objcopy --only-keep-debug "$1" "$1.debug"
    chmod -x "$1.debug"
    llvm-objcopy --strip-all -R .comment -R .swift_modhash -R .lldbsummaries "$1"
}

rm -rf "$stage"
mkdir -p "$stage/lib" "$stage/bin" "$stage/man" "$stage/completions"
scripts/link.sh library "$stage/lib/libusp.so"
scripts/link.sh tool "$stage/bin/usp"
strip_apart "$stage/lib/libusp.so"
strip_apart "$stage/bin/usp"
packaging/manual.py "$stage/bin/usp" "$stage/man"
for shell in bash zsh fish; do
    "$stage/bin/usp" --generate-completion-script "$shell" | sed '1{/^#!/d}' \
        >"$stage/completions/usp.$shell"
done
packaging/sizes.py "$stage/lib/libusp.so" >"$stage/sizes.txt"
