#!/bin/sh
# Links what `swift build -c release` compiled into a product as it is installed.
#   link.sh library OUT [FLAG...]    the shared library, with its versioned name
#   link.sh wheel OUT [FLAG...]      the same with the tool inside (usp_main), since one Swift runtime is enough
#   link.sh tool OUT [FLAG...]       the command line tool
# Beside OUT stands OUT.map, the linker's account of the bytes (packaging/sizes.py reads it).
set -eu
cd "$(dirname "$0")/.."

kind=$1 out=$2
shift 2
objects=.build/release
library="@$objects/usp.product/Objects.LinkFileList"
tool="@$objects/usp-cli.product/Objects.LinkFileList"
soname="-Xlinker -soname -Xlinker libusp.so"

case $kind in
library) set -- -emit-library $library @packaging/library.link $soname."$(scripts/version.sh abi)" "$@" ;;
wheel) set -- -emit-library $tool $objects/USPC.build/*.swift.o @packaging/library.link $soname "$@" ;;
tool) set -- -emit-executable $tool @packaging/tool.link -Xlinker --defsym=main=usp_main "$@" ;;
*) echo "usp: link.sh knows library, wheel and tool, not $kind" >&2; exit 2 ;;
esac
swiftc -module-name usp -o "$out" "$@" -ljpeg -lz -Xlinker -Map="$out.map"
