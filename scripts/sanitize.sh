#!/bin/sh
# Kernels, tensors, file readers, damaged files and the C interface under sanitizers: one build of its
# own for each (.build/sanitize/KIND). The stage to run before a release.
#   usage: scripts/sanitize.sh [address] [undefined] [thread]
set -eu
cd "$(dirname "$0")/.."

tests="USPBaseTests|USPTensorTests|USPFilesTests|USPDataTests"
# The runtimes that the Swift compiler links are its own clang's.
clang="$(dirname "$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p')")/../bin/clang"

options() {
    # Faults are the sanitizers' to tell.
    export SWIFT_BACKTRACE="enable=no"
    # A process that is stopped by a sanitizer has to fail, also one that a test expects to.
    faults="handle_segv=0:handle_sigbus=0"
    export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:$faults"
    export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:$faults"
    # Swift's runtime orders what makes its globals by means that the sanitizer does not see.
    mkdir -p .build/sanitize
    echo "race:once_slow" >.build/sanitize/suppressions
    export TSAN_OPTIONS="halt_on_error=1:suppressions=$PWD/.build/sanitize/suppressions:$faults"
}

# How a build is told: Swift has no undefined behaviour sanitizer, C has, whose runtime is linked by hand.
flags() {
    if [ "$1" = undefined ]; then
        runtime="$("$clang" -print-resource-dir)/lib/linux"
        echo "-Xcc -fsanitize=undefined -Xcc -fno-sanitize=function -Xcc -fno-sanitize-recover=all" \
            "-Xlinker $runtime/libclang_rt.ubsan_standalone-$(uname -m).so -Xlinker -rpath=$runtime"
    else
        echo "--sanitize=$1"
    fi
}

# The C tests against the library that was built. The thread sanitizer's runtime wants Swift's dispatch.
interface() {
    runtime="$(swiftc -print-target-info | sed -n '/runtimeLibraryPaths/{n;s/.*"\(.*\)".*/\1/p;}')"
    "$clang" -std=c11 -D_DEFAULT_SOURCE -Wall -Wextra -Werror -Iinclude -O1 -g -pthread \
        -fsanitize="$1" Tests/ABI/main.c Tests/ABI/test_*.c -L"$2" -lusp -lm \
        -L"$runtime" -ldispatch -lBlocksRuntime -Wl,-rpath,"$runtime" \
        -Wl,-rpath,"$PWD/$2" -o "$2/interface"
    $quiet "$2/interface"
}

options
for kind in "${@:-address undefined thread}"; do
    for kind in $kind; do
        built=.build/sanitize/$kind
        export USP_SANITIZER="$kind"
        # Fixed addresses: the shadow of the thread sanitizer has no place for others.
        quiet="setarch $(uname -m) -R"
        common="--scratch-path $built -c debug $(flags "$kind") -Xcc -O1 -Xcc -fno-omit-frame-pointer"
        # The runtime is in the program, not in the library.
        common="$common -Xlinker --unresolved-symbols=ignore-all"
        echo "== $kind: build"
        swift build $common --build-tests
        swift build $common --product usp
        swift build $common --product usp-fuzz
        echo "== $kind: Swift tests of $tests"
        $quiet swift test $common --skip-build --no-parallel --filter "$tests"
        echo "== $kind: damaged files"
        $quiet "$built/debug/usp-fuzz" --runs "${RUNS:-2000}" --patience 10000
        echo "== $kind: C interface"
        interface "$kind" "$built/debug"
    done
done
echo "sanitizers: all stages passed"
