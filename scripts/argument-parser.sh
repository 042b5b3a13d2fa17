#!/bin/sh
# Fetches Swift Argument Parser as Package.swift pins it, and takes Foundation out of its checkout
# (packaging/argument-parser/Foundation.swift says why). A plain `swift build` before this works as
# well; its tool is larger.
set -eu
cd "$(dirname "$0")/.."

original=af7fa95584087ee20fe0b26f4f2cce4f3ba75e5c    # of 1.8.2, as `git hash-object` says it
ours=packaging/argument-parser/Foundation.swift
checkout=.build/checkouts/swift-argument-parser
file=$checkout/Sources/ArgumentParser/Utilities/Foundation.swift

[ ! -d packaging/swift-argument-parser ] || exit 0    # a source archive holds it, changed
[ -f "$file" ] || swift package resolve
! cmp -s "$ours" "$file" || exit 0
[ "$(git hash-object "$file")" = "$original" ] || {
    echo "usp: $file is not the one that $ours stands for; see what is new in it." >&2
    exit 1
}
cp "$ours" "$file.new"
mv -f "$file.new" "$file"
