#!/bin/sh
# Writes dist/usp-VERSION.tar.xz: what is committed, with Swift Argument Parser inside, so that it
# builds without a network. The same commit gives the same bytes.
set -eu
cd "$(dirname "$0")/.."

scripts/argument-parser.sh
name=usp-$(scripts/version.sh)
tree=.build/dist/$name
parser=$tree/packaging/swift-argument-parser
checkout=.build/checkouts/swift-argument-parser
rm -rf .build/dist
mkdir -p "$parser/Sources" dist
git archive HEAD | tar -x -C "$tree"
for target in ArgumentParser ArgumentParserToolInfo; do
    cp -r "$checkout/Sources/$target" "$parser/Sources"
done
find "$parser" \( -name '*.docc' -o -name CMakeLists.txt \) -prune -exec rm -r {} +
cp packaging/argument-parser/Package.swift "$parser"
cp "$checkout/LICENSE.txt" "$parser"
sed -i 's|\.package(url: .*swift-argument-parser".*)|.package(path: "packaging/swift-argument-parser")|' \
    "$tree/Package.swift"
grep -q 'path: "packaging/swift-argument-parser"' "$tree/Package.swift" ||
    { echo "usp: Package.swift does not name Swift Argument Parser as dist.sh expects" >&2; exit 1; }
chmod -R u+w,go-w "$tree"
tar -C .build/dist --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 \
    --numeric-owner -cJf "dist/$name.tar.xz" "$name"
echo "dist/$name.tar.xz: $(stat -c %s "dist/$name.tar.xz") bytes"
