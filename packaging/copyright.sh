#!/bin/sh
# debian/copyright: our licence, and those of what the binaries hold, from packaging/licences.
set -eu
cd "$(dirname "$0")/.."

# folded FILE: as the format wants a text
folded() { sed 's/[[:space:]]*$//; s/^$/./; s/^/ /' "$1"; }

cat <<'HEAD'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: usp
Comment: The binaries hold parts of the Swift standard library and runtime, of LLVM, of the Unicode
 character data and of Swift Argument Parser, which are linked into them.

Files: *
Copyright: the usp authors
License: Apache-2.0

Files: packaging/argument-parser/*
Copyright: Apple Inc. and the Swift project authors
License: Apache-2.0-with-swift-exception

Files: packaging/licences/unicode.txt
Copyright: 1991-2024 Unicode, Inc.
License: Unicode-3.0

License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.

License: Apache-2.0-with-swift-exception
 On Debian systems the text of the licence is in /usr/share/common-licenses/Apache-2.0. Its exception:
HEAD
sed -n '/^    As an exception/,$p' packaging/licences/swift.txt | sed 's/^ */ /'
echo
echo "License: Unicode-3.0"
folded packaging/licences/unicode.txt
