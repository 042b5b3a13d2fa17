#!/bin/sh
# The Swift reference by DocC, from the modules of the last build, into out/docs/swift. Its pages are
# drawn by a script that browsers do not run from files: python3 -m http.server -d out/docs
set -eu
cd "$(dirname "$0")/.."

build=.build/${CONFIGURATION:-release}
graphs=.build/docs/symbols
rm -rf "$graphs"
mkdir -p "$graphs"
maps=""
for target in CFiles CKernels COpenBLAS; do
    maps="$maps -Xcc -fmodule-map-file=$build/$target.build/module.modulemap"
done
rooms="USPBase USPTensor USPModels USPDiffusion USPData USPTransfer USPTraining USPEvaluation USPKit"
for room in $rooms; do
    # shellcheck disable=SC2086
    swift symbolgraph-extract -module-name "$room" -I "$build/Modules" -I include $maps \
        -target "$(uname -m)-unknown-linux-gnu" -minimum-access-level public -output-dir "$graphs"
done
rm -rf out/docs/swift
docc convert --additional-symbol-graph-dir "$graphs" --output-path out/docs/swift \
    --fallback-display-name usp --fallback-bundle-identifier usp --hosting-base-path swift \
    --transform-for-static-hosting >"$graphs/log.txt" 2>&1 ||
    { cat "$graphs/log.txt" >&2; exit 1; }
pages=$(find out/docs/swift -name index.html | wc -l)
[ "$pages" -gt 100 ] || { echo "usp: the Swift reference has only $pages pages" >&2; exit 1; }
echo "out/docs/swift/documentation/index.html: $pages pages of Swift"
